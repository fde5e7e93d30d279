"""`fleet start`."""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, progress, say
from relayfleet.cli.selection import select
from relayfleet.config.roster import Member
from relayfleet.errors import ConfigError
from relayfleet.fleet.lifecycle import Outcome
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import FleetLayout


def run(ctx: Context, *, agents: tuple[str, ...], all: bool, role: str | None, no_wait: bool) -> int:
    """--json: {"version": 1, "agents": [{"name", "changed", "state", "error", "hint"}]}. 1 when one failed."""
    from relayfleet.bootstrap import lifecycle
    from relayfleet.config.roster import read_roster

    chosen = select(read_roster(ctx.layout), doing="start", names=agents, everyone=all, role=role)
    starter = lifecycle(ctx.layout)
    specs, faulty = load_specs(ctx.layout, chosen)
    outcomes = starter.start(specs, wait=not no_wait, report=lambda done, total: progress(done, total, "started"))
    return tell_outcomes(ctx, [*outcomes, *faulty], verb="start")


def load_specs(layout: FleetLayout, members: Sequence[Member]) -> tuple[list[AgentSpec], list[Outcome]]:
    """The configurations that are right, and what to say of the others: one agent's faults keep nobody else down."""
    from relayfleet.config.load import load_agent

    specs, faulty = [], []
    for member in members:
        try:
            specs.append(load_agent(layout, member.name))
        except ConfigError as error:
            faulty.append(Outcome(name=member.name, changed=False, state="stopped", error=str(error), hint=error.hint))
    return specs, faulty


def tell_outcomes(ctx: Context, outcomes: Sequence[Outcome], *, verb: str) -> int:
    """Prints what came of each agent; the exit code."""
    if ctx.json:
        shown = [
            {"name": o.name, "changed": o.changed, "state": o.state, "error": o.error, "hint": o.hint} for o in outcomes
        ]
        emit_json({"version": 1, "agents": shown})
    for outcome in outcomes:
        if outcome.error:
            known = outcome.error.startswith("cannot ")
            say(f"fleet: {outcome.error}" if known else f"fleet: cannot {verb} {outcome.name!r}: {outcome.error}")
            if outcome.hint:
                say(f"hint: {outcome.hint}")
        elif not ctx.json:
            emit(f"{outcome.name}: {outcome.state}{'' if outcome.changed else ' (it was so already)'}")
    return 1 if any(o.error for o in outcomes) else 0

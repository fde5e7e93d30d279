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
    """--json: {"version": 1, "agents": [{"name", "changed", "state", "error", "hint", "detail"}]}. 1 when one failed;
    one that is `queued` waits for room, as `detail` says, which is no failure."""
    from relayfleet.bootstrap.agents import lifecycle
    from relayfleet.config.roster import read_roster

    chosen = select(read_roster(ctx.layout), doing="start", names=agents, everyone=all, role=role)
    starter = lifecycle(ctx.layout)
    specs, faulty = load_specs(ctx.layout, chosen)
    outcomes = starter.start(
        specs,
        wait=not no_wait,
        report=lambda done, total: progress(done, total, "started"),
        on_queue=lambda waiting: _tell_queue([status.name for status in waiting]),
    )
    return tell_outcomes(ctx, [*outcomes, *faulty], verb="start")


def _tell_queue(names: Sequence[str]) -> None:
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    say(f"waiting for room: {some} (Ctrl-C leaves them queued; see `fleet status`)")


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
        emit_json({"version": 1, "agents": [as_json(outcome) for outcome in outcomes]})
    for outcome in outcomes:
        if outcome.error:
            known = outcome.error.startswith("cannot ")
            say(f"fleet: {outcome.error}" if known else f"fleet: cannot {verb} {outcome.name!r}: {outcome.error}")
            if outcome.hint:
                say(f"hint: {outcome.hint}")
        elif not ctx.json:
            why = f" ({outcome.detail})" if outcome.detail else "" if outcome.changed else " (it was so already)"
            emit(f"{outcome.name}: {outcome.state}{why}")
    if any(o.state == "queued" and not o.error for o in outcomes):
        say(_who_starts_them(ctx.layout))
    return 1 if any(o.error for o in outcomes) else 0


def as_json(outcome: Outcome) -> dict[str, object]:
    return {
        "name": outcome.name,
        "changed": outcome.changed,
        "state": outcome.state,
        "error": outcome.error,
        "hint": outcome.hint,
        "detail": outcome.detail,
    }


def _who_starts_them(layout: FleetLayout) -> str:
    from relayfleet.store.lock import is_held

    if is_held(str(layout.supervisor_lock)):
        return "what is queued is started by the supervisor when there is room"
    return "what is queued waits: no supervisor runs; with one (`fleet up`) it is started when there is room"

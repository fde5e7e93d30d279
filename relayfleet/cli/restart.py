"""`fleet restart`: stop, read the configuration anew, start with the history, or with none."""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.cli.context import Context
from relayfleet.cli.output import say
from relayfleet.cli.selection import select
from relayfleet.cli.start import load_specs, tell_outcomes
from relayfleet.config.roster import Member


def run(
    ctx: Context,
    *,
    agents: tuple[str, ...],
    all: bool,
    role: str | None,
    no_wait: bool,
    fresh: bool = False,
    outdated: bool = False,
) -> int:
    """With --outdated those whose runner is of another version than this program, and idle; the others are named.

    --json: as `fleet start`.
    """
    from relayfleet.bootstrap.agents import lifecycle
    from relayfleet.config.roster import read_roster
    from relayfleet.store.session import ask_anew

    everyone = all or (outdated and not agents and role is None)
    chosen = select(read_roster(ctx.layout), doing="restart", names=agents, everyone=everyone, role=role)
    if outdated:
        chosen = _outdated(ctx, chosen)
    specs, faulty = load_specs(ctx.layout, chosen)  # before anything is stopped: what could not start again runs on
    keeper = lifecycle(ctx.layout)
    names = [spec.name for spec in specs]
    if fresh:  # before they are stopped: whoever starts them from now on begins anew
        for name in names:
            ask_anew(ctx.layout.agent(name).session)
    # What is wanted of them is not touched: killed here, it leaves nobody stopped for ever.
    keeper.rest(names, killed=keeper.killed(names))
    return tell_outcomes(ctx, [*keeper.start(specs, wait=not no_wait), *faulty], verb="restart")


def _outdated(ctx: Context, chosen: Sequence[Member]) -> list[Member]:
    """Those to roll over; says of the others why not."""
    from relayfleet import __version__
    from relayfleet.client.observe import observe
    from relayfleet.config.roster import read_roster
    from relayfleet.fleet.plan import plan_roll_over

    observed = observe(ctx.layout, read_roster(ctx.layout).fleet_id, chosen)
    steps = {step.name: step for step in plan_roll_over(observed, version=__version__)}
    for step in steps.values():
        if step.act == "keep":
            say(f"{step.name} is left as it is: {step.why}")
    return [member for member in chosen if steps[member.name].act != "keep"]

"""`fleet restart`: stop, read the configuration anew, start with the history."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.selection import select
from relayfleet.cli.start import load_specs, tell_outcomes


def run(ctx: Context, *, agents: tuple[str, ...], all: bool, role: str | None, no_wait: bool) -> int:
    """--json: as `fleet start`."""
    from relayfleet.bootstrap import lifecycle
    from relayfleet.config.roster import read_roster

    chosen = select(read_roster(ctx.layout), doing="restart", names=agents, everyone=all, role=role)
    specs, faulty = load_specs(ctx.layout, chosen)  # before anything is stopped: what could not start again runs on
    keeper = lifecycle(ctx.layout)
    keeper.stop([spec.name for spec in specs])
    return tell_outcomes(ctx, [*keeper.start(specs, wait=not no_wait), *faulty], verb="restart")

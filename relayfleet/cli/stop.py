"""`fleet stop`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import progress
from relayfleet.cli.selection import select
from relayfleet.cli.start import tell_outcomes


def run(ctx: Context, *, agents: tuple[str, ...], all: bool, role: str | None) -> int:
    """--json: as `fleet start`."""
    from relayfleet.bootstrap.agents import lifecycle
    from relayfleet.config.roster import read_roster

    chosen = select(read_roster(ctx.layout), doing="stop", names=agents, everyone=all, role=role)
    names = [str(member.name) for member in chosen]
    outcomes = lifecycle(ctx.layout).stop(names, report=lambda done, total: progress(done, total, "stopped"))
    return tell_outcomes(ctx, outcomes, verb="stop")

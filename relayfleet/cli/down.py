"""`fleet down`: the whole fleet rests; what is wanted of each daemon stays as it was."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import progress
from relayfleet.cli.start import tell_outcomes


def run(ctx: Context) -> int:
    """--json: as `fleet start`, with the supervisor and the router among the agents."""
    from relayfleet.bootstrap.agents import lifecycle
    from relayfleet.bootstrap.router import router_lifecycle
    from relayfleet.bootstrap.supervisor import supervisor_lifecycle
    from relayfleet.config.roster import read_roster
    from relayfleet.store.intent import write_fleet_intent

    names = [str(member.name) for member in read_roster(ctx.layout).members]
    agents = lifecycle(ctx.layout)
    killed = agents.killed(names)
    write_fleet_intent(ctx.layout.supervisor_intent, "stopped", down=True)
    # The supervisor first, so that nobody starts anything again. The router before the agents: what an agent writes on
    # GitHub to the last is recorded by its runner before the router looks again.
    outcomes = [supervisor_lifecycle(ctx.layout).rest(), router_lifecycle(ctx.layout).rest()]
    outcomes += agents.rest(names, killed=killed, report=lambda done, total: progress(done, total, "stopped"))
    ctx.layout.supervisor_memory.unlink(missing_ok=True)  # delays and holds are not for the next `fleet up`
    return tell_outcomes(ctx, outcomes, verb="stop")

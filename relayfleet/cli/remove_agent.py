"""`fleet remove-agent`."""

from __future__ import annotations

import time

from relayfleet.cli.confirm import confirmed
from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say


def run(ctx: Context, *, name: str, yes: bool) -> int:
    """--json: {"version": 1, "name", "archived", "routes": how many lost it, "watches": [names that went]}."""
    from relayfleet.bootstrap.agents import scaffolder
    from relayfleet.model.names import fault_of_name

    known = fault_of_name(name) is None and ctx.layout.agent(name).dir.is_dir()
    if (
        known
        and not yes
        and not confirmed(
            f"Remove agent {name}? Its folder goes to archive/, its name out of routes.json.",
            doing=f"remove agent {name!r}",
        )
    ):
        say("nothing was changed")
        return 1
    gone = scaffolder(ctx.layout).remove_agent(name, now=time.time())
    archived = gone.archived.relative_to(ctx.layout.root).as_posix()
    if ctx.json:
        emit_json(
            {
                "version": 1,
                "name": gone.name,
                "archived": archived,
                "routes": gone.routes,
                "watches": list(gone.watches),
            }
        )
        return 0
    emit(f"removed {gone.name}: its folder is in {archived}")
    if gone.routes:
        watches = f", with watch {', '.join(gone.watches)}" if gone.watches else ""
        emit(f"taken out of {gone.routes} {'route' if gone.routes == 1 else 'routes'}{watches}")
        say("next: `fleet router restart`, if the router is running")
    return 0

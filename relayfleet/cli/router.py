"""`fleet router start|stop|restart`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.start import tell_outcomes


def start(ctx: Context, *, no_wait: bool) -> int:
    """--json: as `fleet start`."""
    from relayfleet.bootstrap.router import router_lifecycle

    return tell_outcomes(ctx, [router_lifecycle(ctx.layout).start(wait=not no_wait)], verb="start")


def stop(ctx: Context) -> int:
    """--json: as `fleet start`."""
    from relayfleet.bootstrap.router import router_lifecycle

    return tell_outcomes(ctx, [router_lifecycle(ctx.layout).stop()], verb="stop")


def restart(ctx: Context, *, no_wait: bool) -> int:
    """--json: as `fleet start`. Routes with faults leave the old router running."""
    from relayfleet.bootstrap.router import router_lifecycle
    from relayfleet.config.load import load_gate

    load_gate(ctx.layout)
    keeper = router_lifecycle(ctx.layout)
    keeper.stop()
    return tell_outcomes(ctx, [keeper.start(wait=not no_wait)], verb="restart")

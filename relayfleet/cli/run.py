"""`fleet run agent|router|supervisor`: the daemons, in the foreground."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.late import load_late
from relayfleet.model.names import fault_of_name

_TLS = ("ssl", "asyncio.sslproto")


def agent(ctx: Context, *, name: str, if_wanted: bool) -> int:
    """Ends with 0 when it was told to stop. Raises FleetError."""
    load_late(*_TLS)
    import asyncio

    from relayfleet.bootstrap.runner import run_agent
    from relayfleet.errors import UsageError

    fault = fault_of_name(name)
    if fault:
        raise UsageError(f"run agent {name!r}", fault)
    asyncio.run(run_agent(ctx.layout, name, if_wanted=if_wanted))
    return 0


def router(ctx: Context, *, if_wanted: bool) -> int:
    """Ends with 0 when it was told to stop. Raises FleetError."""
    load_late(*_TLS)
    import asyncio

    from relayfleet.bootstrap.router import run_router

    asyncio.run(run_router(ctx.layout, if_wanted=if_wanted))
    return 0


def supervisor(ctx: Context) -> int:
    """Ends with 0 when it was told to stop. Raises FleetError."""
    load_late(*_TLS)
    import asyncio

    from relayfleet.bootstrap.supervisor import run_supervisor

    asyncio.run(run_supervisor(ctx.layout))
    return 0

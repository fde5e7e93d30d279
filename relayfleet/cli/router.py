"""`fleet router start|stop|restart|status`."""

from __future__ import annotations

import time

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, table
from relayfleet.cli.start import tell_outcomes


def start(ctx: Context, *, no_wait: bool) -> int:
    """--json: as `fleet start`."""
    from relayfleet.bootstrap import router_lifecycle

    return tell_outcomes(ctx, [router_lifecycle(ctx.layout).start(wait=not no_wait)], verb="start")


def stop(ctx: Context) -> int:
    """--json: as `fleet start`."""
    from relayfleet.bootstrap import router_lifecycle

    return tell_outcomes(ctx, [router_lifecycle(ctx.layout).stop()], verb="stop")


def restart(ctx: Context, *, no_wait: bool) -> int:
    """--json: as `fleet start`. Routes with faults leave the old router running."""
    from relayfleet.bootstrap import router_lifecycle
    from relayfleet.config.load import load_gate

    load_gate(ctx.layout)
    keeper = router_lifecycle(ctx.layout)
    keeper.stop()
    return tell_outcomes(ctx, [keeper.start(wait=not no_wait)], verb="restart")


def status(ctx: Context) -> int:
    """--json: {"version": 1, "router": {"state", "pid", "cursor_age_s", "polling", "reason", "paused_until", "owed",
    "delivered", "held", "held_items", "budgets": [...], "watches": [{"name", "kind", "repo", "filter", "poll_sec",
    "last_poll", "next_poll", "items", "last_error"}]}}; times in seconds, UTC. 1 when the router does not run."""
    from relayfleet.client.router import observe_router
    from relayfleet.config.roster import read_roster

    router = observe_router(ctx.layout, read_roster(ctx.layout).fleet_id)
    if ctx.json:
        emit_json({"version": 1, "router": router})
        return 0 if router["state"] == "running" else 1
    emit(f"router: {router['state']}" + (f" (pid {router['pid']})" if router["pid"] else ""))
    if router.get("error"):
        emit(f"  {router['error']}")
    if router["state"] != "running":
        return 1
    if router["reason"]:
        emit(f"  paused until {_clock(router['paused_until'])}: {router['reason']}")
    emit(f"  {router['delivered']} delivered, {router['owed']} owed, {router['held']} held back by trust")
    for budget in router["budgets"]:
        until = _clock(budget["reset_at"])
        emit(f"  {budget['resource']}: {budget['remaining']} of {budget['limit']} left until {until}")
    table(
        ("WATCH", "KIND", "REPO", "LAST POLL", "NEXT POLL", "ITEMS", "LAST ERROR"),
        [
            (
                watch["name"],
                watch["kind"],
                watch["repo"],
                _clock(watch["last_poll"]),
                _clock(watch["next_poll"]),
                watch["items"],
                watch["last_error"] or "-",
            )
            for watch in router["watches"]
        ],
    )
    for held in router["held_items"]:
        emit(
            f"held back: {held['repo']}#{held['number']} by {held['author']} ({held['association']}): {held['reason']}"
        )
    return 0


def _clock(at: float | None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) if at is not None else "-"

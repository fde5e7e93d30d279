"""`fleet route reset`: lets through again what agents answer each other on."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

from relayfleet.cli.context import Context
from relayfleet.cli.moment import shown
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.errors import ConfigError, UsageError
from relayfleet.model.fingerprint import route_fingerprint

if TYPE_CHECKING:
    from relayfleet.ports.cursor import Breaker

_INDEX = re.compile(r"[0-9]{1,6}")
_WHEN = {
    "told": "the router knows of it",
    "stopped": "no router runs: it counts from the next `fleet router start` on",
    "unresponsive": "the router does not answer: it counts after `fleet router restart`",
}


def run(ctx: Context, *, index: str | None) -> int:
    """Closes the open breakers, all or those of one route. What they held back stays in quarantine.

    --json: {"version": 1, "reset": [{"route": index in routes.json, or null when no route is like that any more,
    "about": OWNER/NAME#NUMBER, "count": entries in a row, "since": seconds, UTC}], "router": "told" | "stopped" |
    "unresponsive" | null when none was open}.
    """
    from relayfleet.client.tell_router import tell_router
    from relayfleet.config.load import load_gate
    from relayfleet.config.roster import read_roster

    places: dict[str, int] = {}
    try:
        routes = load_gate(ctx.layout).routes
    except ConfigError:
        # All of them are reset whatever routes.json says at the moment.
        if index is not None:
            raise
        routes = ()
    for place, route in enumerate(routes):
        places.setdefault(route_fingerprint(route), place)
    wanted = None
    if index is not None:
        doing = f"reset route {index!r}"
        if not _INDEX.fullmatch(index):
            raise UsageError(doing, "it is no index of a route", hint="`fleet route` shows them")
        if int(index) >= len(routes):
            there = f"there are routes 0 to {len(routes) - 1}" if routes else "routes.json has no routes"
            raise UsageError(doing, there, hint="`fleet route` shows them")
        wanted = route_fingerprint(routes[int(index)])
    closed = _reset(ctx, wanted)
    heard = tell_router(ctx.layout, read_roster(ctx.layout).fleet_id, "forget_breakers") if closed else None
    if ctx.json:
        reset = [
            {"route": places.get(one.route), "about": one.about, "count": one.count, "since": one.since}
            for one in closed
        ]
        emit_json({"version": 1, "reset": reset, "router": heard})
        return 0
    for one in closed:
        of = f"route {places[one.route]}" if one.route in places else "a route that is no more"
        emit(
            f"{of} lets {one.about} through again: cut off after {one.count} entries in a row, since {shown(one.since)}"
        )
    if heard is None:
        emit("no breaker is open")
    else:
        say(_WHEN[heard])
        say("what they held back is in `fleet quarantine list`")
    return 0


def _reset(ctx: Context, route: str | None) -> tuple[Breaker, ...]:
    from relayfleet.store.router_db.breakers import reset_breakers
    from relayfleet.store.router_db.database import Database

    if not ctx.layout.router_db.exists():
        return ()
    with closing(Database(ctx.layout.router_db)) as database:
        return reset_breakers(database, route=route)

"""`fleet router log`: why an item went where it went, or why not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from relayfleet.cli.context import Context
from relayfleet.cli.moment import seconds_of, shown
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.errors import UsageError
from relayfleet.model.item_name import ItemName, parse_item_name

if TYPE_CHECKING:
    from relayfleet.store.router_db.decisions import Delivery, Told


def run(ctx: Context, *, item: str | None, since: str | None, limit: int) -> int:
    """What happened, the oldest first: to whom it went and by which route, from whom it was held back, or why nobody
    got it. Nothing in it is a stranger's text but logins.

    --json: {"version": 1, "decisions": [{"at", "repo", "kind", "number", "key", "watch", "events", "why", "to":
    [{"agent", "routes", "entry", "state": "owed" | "delivered" | null when it is not remembered any more,
    "not_before"}], "held": [{"agent", "reason"}], "note"}]}; `why` says of an item that left a watch's view why it did,
    `routes` are indices in routes.json as it was then, times in seconds, UTC.
    """
    doing = f"tell about {item!r}" if item else "tell what happened"
    if limit < 1:
        raise UsageError(doing, "--limit is at least 1", hint="leave it out for the newest 20")
    about = name_of(item, doing=doing) if item is not None else None
    begin = time.time() - seconds_of(since, doing=doing) if since is not None else 0.0
    found = _read(ctx, about, since=begin, limit=limit)
    if ctx.json:
        emit_json({"version": 1, "decisions": [_as_json(one) for one in found]})
        return 0
    for one in found:
        for line in _words(one, now=time.time()):
            emit(line)
    if not found:
        say("nothing is known of that" if item or since else "nothing has happened yet")
        if item:
            say(f"who would get it: `fleet route explain {item if '://' in item else '<URL>'}`")
    return 0


def name_of(item: str, *, doing: str) -> ItemName:
    """Raises UsageError."""
    try:
        return parse_item_name(item)
    except ValueError as error:
        raise UsageError(doing, f"{item!r} names no item", hint=str(error)) from error


def _read(ctx: Context, about: ItemName | None, *, since: float, limit: int) -> tuple[Told, ...]:
    from relayfleet.store.router_db.database import Database
    from relayfleet.store.router_db.decisions import read_decisions

    if not ctx.layout.router_db.exists():
        return ()
    with closing(Database(ctx.layout.router_db)) as database:
        return read_decisions(database, about=about, since=since, limit=limit)


def _as_json(told: Told) -> dict[str, Any]:
    one = told.decision
    return {
        "at": one.at,
        "repo": one.repo,
        "kind": one.kind,
        "number": one.number,
        "key": one.key,
        "watch": one.record.get("watch"),
        "events": one.record.get("events", []),
        "why": one.record.get("why", ""),
        "to": [_sent(sent, told.deliveries.get(sent["agent"])) for sent in one.record["to"]],
        "held": one.record.get("held", []),
        "note": one.record.get("note", ""),
    }


def _sent(sent: Mapping[str, Any], delivery: Delivery | None) -> dict[str, Any]:
    return {
        "agent": sent["agent"],
        "routes": sent.get("routes", []),
        "entry": delivery.entry if delivery else sent.get("entry"),
        "state": delivery.state if delivery else None,
        "not_before": delivery.not_before if delivery else None,
    }


def _words(told: Told, *, now: float) -> Iterator[str]:
    one = _as_json(told)
    why = f" ({one['why']})" if one["why"] else ""
    yield f"{shown(one['at'])}  {one['repo']}#{one['number']} ({one['kind']})  {' '.join(one['events'])}{why}"
    watch = f"    seen by watch {one['watch']}"
    yield f"{watch}: {one['note']}" if one["note"] else watch
    for sent in one["to"]:
        routes = ", ".join(map(str, sent["routes"]))
        yield f"    to {sent['agent']} by route {routes}, as {sent['entry']}{_state(sent, now=now)}"
    for held in one["held"]:
        yield f"    held back from {held.get('agent')}: {held.get('reason')}"


def _state(sent: Mapping[str, Any], *, now: float) -> str:
    if sent["state"] == "owed":
        waits = sent["not_before"] and sent["not_before"] > now
        return f": owed, waits until {shown(sent['not_before'])}" if waits else ": owed"
    return ": delivered" if sent["state"] == "delivered" else ""

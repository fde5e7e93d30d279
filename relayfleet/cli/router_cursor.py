"""`fleet router cursor`: what the router remembers, and how to have it forget a watch."""

from __future__ import annotations

import sys
import time
from contextlib import closing

from relayfleet.cli.context import Context
from relayfleet.cli.moment import shown
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.config.faults import did_you_mean
from relayfleet.errors import FleetError, LockHeld


def show(ctx: Context) -> int:
    """How far every watch and feed has been read, and how large what is remembered has become.

    --json: {"version": 1, "path", "bytes", "watches": [{"name", "since", "items"}], "feeds": [{"feed", "kind", "mark",
    "at", "items"}], "rows": {table: count}, "owed", "oldest_held_at", "open_breakers"}; null and empty where no router
    has run. `mark` is by GitHub's clock, the other times are seconds, UTC. A watch's `items` are those in its view, a
    feed's those that are remembered.
    """
    from relayfleet.store.router_db.database import Database
    from relayfleet.store.router_db.summary import NOTHING, summary_of

    path = ctx.layout.router_db
    known = NOTHING
    if path.exists():
        with closing(Database(path)) as database:
            known = summary_of(database)
    if ctx.json:
        emit_json(
            {
                "version": 1,
                "path": str(path),
                "bytes": known.bytes,
                "watches": [{"name": w.name, "since": w.since, "items": w.items} for w in known.watches],
                "feeds": [
                    {"feed": f.feed, "kind": f.kind, "mark": f.mark, "at": f.at, "items": f.items} for f in known.feeds
                ],
                "rows": dict(known.rows),
                "owed": known.owed,
                "oldest_held_at": known.oldest_held_at,
                "open_breakers": len(known.open_breakers),
            }
        )
        return 0
    if not path.exists():
        say("no router has run here yet")
        return 0
    table(("WATCH", "SINCE", "ITEMS IN VIEW"), [(w.name, shown(w.since), w.items) for w in known.watches])
    emit("")
    table(
        ("FEED", "KIND", "READ UP TO", "RECORDED", "ITEMS KNOWN"),
        [(f.feed, f.kind, f.mark or "-", shown(f.at), f.items) for f in known.feeds],
    )
    emit("")
    emit(", ".join(f"{name}: {count}" for name, count in known.rows.items()))
    emit(f"{path}: {known.bytes / 1_000_000:.1f} MB")
    return 0


def export(ctx: Context) -> int:
    """All of it as JSON on stdout, one row a line; what trust holds back is in it, too.

    --json: the same: {"version": 1, "format", "exported_at", "watches": [...], "progress": [...], "snapshots": [...],
    "members": [...], "deliveries": [...], "held": [...], "decisions": [...], "cooldowns": [...], "breakers": [...]}, a
    key for each table of router.db with its rows as objects.
    """
    from relayfleet.store.router_db.database import Database
    from relayfleet.store.router_db.export import export as pieces

    path = ctx.layout.router_db
    if not path.exists():
        raise FleetError("export the cursor", "no router has run here yet", hint="`fleet router start` makes it")
    with closing(Database(path)) as database:
        for piece in pieces(database, now=time.time()):
            sys.stdout.write(piece)
    sys.stdout.flush()
    return 0


def forget(ctx: Context, *, watch: str) -> int:
    """The watch begins anew: its next look is a silent snapshot. Only while no router runs.

    --json: {"version": 1, "watch", "forgotten": whether anything was known of it, "items": how many were in its view}.
    """
    from relayfleet.config.load import load_gate
    from relayfleet.store.lock import FileLock
    from relayfleet.store.router_db.database import Database
    from relayfleet.store.router_db.forget import forget_watch, known_watches

    doing = f"forget watch {watch!r}"
    lock = FileLock(ctx.layout.router_lock)
    try:
        # A router that began meanwhile would have the watch in memory.
        lock.acquire()
    except LockHeld as error:
        hint = "`fleet router stop`, forget it, `fleet router start`"
        raise FleetError(doing, "the router is running", hint=hint) from error
    try:
        items, known = None, []
        if ctx.layout.router_db.exists():
            with closing(Database(ctx.layout.router_db)) as database:
                items = forget_watch(database, watch)
                known = list(known_watches(database))
    finally:
        lock.release()
    if items is None:
        written = [one.name for one in load_gate(ctx.layout).watches]
        if watch not in written:
            names = sorted({*known, *written})
            hint = f"there are: {', '.join(names[:8])}" if names else "routes.json has no watches"
            raise FleetError(doing, f"there is no such watch{did_you_mean(watch, names)}", hint=hint)
    if ctx.json:
        emit_json({"version": 1, "watch": watch, "forgotten": items is not None, "items": items or 0})
    elif items is None:
        emit(f"{watch}: nothing was known of it")
    else:
        emit(f"{watch}: forgotten, with {items} items in view; it begins with a silent snapshot")
    return 0

"""What the router remembers, counted: for a person who wants to know how far it has read and how large it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relayfleet.ports.cursor import Breaker
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.records import decode_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSummary:
    """`since` is when its silent snapshot was taken (seconds since the epoch), `items` how many are in its view."""

    name: str
    since: float
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSummary:
    """One kind of item of one feed. `mark` is up to when it was read, by GitHub's clock; `at` when that was recorded,
    in seconds since the epoch; `items` are the snapshots that the feed has, of all its kinds."""

    feed: str
    kind: str
    mark: str
    at: float
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`rows` are by table. `oldest_held_at` is None when nothing is held; `bytes` counts the write-ahead log, too."""

    watches: tuple[WatchSummary, ...]
    feeds: tuple[FeedSummary, ...]
    rows: Mapping[str, int]
    owed: int
    oldest_held_at: float | None
    open_breakers: tuple[Breaker, ...]
    bytes: int


NOTHING = Summary(watches=(), feeds=(), rows={}, owed=0, oldest_held_at=None, open_breakers=(), bytes=0)
_TABLES = ("snapshots", "members", "deliveries", "held", "decisions", "cooldowns", "breakers")


def summary_of(database: Database) -> Summary:
    """Raises StorageFailed."""
    db = database.connection
    with database.refusals():
        in_view = dict(db.execute("SELECT watch, count(*) FROM members GROUP BY watch").fetchall())
        in_feed = dict(db.execute("SELECT feed, count(*) FROM snapshots GROUP BY feed").fetchall())
        watches = tuple(
            WatchSummary(name=name, since=since, items=in_view.get(name, 0))
            for name, since in db.execute("SELECT name, since FROM watches ORDER BY name")
        )
        feeds = tuple(
            FeedSummary(feed=feed, kind=kind, mark=_mark(record), at=at, items=in_feed.get(feed, 0))
            for feed, kind, record, at in db.execute("SELECT feed, kind, record, at FROM progress ORDER BY feed, kind")
        )
        rows = {
            table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - names of ours
            for table in _TABLES
        }
        owed = db.execute("SELECT count(*) FROM deliveries WHERE state = 'owed'").fetchone()[0]
        oldest = db.execute("SELECT min(at) FROM held").fetchone()[0]
        breakers = open_breakers(database)
        size = sum(path.stat().st_size for path in database.files() if path.exists())
    return Summary(
        watches=watches,
        feeds=feeds,
        rows=rows,
        owed=owed,
        oldest_held_at=oldest,
        open_breakers=breakers,
        bytes=size,
    )


def open_breakers(database: Database) -> tuple[Breaker, ...]:
    """The oldest first. Raises StorageFailed."""
    with database.refusals():
        rows = database.connection.execute(
            "SELECT route, item, count, since, about FROM breakers WHERE open = 1 ORDER BY since, item"
        ).fetchall()
    return tuple(
        Breaker(route=route, item=item, count=count, since=since, open=True, about=about)
        for route, item, count, since, about in rows
    )


def _mark(record: str) -> str:
    try:
        return decode_progress(record).mark
    except (ValueError, KeyError, TypeError):
        return "unreadable"

"""The router's durable memory.

One transaction takes a whole round: how far each feed was read, what is in each watch's view, and the deliveries that
follow from it. So a crash at any instruction leaves either the round undone, and it is read again, or the deliveries
owed, and they are made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from relayfleet.model.entry import Entry, decode_entry
from relayfleet.model.item import Kind
from relayfleet.model.join import join_entries
from relayfleet.model.names import EntryId
from relayfleet.model.snapshot import Snapshot, is_busy, is_open_pull
from relayfleet.model.watch import Feed, Progress
from relayfleet.ports.cursor import Batch, Breaker, Cooldown, CursorCounts, FeedChange, Held, Owed
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.decisions import record_decisions
from relayfleet.store.router_db.past import was_told
from relayfleet.store.router_db.recent import Recent
from relayfleet.store.router_db.records import (
    decode_held,
    decode_progress,
    decode_snapshot,
    encode_held,
    encode_line,
    encode_progress,
    encode_snapshot,
)

# The texts of what was delivered are kept for `fleet router replay`, their keys for much longer, for dedup.
KEEP_TEXTS_S = 7 * 86_400.0
KEEP_TEXT_ROWS = 20_000
KEEP_SETTLED_S = 90 * 86_400.0
KEEP_SETTLED_ROWS = 1_000_000
KEEP_HELD_ROWS = 10_000
KEEP_DECISION_ROWS = 50_000
# What is in no view is remembered so that it is known when it comes back.
KEEP_STRAYS_S = 30 * 86_400.0
_CHUNK = 500
# Within a round the same snapshots are asked for several times, and what was just recorded is delivered at once.
_RECENT_SNAPSHOTS = 1000
_RECENT_FEEDS = 4000
_RECENT_ENTRIES = 500


class SqliteCursor:
    """Implements ports.Cursor. Belongs to the thread that opened it."""

    def __init__(self, path: Path, *, keep_settled_rows: int = KEEP_SETTLED_ROWS) -> None:
        """Opens or creates the database. Raises StorageFailed, or FleetError for another format's file."""
        self._database = Database(path)
        self._db = self._database.connection
        self._keep_settled_rows = keep_settled_rows
        # Nobody else writes these, but a person who has the router stopped.
        self._progress: Recent[str, Mapping[Kind, Progress]] = Recent(_RECENT_FEEDS)
        self._snapshots: Recent[str, Snapshot] = Recent(_RECENT_SNAPSHOTS)
        self._entries: Recent[EntryId, Entry] = Recent(_RECENT_ENTRIES)
        # What was handed out and is not settled, by its row: it may be in its inbox already, nothing is joined to it.
        self._under_way: dict[EntryId, int] = {}

    def close(self) -> None:
        self._database.close()

    def watches(self) -> Mapping[str, str]:
        return dict(self._rows("SELECT name, fingerprint FROM watches"))

    def progress(self, feed: Feed) -> Mapping[Kind, Progress]:
        found = self._progress.of([feed.key])
        if not found:
            rows = self._rows("SELECT kind, record FROM progress WHERE feed = ?", (feed.key,))
            found[feed.key] = {kind: decode_progress(record) for kind, record in rows}
            self._progress.update(found)
        return found[feed.key]

    def snapshots(self, node_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        found = self._snapshots.of(node_ids)
        for marks, chunk in _in_chunks([node_id for node_id in node_ids if node_id not in found]):
            sql = f"SELECT node_id, record FROM snapshots WHERE node_id IN ({marks})"  # noqa: S608 - question marks
            read = {node_id: decode_snapshot(record) for node_id, record in self._rows(sql, chunk)}
            self._snapshots.update(read)
            found |= read
        return found

    def in_view(self, watch: str, node_ids: Sequence[str]) -> Set[str]:
        found: set[str] = set()
        for marks, chunk in _in_chunks(node_ids):
            sql = f"SELECT node_id FROM members WHERE watch = ? AND node_id IN ({marks})"  # noqa: S608 - question marks
            found.update(node_id for (node_id,) in self._rows(sql, (watch, *chunk)))
        return found

    def members(self, watches: Collection[str]) -> Sequence[str]:
        marks = _marks(watches)
        sql = f"SELECT DISTINCT node_id FROM members WHERE watch IN ({marks})"  # noqa: S608 - question marks
        return [node_id for (node_id,) in self._rows(sql, tuple(watches))]

    def open_pulls(self, watches: Collection[str]) -> Sequence[str]:
        marks = _marks(watches)
        sql = (
            "SELECT DISTINCT node_id FROM members JOIN snapshots USING (node_id)"  # noqa: S608 - question marks
            f" WHERE watch IN ({marks}) AND open = 1"
        )
        return [node_id for (node_id,) in self._rows(sql, tuple(watches))]

    def busy_pulls(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for feed, node_id in self._rows("SELECT feed, node_id FROM snapshots WHERE busy = 1"):
            found.setdefault(feed, []).append(node_id)
        return found

    def told(self, agents: Collection[str], *, kind: Kind, node_id: str) -> Set[str]:
        return {agent for agent in agents if was_told(self._database, agent, kind=kind, node_id=node_id)}

    def cooldowns(self) -> Sequence[Cooldown]:
        rows = self._rows("SELECT route, item, until FROM cooldowns")
        return [Cooldown(route=route, item=item, until=until) for route, item, until in rows]

    def breakers(self) -> Sequence[Breaker]:
        rows = self._rows("SELECT route, item, count, since, open, about FROM breakers ORDER BY since")
        return [
            Breaker(route=route, item=item, count=count, since=since, open=bool(opened), about=about)
            for route, item, count, since, opened, about in rows
        ]

    def commit(self, batch: Batch, *, now: float) -> tuple[Owed, ...]:
        """Records a whole round at once; gives the deliveries that are new (an agent gets a key once)."""
        with self._database.transaction() as db:
            for change in batch.feeds:
                _record(db, change, now=now)
            new = [owed for owed in batch.owed if owe(db, owed, now=now, under_way=self._under_way)]
            db.executemany(
                "INSERT OR IGNORE INTO held (key, watch, record, at) VALUES (?, ?, ?, ?)",
                [(one.key, one.watch, encode_held(one), one.at) for one in batch.held],
            )
            record_decisions(db, batch.decisions)
            db.executemany(
                "INSERT OR REPLACE INTO cooldowns (item, route, until) VALUES (?, ?, ?)",
                [(one.item, one.route, one.until) for one in batch.cooldowns],
            )
            db.executemany(
                "INSERT OR REPLACE INTO breakers (item, route, count, since, open, about) VALUES (?, ?, ?, ?, ?, ?)",
                [(one.item, one.route, one.count, one.since, one.open, one.about) for one in batch.breakers],
            )
        for change in batch.feeds:
            known = self._progress.of([change.feed.key])
            self._progress.update({key: {**before, **change.progress} for key, before in known.items()})
            self._snapshots.update({one.node_id: one for one in change.snapshots})
            self._snapshots.drop(change.gone)
        # What waits may yet be joined to another.
        self._entries.update({owed.entry.id: owed.entry for owed in new if owed.not_before <= now})
        return tuple(new)

    def owed(
        self, *, now: float, ahead_s: float = inf, besides: Collection[str] = (), limit: int = 500
    ) -> Sequence[Owed]:
        """What is to be delivered now and is not yet, by priority, then age, leaving out these agents. What is to wait
        for more than `ahead_s` is to be delivered now, too. What cannot be read (somebody edited the file) is passed
        over."""
        sql = (
            "SELECT id, agent, key, entry_id, entry, item, priority, not_before FROM deliveries"  # noqa: S608 - marks
            f" WHERE state = 'owed' AND (not_before <= ? OR not_before > ?) AND agent NOT IN ({_marks(besides)})"
            " ORDER BY priority DESC, id LIMIT ?"
        )
        found = []
        rows = self._rows(sql, (now, now + ahead_s, *besides, limit))
        recent = self._entries.of([row[3] for row in rows])
        for row_id, agent, key, entry_id, line, item, priority, not_before in rows:
            entry = recent.get(entry_id) or decode_entry(line)
            if entry is not None:
                owed = Owed(agent=agent, key=key, entry=entry, item=item, priority=priority, not_before=not_before)
                found.append(owed)
                self._under_way[owed.entry.id] = row_id
        return found

    def due_at(self, *, besides: Collection[str] = ()) -> float | None:
        """The first moment at which something owed may be delivered, None when nothing is, leaving out these agents."""
        sql = (
            "SELECT min(not_before) FROM deliveries"  # noqa: S608 - question marks
            f" WHERE state = 'owed' AND agent NOT IN ({_marks(besides)})"
        )
        return next((moment for (moment,) in self._rows(sql, besides)), None)

    def settle(self, delivered: Sequence[EntryId], *, now: float) -> None:
        """Marks deliveries that `owed` gave as made. Should a power cut undo that, they are made again, which the inbox
        refuses."""
        with self._database.transaction(synced=False) as db:
            db.executemany(
                "UPDATE deliveries SET state = 'done', at = ? WHERE id = ? AND state = 'owed'",
                [(now, self._under_way[entry_id]) for entry_id in delivered if entry_id in self._under_way],
            )
        self._entries.drop(delivered)
        for entry_id in delivered:
            self._under_way.pop(entry_id, None)

    def retain(self, *, watches: Collection[str], feeds: Collection[str]) -> None:
        """Forgets all watches and feeds (by key) but these: if one comes back, it begins anew."""
        gone = {name for (name,) in self._rows("SELECT name FROM watches")} - set(watches)
        ended = {feed for (feed,) in self._rows("SELECT DISTINCT feed FROM progress")} - set(feeds)
        if gone or ended:
            with self._database.transaction() as db:
                db.executemany("DELETE FROM watches WHERE name = ?", [(name,) for name in gone])
                db.executemany("DELETE FROM members WHERE watch = ?", [(name,) for name in gone])
                db.executemany("DELETE FROM progress WHERE feed = ?", [(feed,) for feed in ended])
                db.executemany("DELETE FROM snapshots WHERE feed = ?", [(feed,) for feed in ended])
            self._progress.drop(ended)
            self._snapshots.clear()

    def prune(self, *, now: float) -> None:
        """Forgets what was settled or held back long ago."""
        self._snapshots.clear()
        with self._database.transaction() as db:
            db.execute(
                "DELETE FROM snapshots WHERE at < ? AND node_id NOT IN (SELECT node_id FROM members)",
                (now - KEEP_STRAYS_S,),
            )
            newest = db.execute("SELECT max(id) FROM deliveries").fetchone()[0] or 0
            db.execute(
                "UPDATE deliveries SET entry = '' WHERE state = 'done' AND entry != '' AND (at < ? OR id <= ?)",
                (now - KEEP_TEXTS_S, newest - KEEP_TEXT_ROWS),
            )
            db.execute(
                "DELETE FROM deliveries WHERE state = 'done' AND (at < ? OR id <= ?)",
                (now - KEEP_SETTLED_S, newest - self._keep_settled_rows),
            )
            db.execute("DELETE FROM held WHERE id <= (SELECT max(id) FROM held) - ?", (KEEP_HELD_ROWS,))
            db.execute("DELETE FROM decisions WHERE id <= (SELECT max(id) FROM decisions) - ?", (KEEP_DECISION_ROWS,))
            db.execute("DELETE FROM cooldowns WHERE until < ?", (now,))
            db.execute("DELETE FROM breakers WHERE open = 0 AND since < ?", (now - KEEP_STRAYS_S,))

    def newest_held(self, limit: int) -> Sequence[Held]:
        rows = self._rows("SELECT id, key, watch, record, at FROM held ORDER BY id DESC LIMIT ?", (limit,))
        found = []
        for row in rows:
            with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
                found.append(decode_held(*row))
        return found

    def counts(self) -> CursorCounts:
        with self._database.refusals():
            items = dict(self._db.execute("SELECT watch, count(*) FROM members GROUP BY watch").fetchall())
            # Each by an index: there may be a million.
            owed = self._db.execute("SELECT count(*) FROM deliveries WHERE state = 'owed'").fetchone()[0]
            known = self._db.execute("SELECT count(*) FROM deliveries").fetchone()[0]
            held = self._db.execute("SELECT count(*) FROM held").fetchone()[0]
            read_at = self._db.execute("SELECT max(at) FROM progress").fetchone()[0]
        return CursorCounts(
            items=items,
            owed=owed,
            delivered=known - owed,
            held=held,
            committed_at=read_at,
        )

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        with self._database.refusals():
            return self._db.execute(sql, tuple(values)).fetchall()


def _record(db: sqlite3.Connection, change: FeedChange, *, now: float) -> None:
    feed = change.feed.key
    db.executemany(
        "INSERT OR REPLACE INTO progress (feed, kind, record, at) VALUES (?, ?, ?, ?)",
        [(feed, kind, encode_progress(progress), now) for kind, progress in change.progress.items()],
    )
    db.executemany(
        "INSERT OR REPLACE INTO snapshots (node_id, feed, open, busy, at, record) VALUES (?, ?, ?, ?, ?, ?)",
        [(one.node_id, feed, is_open_pull(one), is_busy(one), now, encode_snapshot(one)) for one in change.snapshots],
    )
    db.executemany("DELETE FROM snapshots WHERE node_id = ?", [(node_id,) for node_id in change.gone])
    for fresh in change.fresh:
        db.execute("DELETE FROM members WHERE watch = ?", (fresh.name,))
        db.execute(
            "INSERT OR REPLACE INTO watches (name, fingerprint, since) VALUES (?, ?, ?)",
            (fresh.name, fresh.fingerprint, now),
        )
        db.executemany(
            "INSERT OR IGNORE INTO members (watch, node_id) VALUES (?, ?)",
            [(fresh.name, node_id) for node_id in fresh.members],
        )
    db.executemany("INSERT OR IGNORE INTO members (watch, node_id) VALUES (?, ?)", change.entered)
    db.executemany("DELETE FROM members WHERE watch = ? AND node_id = ?", change.left)


def owe(db: sqlite3.Connection, owed: Owed, *, now: float, under_way: Collection[str] = ()) -> bool:
    """False when the agent got the key before. What waits for the same item takes the new entry in, unless it is
    `under_way` to its inbox: `now` is when the round began, and what waited then may be appended by now."""
    waiting = None
    if owed.not_before > now:
        rows = db.execute(
            "SELECT id, entry, entry_id FROM deliveries"
            " WHERE state = 'owed' AND agent = ? AND item = ? AND not_before > ? AND not_before <= ?",
            (owed.agent, owed.item, now, owed.not_before),
        )
        waiting = next((row for row in rows if row[2] not in under_way), None)
    earlier = decode_entry(waiting[1]) if waiting else None
    entry = join_entries(earlier, owed.entry) if earlier else owed.entry
    inserted = db.execute(
        "INSERT OR IGNORE INTO deliveries (agent, key, entry_id, entry, item, priority, not_before, state, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            owed.agent,
            owed.key,
            entry.id,
            b"" if earlier else encode_line(entry),
            owed.item,
            owed.priority,
            owed.not_before,
            "done" if earlier else "owed",
            now,
        ),
    ).rowcount
    if inserted and waiting and earlier:
        db.execute(
            "UPDATE deliveries SET entry = ?, priority = max(priority, ?) WHERE id = ?",
            (encode_line(entry), owed.priority, waiting[0]),
        )
    return bool(inserted)


def _in_chunks(node_ids: Sequence[str]) -> Iterable[tuple[str, Sequence[str]]]:
    for start in range(0, len(node_ids), _CHUNK):
        chunk = node_ids[start : start + _CHUNK]
        yield _marks(chunk), chunk


def _marks(values: Collection[str]) -> str:
    return ",".join("?" * len(values))

"""The router's durable memory: state/router.db.

SQLite in WAL mode with synchronous=FULL: a commit that returned is on disk. One transaction takes a whole round: how
far each watch has read, what is in its view, and the deliveries that follow from it. So a crash at any instruction
leaves either the round undone, and it is read again, or the deliveries owed, and they are made.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.entry import decode_entry, encode_entry
from relayfleet.model.names import EntryId
from relayfleet.model.watch import Progress
from relayfleet.ports.cursor import CursorCounts, Held, Member, Owed, WatchChange

SCHEMA_VERSION = 1
KEEP_SETTLED_S = 30 * 86_400.0
KEEP_SETTLED_ROWS = 200_000
KEEP_HELD_ROWS = 10_000

_SCHEMA = """
CREATE TABLE watches (
    name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, progress TEXT NOT NULL, polled_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE members (
    watch TEXT NOT NULL, node_id TEXT NOT NULL, number INTEGER NOT NULL, content TEXT NOT NULL,
    updated_at TEXT NOT NULL, PRIMARY KEY (watch, node_id)
) WITHOUT ROWID;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, agent TEXT NOT NULL, key TEXT NOT NULL, entry_id TEXT NOT NULL UNIQUE,
    entry BLOB NOT NULL, state TEXT NOT NULL CHECK (state IN ('owed', 'done')), at REAL NOT NULL,
    UNIQUE (agent, key)
);
CREATE INDEX deliveries_owed ON deliveries (id) WHERE state = 'owed';
CREATE TABLE held (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, watch TEXT NOT NULL, record TEXT NOT NULL, at REAL NOT NULL,
    UNIQUE (key, watch)
);
"""
_CHUNK = 500


class SqliteCursor:
    """Implements ports.Cursor. Belongs to the thread that opened it."""

    def __init__(self, path: Path, *, keep_settled_rows: int = KEEP_SETTLED_ROWS) -> None:
        """Opens or creates the database, mode 0600. Raises StorageFailed, or FleetError for a newer version's file."""
        self._path = path
        self._keep_settled_rows = keep_settled_rows
        with self._refusals():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise FleetError(
                f"open {str(self._path)!r}",
                f"it was written by a newer relayfleet (format {version}, this one knows {SCHEMA_VERSION})",
                hint="upgrade this checkout",
            )
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def close(self) -> None:
        self._db.close()

    def progress(self, watch: str, fingerprint: str) -> Progress | None:
        """None when the watch was never polled, or looked at something else then."""
        with self._refusals():
            row = self._db.execute(
                "SELECT progress FROM watches WHERE name = ? AND fingerprint = ?", (watch, fingerprint)
            ).fetchone()
        return _decode_progress(row[0]) if row else None

    def members(self, watch: str, node_ids: Sequence[str]) -> Mapping[str, Member]:
        found: dict[str, Member] = {}
        with self._refusals():
            for start in range(0, len(node_ids), _CHUNK):
                chunk = node_ids[start : start + _CHUNK]
                marks = ",".join("?" * len(chunk))
                rows = self._db.execute(
                    "SELECT node_id, number, content, updated_at FROM members"  # noqa: S608 - marks are question marks
                    f" WHERE watch = ? AND node_id IN ({marks})",
                    (watch, *chunk),
                )
                for node_id, number, content, updated_at in rows:
                    found[node_id] = Member(node_id=node_id, number=number, content=content, updated_at=updated_at)
        return found

    def commit(
        self, changes: Sequence[WatchChange], owed: Sequence[Owed], held: Sequence[Held], *, now: float
    ) -> tuple[Owed, ...]:
        """Records a whole round at once; gives the deliveries that are new (an agent gets a key once)."""
        new: list[Owed] = []
        with self._transaction() as db:
            for change in changes:
                _record(db, change, now=now)
            for delivery in owed:
                cursor = db.execute(
                    "INSERT OR IGNORE INTO deliveries (agent, key, entry_id, entry, state, at)"
                    " VALUES (?, ?, ?, ?, 'owed', ?)",
                    (delivery.agent, delivery.key, delivery.entry.id, encode_entry(delivery.entry), now),
                )
                if cursor.rowcount:
                    new.append(delivery)
            db.executemany(
                "INSERT OR IGNORE INTO held (key, watch, record, at) VALUES (?, ?, ?, ?)",
                [(one.key, one.watch, json.dumps(asdict(one)), one.at) for one in held],
            )
        return tuple(new)

    def owed(self, *, besides: Collection[str] = (), limit: int = 500) -> Sequence[Owed]:
        """What is not delivered yet, oldest first, leaving out these agents."""
        marks = ",".join("?" * len(besides))
        with self._refusals():
            rows = self._db.execute(
                "SELECT agent, key, entry FROM deliveries"  # noqa: S608 - marks are question marks
                f" WHERE state = 'owed' AND agent NOT IN ({marks}) ORDER BY id LIMIT ?",
                (*besides, limit),
            ).fetchall()
        found = []
        for agent, key, line in rows:
            entry = decode_entry(line)
            if entry is not None:
                found.append(Owed(agent=agent, key=key, entry=entry))
        return found

    def settle(self, delivered: Sequence[EntryId], *, now: float) -> None:
        """Marks deliveries as made. Their text is dropped: it is in the inbox."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE deliveries SET state = 'done', entry = '', at = ? WHERE entry_id = ?",
                [(now, entry_id) for entry_id in delivered],
            )

    def prune(self, *, watches: Sequence[str], now: float) -> None:
        """Forgets watches that are no more, and what was settled or held back long ago."""
        with self._transaction() as db:
            known = {row[0] for row in db.execute("SELECT name FROM watches")}
            for name in known - set(watches):
                db.execute("DELETE FROM watches WHERE name = ?", (name,))
                db.execute("DELETE FROM members WHERE watch = ?", (name,))
            db.execute("DELETE FROM deliveries WHERE state = 'done' AND at < ?", (now - KEEP_SETTLED_S,))
            db.execute(
                "DELETE FROM deliveries WHERE state = 'done' AND id <= (SELECT max(id) FROM deliveries) - ?",
                (self._keep_settled_rows,),
            )
            db.execute("DELETE FROM held WHERE id <= (SELECT max(id) FROM held) - ?", (KEEP_HELD_ROWS,))

    def counts(self) -> CursorCounts:
        with self._refusals():
            items = dict(self._db.execute("SELECT watch, count(*) FROM members GROUP BY watch").fetchall())
            states = dict(self._db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())
            held = self._db.execute("SELECT count(*) FROM held").fetchone()[0]
            polled_at = self._db.execute("SELECT max(polled_at) FROM watches").fetchone()[0]
        return CursorCounts(
            items=items,
            owed=states.get("owed", 0),
            delivered=states.get("done", 0),
            held=held,
            committed_at=polled_at,
        )

    def held(self, *, limit: int = 100) -> tuple[Held, ...]:
        """What trust held back, the newest first."""
        with self._refusals():
            rows = self._db.execute("SELECT record FROM held ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return tuple(_decode_held(record) for (record,) in rows)

    def export(self) -> dict[str, Any]:
        """Everything, for JSON: {"version", "watches", "members", "deliveries", "held"}, each a list of objects."""
        with self._refusals():
            return {
                "version": SCHEMA_VERSION,
                "watches": [
                    {"name": name, "fingerprint": fingerprint, "progress": json.loads(progress), "polled_at": polled_at}
                    for name, fingerprint, progress, polled_at in self._db.execute(
                        "SELECT name, fingerprint, progress, polled_at FROM watches ORDER BY name"
                    )
                ],
                "members": [
                    {"watch": watch, "node_id": node_id, "number": number, "content": content, "updated_at": updated_at}
                    for watch, node_id, number, content, updated_at in self._db.execute(
                        "SELECT watch, node_id, number, content, updated_at FROM members ORDER BY watch, number"
                    )
                ],
                "deliveries": [
                    {"agent": agent, "key": key, "entry_id": entry_id, "state": state, "at": at}
                    for agent, key, entry_id, state, at in self._db.execute(
                        "SELECT agent, key, entry_id, state, at FROM deliveries ORDER BY id"
                    )
                ],
                "held": [json.loads(record) for (record,) in self._db.execute("SELECT record FROM held ORDER BY id")],
            }

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._refusals():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            hint = "free some space, or move a damaged router.db away: the next start makes a silent snapshot"
            raise StorageFailed(f"use {str(self._path)!r}", str(error), hint=hint) from error


def _record(db: sqlite3.Connection, change: WatchChange, *, now: float) -> None:
    if change.fresh:
        db.execute("DELETE FROM members WHERE watch = ?", (change.watch,))
    db.execute(
        "INSERT OR REPLACE INTO watches (name, fingerprint, progress, polled_at) VALUES (?, ?, ?, ?)",
        (change.watch, change.fingerprint, _encode_progress(change.progress), now),
    )
    db.executemany(
        "INSERT OR REPLACE INTO members (watch, node_id, number, content, updated_at) VALUES (?, ?, ?, ?, ?)",
        [(change.watch, one.node_id, one.number, one.content, one.updated_at) for one in change.entered],
    )
    db.executemany(
        "DELETE FROM members WHERE watch = ? AND node_id = ?", [(change.watch, node_id) for node_id in change.left]
    )


def _encode_progress(progress: Progress) -> str:
    record = {"mark": progress.mark, "etags": dict(progress.etags), "open_runs": list(progress.open_runs)}
    return json.dumps(record, separators=(",", ":"))


def _decode_progress(text: str) -> Progress:
    record = json.loads(text)
    return Progress(mark=record["mark"], etags=record["etags"], open_runs=tuple(record["open_runs"]))


def _decode_held(text: str) -> Held:
    record = json.loads(text)
    return Held(**{**record, "agents": tuple(record["agents"])})

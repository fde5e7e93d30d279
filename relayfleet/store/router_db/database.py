"""The database file: its tables, and transactions that fail in the fleet's own words.

SQLite in WAL mode with synchronous=FULL: a commit that returned is on disk. Other processes (`fleet quarantine`, `fleet
router log`) open it at the same time as the router.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relayfleet.errors import FleetError, StorageFailed

FORMAT = 2

_SCHEMA = """
CREATE TABLE progress (
    feed TEXT NOT NULL, kind TEXT NOT NULL, record TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (feed, kind)
) WITHOUT ROWID;
CREATE TABLE watches (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshots (
    node_id TEXT PRIMARY KEY, feed TEXT NOT NULL, open INTEGER NOT NULL, busy INTEGER NOT NULL, at REAL NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX snapshots_busy ON snapshots (feed) WHERE busy = 1;
CREATE TABLE members (watch TEXT NOT NULL, node_id TEXT NOT NULL, PRIMARY KEY (watch, node_id)) WITHOUT ROWID;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, agent TEXT NOT NULL, key TEXT NOT NULL, entry_id TEXT NOT NULL,
    entry BLOB NOT NULL, item TEXT NOT NULL, priority INTEGER NOT NULL, not_before REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('owed', 'done')), at REAL NOT NULL, UNIQUE (agent, key)
);
CREATE INDEX deliveries_owed ON deliveries (priority DESC, id) WHERE state = 'owed';
CREATE TABLE held (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, watch TEXT NOT NULL, record TEXT NOT NULL,
    at REAL NOT NULL, UNIQUE (key, watch)
);
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, repo TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL,
    key TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX decisions_by_item ON decisions (repo, number);
CREATE TABLE cooldowns (
    item TEXT NOT NULL, route TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (item, route)
) WITHOUT ROWID;
CREATE TABLE breakers (
    item TEXT NOT NULL, route TEXT NOT NULL, count INTEGER NOT NULL, since REAL NOT NULL, open INTEGER NOT NULL,
    about TEXT NOT NULL, PRIMARY KEY (item, route)
) WITHOUT ROWID;
"""


class Database:
    """One connection; belongs to the thread that opened it."""

    def __init__(self, path: Path, *, wait_s: float = 10.0) -> None:
        """Opens or creates the database, mode 0600; another's transaction is waited for so long. Raises StorageFailed,
        or FleetError for another format's file."""
        self.path = path
        with self.refusals():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=wait_s)
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    def close(self) -> None:
        self.connection.close()

    def files(self) -> tuple[Path, Path]:
        """The database and its write-ahead log, which need not be there."""
        return self.path, self.path.with_name(self.path.name + "-wal")

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """Raises StorageFailed; then nothing was changed. One that is not `synced` may be undone by a power cut, as
        long as no later one was."""
        with self.refusals():
            self.connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def refusals(self) -> Iterator[sqlite3.Connection | None]:
        """What SQLite or the disk refuses becomes StorageFailed."""
        try:
            yield None
        except (sqlite3.Error, OSError) as error:
            hint = "free some space, or move a damaged router.db away: the next start makes a silent snapshot"
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                hint = "another process is at it: try again"
            raise StorageFailed(f"use {str(self.path)!r}", str(error), hint=hint) from error

    def _prepare(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        version = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, FORMAT):
            raise FleetError(
                f"open {str(self.path)!r}",
                f"it has format {version}, and this relayfleet reads format {FORMAT}",
                hint="use the relayfleet that wrote it, or move it away: the next start makes a silent snapshot",
            )
        if version == 0:
            self._create()

    def _create(self) -> None:
        with self.transaction() as db:
            # Another process may have been quicker.
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {FORMAT}")

"""Forgets a watch: the router's next look at it is a silent snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.store.router_db.database import Database


def known_watches(database: Database) -> Sequence[str]:
    """Raises StorageFailed."""
    with database.refusals():
        return [name for (name,) in database.connection.execute("SELECT name FROM watches ORDER BY name")]


def forget_watch(database: Database, name: str) -> int | None:
    """How many items were in its view; None when nothing was known of it. For when no router runs: a running one has
    it in memory, too. Raises StorageFailed."""
    with database.transaction() as db:
        if not db.execute("DELETE FROM watches WHERE name = ?", (name,)).rowcount:
            return None
        return db.execute("DELETE FROM members WHERE watch = ?", (name,)).rowcount

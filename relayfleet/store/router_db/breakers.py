"""Closes breakers: what agents answer each other on goes through again."""

from __future__ import annotations

from relayfleet.ports.cursor import Breaker
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.summary import open_breakers


def reset_breakers(database: Database, *, route: str | None) -> tuple[Breaker, ...]:
    """Those that were open: of one route by its fingerprint, or all. Raises StorageFailed."""
    with database.transaction() as db:
        found = tuple(one for one in open_breakers(database) if route in (None, one.route))
        db.executemany("DELETE FROM breakers WHERE item = ? AND route = ?", [(one.item, one.route) for one in found])
    return found

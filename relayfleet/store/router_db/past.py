"""What the router did about one item so far, for a person who asks what it would do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relayfleet.model.item import Kind
from relayfleet.store.router_db.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """`told` are the agents that had something of the item. By the fingerprint of a route: `quiet_until` is when what
    waits may go (seconds since the epoch), `cut_off` are those whose breaker is open."""

    told: frozenset[str] = frozenset()
    quiet_until: Mapping[str, float] = field(default_factory=dict)
    cut_off: frozenset[str] = frozenset()


def past_of(database: Database, *, kind: Kind, node_id: str, agents: Iterable[str]) -> Past:
    """Of these agents. Raises StorageFailed."""
    told = frozenset(agent for agent in set(agents) if was_told(database, agent, kind=kind, node_id=node_id))
    db = database.connection
    with database.refusals():
        quiet = dict(db.execute("SELECT route, until FROM cooldowns WHERE item = ?", (node_id,)).fetchall())
        cut_off = frozenset(
            route for (route,) in db.execute("SELECT route FROM breakers WHERE item = ? AND open = 1", (node_id,))
        )
    return Past(told=told, quiet_until=quiet, cut_off=cut_off)


def was_told(database: Database, agent: str, *, kind: Kind, node_id: str) -> bool:
    """Raises StorageFailed."""
    # Every key of an item begins with this, and '0' follows '/'.
    first, beyond = f"{kind}/{node_id}/", f"{kind}/{node_id}0"
    sql = "SELECT 1 FROM deliveries WHERE agent = ? AND key >= ? AND key < ? LIMIT 1"
    with database.refusals():
        return database.connection.execute(sql, (agent, first, beyond)).fetchone() is not None

"""Why events went where they went, as it was decided, and what became of the deliveries."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.item import address_of, split_address
from relayfleet.model.item_name import ItemName
from relayfleet.ports.cursor import Decision
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.records import encode_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of what an agent was to get. `entry` is the id that it has in the inbox: that of another entry when
    it was joined to one. `not_before` is seconds since the epoch, 0 when it does not wait."""

    entry: str
    state: Literal["owed", "delivered"]
    not_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A decision, and by agent the deliveries that are still remembered."""

    decision: Decision
    deliveries: Mapping[str, Delivery]


def record_decisions(db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Within a transaction of the caller's."""
    db.executemany(
        "INSERT INTO decisions (at, repo, kind, number, key, record) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (one.at, place_of(one.repo), one.kind, one.number, one.key, encode_record({"repo": one.repo, **one.record}))
            for one in decisions
        ],
    )


def read_decisions(database: Database, *, about: ItemName | None, since: float = 0.0, limit: int) -> tuple[Told, ...]:
    """The newest `limit` decisions, oldest first; those of one item or repository, or all. What cannot be read
    (somebody edited the file) is passed over. Raises StorageFailed."""
    sql, values = "SELECT at, repo, kind, number, key, record FROM decisions WHERE at >= ?", [since]
    asked: list[object] = list(values)
    if about is not None:
        sql += " AND repo = ?"
        asked.append(place_of(about.repo))
        if about.number is not None:
            sql += " AND number = ?"
            asked.append(about.number)
    found: list[Told] = []
    with database.refusals():
        for at, repo, kind, number, key, record in database.connection.execute(f"{sql} ORDER BY id DESC", asked):
            if len(found) == limit:
                break
            try:
                said = dict(json.loads(record))
                named = str(said.pop("repo", repo))
                agents = [str(one["agent"]) for one in said["to"]]
            except (ValueError, KeyError, TypeError):
                continue
            decision = Decision(at=at, repo=named, kind=kind, number=number, key=key, record=said)
            found.append(Told(decision=decision, deliveries=_deliveries(database.connection, key, agents)))
    return tuple(reversed(found))


def place_of(repo: str) -> str:
    """A repository as it stands in the table: with its host unless that is github.com, in lower case."""
    return address_of(*split_address(repo)).casefold()


def _deliveries(db: sqlite3.Connection, key: str, agents: Iterable[str]) -> dict[str, Delivery]:
    found = {}
    for agent in agents:
        row = db.execute(
            "SELECT entry_id, state, not_before FROM deliveries WHERE agent = ? AND key = ?", (agent, key)
        ).fetchone()
        if row is not None:
            found[agent] = Delivery(entry=row[0], state="owed" if row[1] == "owed" else "delivered", not_before=row[2])
    return found

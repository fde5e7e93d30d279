"""What trust holds back, for the operator to look at, to let go, or to throw away.

Letting go is one transaction: the deliveries that follow from it, the record of it, and the end of what was held. So a
crash leaves it held or owed, and two operators at once let it go once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from relayfleet.model.event import Event, decode_event
from relayfleet.model.item import address_of
from relayfleet.ports.cursor import Decision, Held, Owed
from relayfleet.store.router_db.cursor import owe
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.decisions import record_decisions
from relayfleet.store.router_db.records import decode_held

# So many are taken in one transaction: the router waits no longer than that for its own.
_AT_ONCE = 100
_LARGEST_ID = 2**63 - 1
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
# `gone`: it was there and is not any more. `unreadable`, `nobody`: it stays, since there is no sense in it, or no agent
# to get it.
Outcome = Literal["released", "dropped", "gone", "unreadable", "nobody"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of one number. `to` are pairs of agent and new entry; `before` are agents that had got it already;
    `missing` are names that are no agent's any more."""

    id: int
    outcome: Outcome
    to: tuple[tuple[str, str], ...] = ()
    before: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Quarantine:
    """Belongs to the thread that opened it. Every call raises StorageFailed when the database refuses."""

    def __init__(
        self,
        path: Path,
        *,
        released: Callable[[Held], Sequence[Owed]],
        agents: Collection[str],
        now: Callable[[], float],
    ) -> None:
        """`released` gives what letting something go comes to, and raises ValueError when it makes no sense; `agents`
        are those that there are. Raises StorageFailed, or FleetError for another format's file."""
        self._database = Database(path)
        self._db = self._database.connection
        self._released = released
        self._agents = agents
        self._now = now

    def close(self) -> None:
        self._database.close()

    def rows(self) -> Iterator[tuple[int, Held | None]]:
        """All that is held, the newest first; None for what cannot be read."""
        with self._database.refusals():
            for row in self._db.execute("SELECT id, key, watch, record, at FROM held ORDER BY id DESC"):
                yield row[0], _read(row)

    def get(self, held_id: int) -> tuple[bool, Held | None]:
        """Whether it is there, and it; None when it cannot be read."""
        row = self._row(held_id)
        return row is not None, _read(row) if row is not None else None

    def ids(self) -> tuple[int, ...]:
        """The numbers of all that is held, the oldest first."""
        with self._database.refusals():
            return tuple(held_id for (held_id,) in self._db.execute("SELECT id FROM held ORDER BY id"))

    def never_given(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Of these numbers, those that nothing ever had."""
        with self._database.refusals():
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'held'").fetchone()
        newest = row[0] if row else 0
        return tuple(one for one in ids if not 1 <= one <= newest)

    def release(self, ids: Sequence[int]) -> tuple[Settled, ...]:
        """Makes what is held owed to its agents, and ends its being held."""
        return self._settle(ids, self._release)

    def drop(self, ids: Sequence[int]) -> tuple[Settled, ...]:
        """Throws away what is held."""
        return self._settle(ids, self._drop)

    def _settle(
        self, ids: Sequence[int], settle: Callable[[sqlite3.Connection, int, Sequence[Any]], Settled]
    ) -> tuple[Settled, ...]:
        found: list[Settled] = []
        ids = tuple(dict.fromkeys(ids))
        for start in range(0, len(ids), _AT_ONCE):
            with self._database.transaction() as db:
                for held_id in ids[start : start + _AT_ONCE]:
                    row = self._row(held_id)
                    found.append(Settled(id=held_id, outcome="gone") if row is None else settle(db, held_id, row))
        return tuple(found)

    def _release(self, db: sqlite3.Connection, held_id: int, row: Sequence[Any]) -> Settled:
        held = _read(row)
        try:
            wanted = self._released(held) if held is not None else ()
        except _UNREADABLE:
            wanted = ()
        if held is None or not wanted:
            return Settled(id=held_id, outcome="unreadable")
        missing = tuple(owed.agent for owed in wanted if owed.agent not in self._agents)
        if len(missing) == len(wanted):
            return Settled(id=held_id, outcome="nobody", missing=missing)
        now = self._now()
        there = [owed for owed in wanted if owed.agent not in missing]
        new = [owed for owed in there if owe(db, owed, now=now)]
        _end(db, held, to=new, note="released from quarantine by the operator", now=now)
        return Settled(
            id=held_id,
            outcome="released",
            to=tuple((owed.agent, owed.entry.id) for owed in new),
            before=tuple(owed.agent for owed in there if owed not in new),
            missing=missing,
        )

    def _drop(self, db: sqlite3.Connection, held_id: int, row: Sequence[Any]) -> Settled:
        held = _read(row)
        if held is None:
            db.execute("DELETE FROM held WHERE id = ?", (held_id,))
        else:
            _end(db, held, to=(), note="dropped from quarantine by the operator", now=self._now())
        return Settled(id=held_id, outcome="dropped")

    def _row(self, held_id: int) -> Sequence[Any] | None:
        if not 0 < held_id <= _LARGEST_ID:
            return None
        with self._database.refusals():
            row: Sequence[Any] | None = self._db.execute(
                "SELECT id, key, watch, record, at FROM held WHERE id = ?", (held_id,)
            ).fetchone()
        return row


def _read(row: Sequence[Any]) -> Held | None:
    try:
        return decode_held(*row)
    except _UNREADABLE:
        return None


def _end(db: sqlite3.Connection, held: Held, *, to: Sequence[Owed], note: str, now: float) -> None:
    db.execute("DELETE FROM held WHERE id = ?", (held.id,))
    try:
        event = decode_event(held.event)
    except ValueError:
        return
    record_decisions(db, [_decision(held, event, to=to, note=note, now=now)])


def _decision(held: Held, event: Event, *, to: Sequence[Owed], note: str, now: float) -> Decision:
    item = event.item
    routes = {
        owed.agent: list(dict.fromkeys(i for hold in held.holds if hold.agent == owed.agent for i in hold.routes))
        for owed in to
    }
    record = {
        "watch": held.watch,
        "events": list(event.names),
        "why": event.why,
        "to": [{"agent": owed.agent, "routes": routes[owed.agent], "entry": owed.entry.id} for owed in to],
        "held": [],
        "note": note,
    }
    key = to[0].key if to else held.key
    return Decision(
        at=now, repo=address_of(item.host, item.repo), kind=item.kind, number=item.number, key=key, record=record
    )

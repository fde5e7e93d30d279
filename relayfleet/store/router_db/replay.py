"""What was delivered, to be delivered once more on purpose."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relayfleet.model.entry import Entry, decode_entry
from relayfleet.model.item import address_of
from relayfleet.model.item_name import ItemName
from relayfleet.ports.cursor import Decision, Owed
from relayfleet.store.router_db.cursor import owe
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.decisions import place_of, record_decisions
from relayfleet.store.router_db.records import decode_snapshot

# So many are taken in one transaction: the router waits no longer than that for its own.
_AT_ONCE = 100
_MARK = "#replay-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A delivery that was made. `about` is OWNER/NAME#NUMBER, or the key where nothing else is remembered; `at` is when
    it reached the inbox, in seconds since the epoch."""

    id: int
    agent: str
    entry: str
    about: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What can be delivered once more, the oldest first; what cannot, since its text is not kept any more; and what
    there is no agent for any more."""

    past: tuple[Past, ...]
    lost: tuple[Past, ...]
    missing: tuple[Past, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A delivery that was made once more: as entry `entry`, and what it was before."""

    past: Past
    entry: str


class Replayer:
    """Belongs to the thread that opened it. Every call raises StorageFailed when the database refuses."""

    def __init__(
        self,
        path: Path,
        *,
        replayed: Callable[[Owed, int], Owed],
        agents: Collection[str],
        now: Callable[[], float],
    ) -> None:
        """`replayed` gives the delivery anew, for the how-many-eth time; `agents` are those that there are. Raises
        StorageFailed, or FleetError for another format's file."""
        self._database = Database(path)
        self._db = self._database.connection
        self._replayed = replayed
        self._agents = agents
        self._now = now

    def close(self) -> None:
        self._database.close()

    def find(self, *, since: float, agent: str | None, about: ItemName | None) -> Found:
        """What was delivered since that moment (seconds since the epoch), but for what was itself delivered again."""
        past: list[Past] = []
        lost: list[Past] = []
        missing: list[Past] = []
        told: set[tuple[str, str]] = set()
        nodes = self._nodes_of(about) if about is not None else set()
        with self._database.refusals():
            for row in self._delivered(since=since, agent=agent):
                delivery_id, name, key, entry_id, node_id, at, line = row
                entry = decode_entry(line) if line else None
                if about is not None and node_id not in nodes and not (entry and _is_about(entry, about)):
                    continue
                one = Past(id=delivery_id, agent=name, entry=entry_id, about=self._about(entry, node_id, key), at=at)
                if entry is not None:
                    (past if name in self._agents else missing).append(one)
                    told.add((name, entry_id))
                elif (name, entry_id) not in told:
                    lost.append(one)
                    told.add((name, entry_id))
        there = {(one.agent, one.entry) for one in (*past, *missing)}
        # What was joined to another entry has no text of its own.
        lost = [one for one in lost if (one.agent, one.entry) not in there and not self._is_owed(one)]
        return Found(past=tuple(past), lost=tuple(lost), missing=tuple(missing))

    def replay(self, past: Sequence[Past]) -> tuple[Again, ...]:
        """Makes them owed once more."""
        found: list[Again] = []
        for start in range(0, len(past), _AT_ONCE):
            with self._database.transaction() as db:
                for one in past[start : start + _AT_ONCE]:
                    owed = self._replay(db, one)
                    if owed is not None:
                        found.append(Again(past=one, entry=owed.entry.id))
        return tuple(found)

    def _replay(self, db: sqlite3.Connection, past: Past) -> Owed | None:
        """None when its text was forgotten meanwhile."""
        row = db.execute(
            "SELECT key, entry, item, priority FROM deliveries WHERE id = ? AND agent = ?", (past.id, past.agent)
        ).fetchone()
        entry = decode_entry(row[1]) if row and row[1] else None
        if row is None or entry is None:
            return None
        now, key = self._now(), row[0]
        again = self._replayed(
            Owed(agent=past.agent, key=key, entry=entry, item=row[2], priority=row[3]), _times(db, past.agent, key) + 1
        )
        owe(db, again, now=now)
        decision = _decision(again, now=now)
        record_decisions(db, [decision] if decision else [])
        return again

    def _delivered(self, *, since: float, agent: str | None) -> Iterator[Sequence[Any]]:
        sql = (
            "SELECT id, agent, key, entry_id, item, at, entry FROM deliveries"
            " WHERE state = 'done' AND at >= ? AND instr(key, ?) = 0"
        )
        values: list[object] = [since, _MARK]
        if agent is not None:
            sql, values = f"{sql} AND agent = ?", [*values, agent]
        return self._db.execute(f"{sql} ORDER BY id", values)

    def _nodes_of(self, about: ItemName) -> set[str]:
        """The node ids that the decisions know the item by."""
        sql, values = "SELECT DISTINCT key FROM decisions WHERE repo = ?", [place_of(about.repo)]
        asked: list[object] = list(values)
        if about.number is not None:
            sql, asked = f"{sql} AND number = ?", [*asked, about.number]
        with self._database.refusals():
            return {key.split("/")[1] for (key,) in self._db.execute(sql, asked) if key.count("/") >= 2}

    def _about(self, entry: Entry | None, node_id: str, key: str) -> str:
        if entry is not None:
            return f"{_repo_of(entry)}#{entry.metadata.get('number')}"
        row = self._db.execute("SELECT record FROM snapshots WHERE node_id = ?", (node_id,)).fetchone()
        try:
            known = decode_snapshot(row[0]) if row else None
        except (ValueError, TypeError):
            known = None
        return f"{address_of(known.host, known.repo)}#{known.number}" if known else key

    def _is_owed(self, past: Past) -> bool:
        with self._database.refusals():
            row = self._db.execute(
                "SELECT 1 FROM deliveries WHERE entry_id = ? AND state = 'owed'", (past.entry,)
            ).fetchone()
        return row is not None


def _times(db: sqlite3.Connection, agent: str, key: str) -> int:
    """How many times it was delivered again already: the highest number, since the lowest may have been pruned."""
    # '.' follows '-': everything that begins with the mark lies between.
    rows = db.execute(
        "SELECT key FROM deliveries WHERE agent = ? AND key >= ? AND key < ?",
        (agent, key + _MARK, key + _MARK[:-1] + "."),
    )
    numbers = [one.rpartition("-")[2] for (one,) in rows]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _is_about(entry: Entry, about: ItemName) -> bool:
    if place_of(_repo_of(entry)) != place_of(about.repo):
        return False
    return about.number is None or entry.metadata.get("number") == about.number


def _repo_of(entry: Entry) -> str:
    host, repo = entry.metadata.get("host"), str(entry.metadata.get("repo", ""))
    return f"{host}/{repo}" if host else repo


def _decision(owed: Owed, *, now: float) -> Decision | None:
    """For `fleet router log`. None when the entry does not say which item it is about."""
    metadata = owed.entry.metadata
    repo, kind, number = metadata.get("repo"), metadata.get("kind"), metadata.get("number")
    if not isinstance(repo, str) or kind not in ("issues", "pulls", "runs") or not isinstance(number, int):
        return None
    record = {
        "watch": metadata.get("watch", ""),
        "events": metadata.get("events", []),
        "why": metadata.get("why", ""),
        "to": [{"agent": owed.agent, "routes": [metadata.get("route")], "entry": owed.entry.id}],
        "held": [],
        "note": f"delivered again by the operator, as entry {metadata.get('replay_of')} was before",
    }
    return Decision(at=now, repo=_repo_of(owed.entry), kind=kind, number=number, key=owed.key, record=record)

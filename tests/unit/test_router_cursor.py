"""The router's durable memory."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.watch import Progress
from relayfleet.ports.cursor import Held, Member, Owed, WatchChange
from relayfleet.store.cursor import KEEP_SETTLED_S, SqliteCursor

PROGRESS = Progress(mark="2026-01-01T00:00:00Z", etags={"p": 'W/"1"'}, open_runs=(3, 2))


def change(*numbers: int, fresh: bool = False, left: tuple[str, ...] = (), watch: str = "w") -> WatchChange:
    members = tuple(Member(node_id=f"I_{n}", number=n, content=f"c{n}", updated_at="t") for n in numbers)
    return WatchChange(watch=watch, fingerprint="f", progress=PROGRESS, fresh=fresh, entered=members, left=left)


def owed(agent: str, key: str, entry_id: str, body: str = "text") -> Owed:
    entry = Entry(id=EntryId(entry_id), ts=1.0, source="github", body=body, metadata={"number": 1})
    return Owed(agent=agent, key=key, entry=entry)


def held(key: str) -> Held:
    return Held(
        key=key,
        watch="w",
        repo="a/b",
        kind="issues",
        number=1,
        author="eve",
        association="NONE",
        agents=("a",),
        url="u",
        reason="r",
        at=5.0,
    )


def test_everything_survives_being_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    cursor = SqliteCursor(path)
    assert cursor.progress("w", "f") is None
    cursor.commit([change(1, 2, fresh=True)], [owed("coder", "k1", "e1", "🦀\ud800")], [held("k2")], now=9.0)
    cursor.close()
    assert path.stat().st_mode & 0o777 == 0o600

    again = SqliteCursor(path)
    assert again.progress("w", "f") == PROGRESS
    assert again.progress("w", "another filter") is None
    assert set(again.members("w", ["I_1", "I_2", "I_3"])) == {"I_1", "I_2"}
    [one] = again.owed()
    assert (one.agent, one.entry.id, one.entry.body) == ("coder", "e1", "🦀?")
    assert again.held() == (held("k2"),)
    counts = again.counts()
    assert (counts.items, counts.owed, counts.held, counts.committed_at) == ({"w": 2}, 1, 1, 9.0)
    json.dumps(again.export())
    again.close()


def test_an_agent_gets_a_key_once_for_ever(tmp_path: Path) -> None:
    cursor = SqliteCursor(tmp_path / "router.db")
    both = [owed("a", "k", "e1"), owed("a", "k", "e2"), owed("b", "k", "e3")]
    assert [one.entry.id for one in cursor.commit([], both, [], now=1.0)] == ["e1", "e3"]
    cursor.settle([EntryId("e1")], now=2.0)
    assert cursor.commit([], [owed("a", "k", "e4")], [], now=3.0) == ()
    assert [one.agent for one in cursor.owed()] == ["b"]
    assert cursor.owed(besides=["b"]) == []
    cursor.close()


def test_a_round_is_recorded_whole_or_not_at_all(tmp_path: Path) -> None:
    cursor = SqliteCursor(tmp_path / "router.db")
    cursor.commit([], [owed("a", "k", "same")], [], now=1.0)
    with pytest.raises(AttributeError):
        cursor.commit([change(1)], [owed("b", "k", "e2"), None], [], now=2.0)  # type: ignore[list-item]
    assert cursor.progress("w", "f") is None
    assert [one.agent for one in cursor.owed()] == ["a"]
    cursor.close()


def test_members_come_and_go_and_a_fresh_look_replaces_them(tmp_path: Path) -> None:
    cursor = SqliteCursor(tmp_path / "router.db")
    cursor.commit([change(1, 2)], [], [], now=1.0)
    cursor.commit([change(3, left=("I_1",))], [], [], now=2.0)
    assert set(cursor.members("w", ["I_1", "I_2", "I_3"])) == {"I_2", "I_3"}
    cursor.commit([change(9, fresh=True)], [], [], now=3.0)
    assert set(cursor.members("w", [f"I_{n}" for n in range(2000)])) == {"I_9"}
    cursor.close()


def test_pruning_is_bounded_and_spares_what_is_owed(tmp_path: Path) -> None:
    cursor = SqliteCursor(tmp_path / "router.db", keep_settled_rows=3)
    cursor.commit([change(1), change(1, watch="old")], [owed("a", f"k{n}", f"e{n}") for n in range(10)], [], now=1.0)
    cursor.settle([EntryId(f"e{n}") for n in range(1, 10)], now=1.0)
    cursor.prune(watches=["w"], now=2.0)
    assert [row["key"] for row in cursor.export()["deliveries"]] == ["k0", "k7", "k8", "k9"]
    assert set(cursor.counts().items) == {"w"}
    cursor.prune(watches=["w"], now=2.0 + KEEP_SETTLED_S)
    assert [row["key"] for row in cursor.export()["deliveries"]] == ["k0"]
    cursor.close()


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(FleetError, match="newer relayfleet"):
        SqliteCursor(path)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageFailed):
        SqliteCursor(path)
    with pytest.raises(StorageFailed):
        SqliteCursor(tmp_path / "no/such/folder/router.db")

"""What is particular to router.db; what every cursor promises is in tests/contract/test_cursor.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.snapshot import Snapshot, snapshot_of
from relayfleet.model.watch import Feed, Progress
from relayfleet.ports.cursor import Batch, FeedChange, FreshWatch, Owed
from relayfleet.store.router_db.cursor import KEEP_SETTLED_S, KEEP_STRAYS_S, KEEP_TEXTS_S, SqliteCursor
from relayfleet.testing import a_report

FEED = Feed("github.com", "acme/wms", "items")
PROGRESS = Progress(
    mark="2026-01-01T00:00:00Z",
    settled_at="2026-01-01T00:00:02Z",
    count=2,
    recent=("I_1",),
    etags={"p": 'W/"1"'},
    open_runs={3: "queued", 2: "in_progress"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def cursor(path: Path) -> Iterator[SqliteCursor]:
    opened = SqliteCursor(path)
    yield opened
    opened.close()


def snapshot(number: int) -> Snapshot:
    return snapshot_of(a_report(number, node_id=f"I_{number}", title="🦀\ud800", labels=("a", "b")))


def change(*numbers: int) -> FeedChange:
    fresh = FreshWatch(name="w", fingerprint="f", members=tuple(f"I_{number}" for number in numbers))
    return FeedChange(feed=FEED, progress={"issues": PROGRESS}, snapshots=tuple(map(snapshot, numbers)), fresh=(fresh,))


def owed(agent: str, name: str, *, body: str = "text") -> Owed:
    entry = Entry(id=EntryId(name), ts=1.0, source="github", body=body, metadata={"number": 1})
    return Owed(agent=agent, key=name, entry=entry, item="I_1")


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as db:
        found = db.execute(sql).fetchall()
    db.close()
    return found


def test_everything_survives_being_opened_again(path: Path) -> None:
    cursor = SqliteCursor(path)
    cursor.commit(Batch(feeds=[change(1, 2)], owed=[owed("coder", "e1", body="🦀\ud800")]), now=9.0)
    cursor.close()
    assert path.stat().st_mode & 0o777 == 0o600

    again = SqliteCursor(path)
    assert again.progress(FEED) == {"issues": PROGRESS}
    assert again.watches() == {"w": "f"}
    known = again.snapshots(["I_1", "I_2", "I_3"])
    assert known["I_1"] == structs.replace(snapshot(1), title=known["I_1"].title)
    assert set(known) == {"I_1", "I_2"}
    [one] = again.owed(now=10.0)
    assert (one.agent, one.entry.id, one.entry.body) == ("coder", "e1", "🦀?")
    assert again.counts().committed_at == 9.0
    again.close()


def test_a_round_is_recorded_whole_or_not_at_all(cursor: SqliteCursor) -> None:
    with pytest.raises(AttributeError):
        cursor.commit(Batch(feeds=[change(1)], owed=[owed("a", "e1"), None]), now=2.0)  # type: ignore[list-item]
    assert cursor.progress(FEED) == {} and cursor.watches() == {}
    assert list(cursor.owed(now=3.0)) == []
    cursor.commit(Batch(owed=[owed("a", "e1")]), now=4.0)
    assert len(cursor.owed(now=4.0)) == 1


def test_what_somebody_damaged_is_passed_over(path: Path) -> None:
    cursor = SqliteCursor(path)
    cursor.commit(Batch(owed=[owed("a", "e1"), owed("a", "e2")]), now=1.0)
    cursor.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE deliveries SET entry = '{' WHERE entry_id = 'e1'")
    db.close()
    again = SqliteCursor(path)
    assert [one.entry.id for one in again.owed(now=2.0)] == ["e2"]
    again.close()


def test_what_was_just_recorded_is_what_the_disk_has(path: Path) -> None:
    """What is kept in memory between two calls never differs from what another process reads."""
    cursor = SqliteCursor(path)
    for turn in range(3):
        snapshots = tuple(structs.replace(snapshot(number), title=f"turn {turn}") for number in (1, 2, 3))
        waiting = replace(owed("a", f"w{turn}"), not_before=50.0)
        batch = Batch(
            feeds=[FeedChange(feed=FEED, progress={"issues": PROGRESS}, snapshots=snapshots)],
            owed=[owed("a", f"e{turn}"), waiting],
        )
        cursor.commit(batch, now=float(turn))
        other = SqliteCursor(path)
        assert cursor.snapshots(["I_1", "I_2", "I_3"]) == other.snapshots(["I_1", "I_2", "I_3"])
        assert cursor.owed(now=3.0) == other.owed(now=3.0)
        other.close()
    cursor.commit(Batch(feeds=[FeedChange(feed=FEED, progress={"issues": PROGRESS}, gone=("I_2",))]), now=9.0)
    assert set(cursor.snapshots(["I_1", "I_2", "I_3"])) == {"I_1", "I_3"}
    other = SqliteCursor(path)
    assert cursor.owed(now=100.0) == other.owed(now=100.0)
    other.close()
    [joined] = [one for one in cursor.owed(now=100.0) if one.not_before]
    assert joined.entry.metadata["joined"] == 3
    cursor.close()


def test_another_process_may_write_at_the_same_time(cursor: SqliteCursor, path: Path) -> None:
    other = SqliteCursor(path)
    cursor.commit(Batch(owed=[owed("a", "e1")]), now=1.0)
    other.commit(Batch(owed=[owed("a", "e2"), owed("a", "e1")]), now=2.0)
    other.close()
    assert [one.entry.id for one in cursor.owed(now=3.0)] == ["e1", "e2"]


def test_what_was_delivered_is_forgotten_in_steps_and_within_bounds(path: Path) -> None:
    cursor = SqliteCursor(path, keep_settled_rows=3)
    names = [f"e{number}" for number in range(10)]
    cursor.commit(Batch(owed=[owed("a", name) for name in names]), now=1.0)
    assert len(cursor.owed(now=1.0)) == len(names)
    cursor.settle([EntryId(name) for name in names[1:]], now=1.0)
    kept = "SELECT key FROM deliveries ORDER BY id"
    cursor.prune(now=2.0)
    assert [key for (key,) in rows(path, kept)] == ["e0", "e7", "e8", "e9"]
    # First the texts, then the keys; what is owed stays, whatever its age.
    cursor.prune(now=2.0 + KEEP_TEXTS_S)
    assert [key for (key,) in rows(path, kept)] == ["e0", "e7", "e8", "e9"]
    assert rows(path, "SELECT key FROM deliveries WHERE entry != ''") == [("e0",)]
    assert list(cursor.commit(Batch(owed=[owed("a", "e9")]), now=3.0)) == []
    cursor.prune(now=2.0 + KEEP_SETTLED_S)
    assert [key for (key,) in rows(path, kept)] == ["e0"]
    assert [one.entry.id for one in cursor.owed(now=4.0)] == ["e0"]
    cursor.close()


def test_an_item_in_no_view_is_remembered_for_a_while(cursor: SqliteCursor) -> None:
    cursor.commit(Batch(feeds=[change(1, 2)]), now=1.0)
    cursor.commit(Batch(feeds=[FeedChange(feed=FEED, progress={"issues": PROGRESS}, left=(("w", "I_1"),))]), now=2.0)
    cursor.prune(now=KEEP_STRAYS_S)
    assert set(cursor.snapshots(["I_1", "I_2"])) == {"I_1", "I_2"}
    cursor.prune(now=KEEP_STRAYS_S + 2.0)
    assert set(cursor.snapshots(["I_1", "I_2"])) == {"I_2"}


def test_what_cannot_be_opened_says_why(tmp_path: Path, path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(FleetError, match="it has format 99"):
        SqliteCursor(path)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageFailed):
        SqliteCursor(path)
    with pytest.raises(StorageFailed):
        SqliteCursor(tmp_path / "no/such/folder/router.db")

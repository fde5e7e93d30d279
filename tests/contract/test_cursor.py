"""What every `Cursor` promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from relayfleet.model.entry import Entry
from relayfleet.model.item import Check
from relayfleet.model.names import EntryId
from relayfleet.model.snapshot import Snapshot, snapshot_of
from relayfleet.model.watch import Feed, Progress
from relayfleet.ports.cursor import (
    Batch,
    Breaker,
    Cooldown,
    Cursor,
    Decision,
    FeedChange,
    FreshWatch,
    Held,
    HeldFor,
    Owed,
)
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.testing import MemoryCursor, a_report

FEED = Feed("github.com", "acme/wms", "items")
OTHER = Feed("github.com", "acme/other", "items")
PROGRESS = Progress(
    mark="2026-01-01T00:00:00Z", settled_at="2026-01-01T00:00:02Z", count=3, recent=("I_1",), etags={"p": 'W/"1"'}
)


@pytest.fixture(params=["memory", "sqlite"])
def cursor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cursor]:
    if request.param == "memory":
        yield MemoryCursor()
        return
    opened = SqliteCursor(tmp_path / "router.db")
    yield opened
    opened.close()


def snapshot(number: int, **fields: Any) -> Snapshot:
    return snapshot_of(a_report(number, node_id=f"I_{number}", **fields))


def change(*numbers: int, feed: Feed = FEED, **more: object) -> FeedChange:
    seen = {"progress": {"issues": PROGRESS}, "snapshots": tuple(map(snapshot, numbers)), **more}
    return FeedChange(feed=feed, **seen)  # type: ignore[arg-type]


def fresh(*numbers: int, name: str = "w") -> FreshWatch:
    return FreshWatch(name=name, fingerprint=f"of {name}", members=tuple(f"I_{number}" for number in numbers))


def owed(agent: str, key: str, *, item: str = "", **more: object) -> Owed:
    metadata = {"events": ["updated"], "trust": "owner", "notes": [{"url": key}]}
    entry = Entry(id=EntryId(f"{agent}-{key}"), ts=1.0, source="github", body=f"text of {key}", metadata=metadata)
    return Owed(agent=agent, key=key, entry=entry, item=item or key, **more)  # type: ignore[arg-type]


def ids(found: Sequence[Owed]) -> list[str]:
    return [one.entry.id for one in found]


def test_an_empty_one(cursor: Cursor) -> None:
    assert cursor.watches() == {} and cursor.progress(FEED) == {} and cursor.snapshots(["I_1"]) == {}
    assert cursor.in_view("w", ["I_1"]) == set() and list(cursor.members(["w"])) == []
    assert list(cursor.cooldowns()) == [] and list(cursor.breakers()) == [] and cursor.busy_pulls() == {}
    assert list(cursor.owed(now=1.0)) == [] and cursor.due_at() is None
    assert cursor.counts().committed_at is None


def test_a_round_is_remembered(cursor: Cursor) -> None:
    cursor.commit(Batch(feeds=[change(1, 2, fresh=(fresh(1, 2),))]), now=9.0)
    assert cursor.watches() == {"w": "of w"}
    assert cursor.progress(FEED) == {"issues": PROGRESS}
    assert cursor.progress(OTHER) == {}
    assert cursor.snapshots(["I_2", "I_3"]) == {"I_2": snapshot(2)}
    assert cursor.in_view("w", ["I_1", "I_3"]) == {"I_1"}
    counts = cursor.counts()
    assert (counts.items, counts.committed_at) == ({"w": 2}, 9.0)


def test_items_come_and_go(cursor: Cursor) -> None:
    cursor.commit(Batch(feeds=[change(1, 2, 3, fresh=(fresh(1, 2), fresh(1, name="v")))]), now=1.0)
    cursor.commit(Batch(feeds=[change(entered=(("w", "I_3"),), left=(("w", "I_1"),), gone=("I_1",))]), now=2.0)
    assert sorted(cursor.members(["w"])) == ["I_2", "I_3"]
    assert sorted(cursor.members(["w", "v"])) == ["I_1", "I_2", "I_3"]
    assert set(cursor.snapshots(["I_1", "I_2", "I_3"])) == {"I_2", "I_3"}


def test_a_watch_that_begins_anew_takes_the_place_of_what_it_was(cursor: Cursor) -> None:
    cursor.commit(Batch(feeds=[change(1, 2, fresh=(fresh(1, 2),))]), now=1.0)
    cursor.commit(Batch(feeds=[change(9, fresh=(fresh(9),))]), now=2.0)
    assert list(cursor.members(["w"])) == ["I_9"]
    assert cursor.in_view("w", [f"I_{number}" for number in range(2000)]) == {"I_9"}


def test_pulls_that_are_open_and_those_that_are_busy(cursor: Cursor) -> None:
    running = (Check(name="ci", state="in_progress"),)
    pulls = (
        snapshot(1, kind="pulls"),
        snapshot(2, kind="pulls", checks=running),
        snapshot(3, kind="pulls", state="merged", checks=running),
        snapshot(4),
    )
    cursor.commit(Batch(feeds=[change(snapshots=pulls, fresh=(fresh(1, 2, 3, 4),))]), now=1.0)
    assert sorted(cursor.open_pulls(["w"])) == ["I_1", "I_2"]
    assert {feed: list(found) for feed, found in cursor.busy_pulls().items()} == {FEED.key: ["I_2"]}
    done = snapshot(2, kind="pulls", checks=(Check(name="ci", state="success"),))
    cursor.commit(Batch(feeds=[change(snapshots=(done,))]), now=2.0)
    assert cursor.busy_pulls() == {}


def test_an_agent_gets_a_key_once_for_ever(cursor: Cursor) -> None:
    new = cursor.commit(Batch(owed=[owed("a", "k"), owed("a", "k"), owed("b", "k")]), now=1.0)
    assert ids(new) == ["a-k", "b-k"]
    assert ids(cursor.owed(now=2.0)) == ["a-k", "b-k"]
    cursor.settle([EntryId("a-k")], now=2.0)
    assert list(cursor.commit(Batch(owed=[owed("a", "k")]), now=3.0)) == []
    assert ids(cursor.owed(now=3.0)) == ["b-k"]
    assert list(cursor.owed(now=3.0, besides=["b"])) == []
    counts = cursor.counts()
    assert (counts.owed, counts.delivered) == (1, 1)


def test_what_is_owed_comes_by_priority_then_age(cursor: Cursor) -> None:
    batch = [owed("a", "1"), owed("a", "2", priority=5), owed("a", "3", priority=-5), owed("a", "4", priority=5)]
    cursor.commit(Batch(owed=batch), now=1.0)
    assert ids(cursor.owed(now=1.0)) == ["a-2", "a-4", "a-1", "a-3"]
    assert ids(cursor.owed(now=1.0, limit=3)) == ["a-2", "a-4", "a-1"]
    assert cursor.owed(now=1.0)[0] == batch[1]


def test_what_waits_is_not_given_before_its_time(cursor: Cursor) -> None:
    cursor.commit(Batch(owed=[owed("a", "1", not_before=50.0), owed("b", "2", not_before=80.0)]), now=1.0)
    assert cursor.due_at() == 50.0
    assert cursor.due_at(besides=["a"]) == 80.0
    assert list(cursor.owed(now=49.0)) == []
    assert ids(cursor.owed(now=50.0)) == ["a-1"]
    # More than 60 s ahead: whoever noted that had the wrong time.
    assert ids(cursor.owed(now=10.0, ahead_s=60.0)) == ["b-2"]


def test_what_waits_for_one_item_is_joined(cursor: Cursor) -> None:
    def wait(agent: str, key: str, *, item: str = "I_1", at: float = 60.0, priority: int = 0) -> Owed:
        return owed(agent, key, item=item, not_before=at, priority=priority)

    cursor.commit(Batch(owed=[wait("a", "1"), wait("b", "1"), wait("a", "other", item="I_2")]), now=1.0)
    assert ids(cursor.commit(Batch(owed=[wait("a", "2", priority=3)]), now=5.0)) == ["a-2"]
    # It is told once, in the place of the first; its own key is taken all the same.
    assert list(cursor.commit(Batch(owed=[wait("a", "2")]), now=6.0)) == []
    # This one may go before the first.
    cursor.commit(Batch(owed=[wait("a", "3", at=30.0)]), now=7.0)
    found = {one.entry.id: one for one in cursor.owed(now=60.0)}
    assert set(found) == {"a-1", "b-1", "a-other", "a-3"}
    joined = found[EntryId("a-1")]
    assert (joined.entry.body, joined.priority) == ("text of 2", 3)
    assert [note["url"] for note in joined.entry.metadata["notes"]] == ["1", "2"]
    # What is due already takes nothing in: it may be on its way.
    cursor.commit(Batch(owed=[wait("a", "4", at=200.0)]), now=60.0)
    assert {"a-1", "a-4"} <= set(ids(cursor.owed(now=200.0)))


def test_what_is_on_its_way_to_an_inbox_takes_nothing_in(cursor: Cursor) -> None:
    """A round that began while it still waited is recorded after it was handed out: the inbox has it as it was."""
    cursor.commit(Batch(owed=[owed("a", "1", item="I_1", not_before=50.0)]), now=1.0)
    [out] = cursor.owed(now=51.0)
    cursor.commit(Batch(owed=[owed("a", "2", item="I_1", not_before=60.0)]), now=49.0)
    cursor.settle([out.entry.id], now=51.0)
    assert [(one.entry.id, one.entry.metadata.get("joined")) for one in cursor.owed(now=61.0)] == [("a-2", None)]


def test_only_what_was_handed_out_is_settled(cursor: Cursor) -> None:
    cursor.commit(Batch(owed=[owed("a", "1"), owed("b", "1")]), now=1.0)
    cursor.owed(now=2.0, besides=["b"])
    cursor.settle([EntryId("a-1"), EntryId("b-1")], now=2.0)
    assert ids(cursor.owed(now=3.0)) == ["b-1"]


def test_cooldowns_and_breakers(cursor: Cursor) -> None:
    def breaker(count: int, *, opened: bool = False) -> Breaker:
        return Breaker(route="r", item="I_1", count=count, since=5.0, open=opened, about="acme/WMS#1")

    cursor.commit(Batch(cooldowns=[Cooldown(route="r", item="I_1", until=9.0)], breakers=[breaker(1)]), now=1.0)
    newer = Cooldown(route="r", item="I_1", until=99.0)
    cursor.commit(Batch(cooldowns=[newer], breakers=[breaker(7, opened=True)]), now=2.0)
    assert list(cursor.cooldowns()) == [newer]
    assert list(cursor.breakers()) == [breaker(7, opened=True)]
    cursor.prune(now=98.0)
    assert list(cursor.cooldowns()) == [newer]
    cursor.prune(now=100.0)
    assert list(cursor.cooldowns()) == []
    assert list(cursor.breakers()) == [breaker(7, opened=True)]


def test_what_is_held_back_is_counted_once(cursor: Cursor) -> None:
    hold = HeldFor(agent="a", routes=(0,), item=True, notes=("C_1",), reason="a stranger")
    held = Held(key="k", watch="w", event={"watch": "w"}, holds=(hold,), at=3.0)
    decision = Decision(at=3.0, repo="acme/WMS", kind="issues", number=1, key="k", record={"watch": "w"})
    for _ in range(2):
        cursor.commit(Batch(held=[held], decisions=[decision]), now=3.0)
    assert cursor.counts().held == 1


def test_what_is_no_more_is_forgotten_and_the_rest_is_kept(cursor: Cursor) -> None:
    cursor.commit(
        Batch(
            feeds=[change(1, fresh=(fresh(1), fresh(1, name="v"))), change(2, feed=OTHER, fresh=(fresh(2, name="o"),))]
        ),
        now=1.0,
    )
    cursor.retain(watches=["w"], feeds=[FEED.key])
    assert set(cursor.watches()) == {"w"}
    assert cursor.progress(FEED) == {"issues": PROGRESS} and cursor.progress(OTHER) == {}
    assert list(cursor.members(["v"])) == list(cursor.members(["o"])) == []
    assert list(cursor.members(["w"])) == ["I_1"]
    assert set(cursor.snapshots(["I_1", "I_2"])) == {"I_1"}


def test_pruning_spares_what_is_owed(cursor: Cursor) -> None:
    cursor.commit(Batch(owed=[owed("a", "1"), owed("a", "2", not_before=1e12)]), now=1.0)
    cursor.prune(now=1e11)
    assert cursor.counts().owed == 2

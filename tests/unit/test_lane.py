"""Who is looked at when."""

from __future__ import annotations

from relayfleet.ports.source import Failure
from relayfleet.router.lane import Lane

GONE = Failure(kind="not_found", message="Not Found")
BROKEN = Failure(kind="server", message="HTTP 502", status=502)


def lane(**rhythms: float) -> Lane:
    made = Lane("github.com", "items")
    made.arrange(rhythms, fresh=(), moment=0.0)
    return made


def due(lane: Lane, moment: float, *, stretch: float = 1.0) -> set[str]:
    """Those that are looked at then, all with success."""
    lane.fill(stretch=stretch, moment=moment)
    found = set(lane.waiting)
    lane.seen(found)
    return found


def test_what_is_new_is_looked_at_at_once_and_then_in_its_rhythm() -> None:
    one = lane(a=60.0, b=60.0, c=240.0)
    assert due(one, 0.0) == {"a", "b", "c"}
    assert one.due_at(stretch=1.0) == 60.0
    assert due(one, 59.9) == set()
    assert due(one, 61.0) == {"a", "b"}
    # What came late does not shift the rhythm, and what was missed is not made up for.
    assert one.due_at(stretch=1.0) == 120.0
    assert due(one, 300.0) == {"a", "b", "c"}
    assert one.due_at(stretch=1.0) == 360.0


def test_stretched_feeds_stay_together_and_come_back_sooner_when_it_shrinks() -> None:
    one = lane(a=60.0, b=60.0, c=600.0)
    due(one, 0.0)
    assert one.due_at(stretch=3.0) == 180.0
    assert due(one, 60.0, stretch=3.0) == set()
    assert due(one, 100.0, stretch=1.5) == {"a", "b"}
    assert one.feed_due_at("c", stretch=3.0) == 900.0


def test_nothing_to_look_at() -> None:
    empty = lane()
    assert empty.due_at(stretch=1.0) is None
    assert due(empty, 10.0) == set()


def test_one_that_fails_by_itself_is_left_out_until_it_has_waited() -> None:
    one = lane(a=10.0, b=10.0)
    due(one, 0.0)
    one.fill(stretch=1.0, moment=10.0)
    one.failed("a", GONE, moment=10.0, jitter=0.0)
    one.seen(["b"])
    assert due(one, 20.0) == {"b"}
    assert one.feed_due_at("a", stretch=1.0) == 70.0
    assert due(one, 70.0) == {"a", "b"}
    # It is back in the rhythm of the others.
    assert due(one, 80.0) == {"a", "b"}


def test_what_could_not_be_reached_is_not_left_for_a_whole_interval() -> None:
    one = lane(a=600.0, b=600.0)
    due(one, 0.0)
    one.fill(stretch=1.0, moment=600.0)
    one.failed("a", BROKEN, moment=600.0, jitter=0.0)
    one.seen(["b"])
    assert one.due_at(stretch=1.0) == 601.0
    assert due(one, 601.0) == {"a"}
    assert one.due_at(stretch=1.0) == 1200.0


def test_one_feed_does_not_keep_back_all_others() -> None:
    one = lane(a=60.0, b=60.0, c=60.0, d=60.0)
    one.blame(["a", "b"], BROKEN, moment=0.0, jitter=0.0)
    assert list(one.waiting) == ["c", "d", "a", "b"]
    one.blame(["c"], BROKEN, moment=0.0, jitter=0.0)
    assert list(one.waiting) == ["d", "a", "b"]
    assert one.feed_due_at("c", stretch=1.0) == 1.0
    # A limit says nothing of what was asked for.
    one.blame(["d"], Failure(kind="secondary", message="slow down"), moment=0.0, jitter=0.0)
    assert list(one.waiting) == ["d", "a", "b"]


def test_going_over_to_other_feeds() -> None:
    one = lane(a=60.0, b=60.0, gone=60.0)
    due(one, 0.0)
    one.failed("b", GONE, moment=0.0, jitter=0.0)
    one.failed("gone", GONE, moment=0.0, jitter=0.0)
    one.changed.clear()
    one.arrange({"a": 60.0, "b": 60.0, "new": 60.0, "d": 5.0}, fresh={"a"}, moment=30.0)
    assert one.changed.is_set()
    assert set(one.waiting) == {"a", "new", "d"}
    assert set(one.feed_holds) == {"b"}
    one.seen(["a", "new", "d"])
    # Those of a rhythm keep its beat.
    assert due(one, 60.0) == {"a", "new", "d", "b"}

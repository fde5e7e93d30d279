"""What happened, from what was seen; when to look again; what becomes an entry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.event import Item, content_of, key_of
from relayfleet.model.filter import parse_filter
from relayfleet.model.watch import Progress, Watch
from relayfleet.ports.cursor import Member
from relayfleet.ports.source import Failure, FailureKind, Sight
from relayfleet.router.detect import Detection, detect
from relayfleet.router.schedule import BackOff, back_off, due_watches, next_poll, pause_until

WATCH = Watch(name="w", kind="issues", repo="acme/WMS")


def item(number: int = 1, **fields: object) -> Item:
    known: dict[str, object] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": f"I_{number}",
        "number": number,
        "title": "t",
        "body": "",
        "url": "",
        "author": "ann",
        "association": "MEMBER",
        "state": "open",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return Item(**{**known, **fields})  # type: ignore[arg-type]


def see(*items: Item, members: tuple[Item, ...] = (), first: bool = False) -> Detection:
    known = {
        one.node_id: Member(node_id=one.node_id, number=one.number, content=content_of(one), updated_at=one.updated_at)
        for one in members
    }
    sight = Sight(watch="w", items=items, progress=Progress(mark="m"))
    return detect(WATCH, parse_filter("--label bug", "issues"), sight, known, viewer="me", first=first)


BUG = item(labels=("bug",))


def test_the_first_look_is_silent_and_remembers() -> None:
    seen = see(BUG, item(2), first=True)
    assert seen.events == ()
    assert seen.change.fresh
    assert [one.node_id for one in seen.change.entered] == ["I_1"]


def test_matched_updated_and_left() -> None:
    assert [one.name for one in see(BUG).events] == ["matched"]
    changed = item(labels=("bug",), title="new")
    [event] = see(changed, members=(BUG,)).events
    assert (event.name, event.key, event.watched_repo) == ("updated", key_of(changed), "acme/WMS")
    gone = see(item(), members=(BUG,))
    assert (gone.events, gone.change.left) == ((), ("I_1",))


def test_nothing_new_is_nothing() -> None:
    seen = see(BUG, members=(BUG,))
    assert (seen.events, seen.change.entered, seen.change.left) == ((), (), ())


def test_events_come_in_the_order_of_githubs_clock() -> None:
    later = item(1, labels=("bug",), updated_at="2026-01-01T00:00:09Z")
    sooner = item(2, labels=("bug",), updated_at="2026-01-01T00:00:08Z")
    assert [one.item.number for one in see(later, sooner).events] == [2, 1]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), min_size=1, max_size=30))
def test_every_change_within_view_is_told_once(steps: list[tuple[bool, str]]) -> None:
    """An item goes in and out of view and changes; each look tells exactly what differs from the last look."""
    known: tuple[Item, ...] = ()
    for inside, title in steps:
        now = item(labels=("bug",) if inside else (), title=title)
        seen = see(now, members=known)
        if not inside:
            assert seen.events == ()
        elif not known:
            assert [one.name for one in seen.events] == ["matched"]
        else:
            assert [one.name for one in seen.events] == ([] if known == (now,) else ["updated"])
        known = (now,) if inside else ()


def test_the_rhythm_drops_beats_and_does_not_shift() -> None:
    assert next_poll(10.0, 5.0, now=10.2) == 15.0
    assert next_poll(10.0, 5.0, now=15.0) == 20.0
    assert next_poll(10.0, 5.0, now=27.3) == 30.0
    assert due_watches({"a": 1.0, "b": 2.0, "c": 3.0}, now=2.0) == ("a", "b")
    hold = BackOff(kind="server", tries=1, until=9.0)
    assert pause_until({"a": 1.0, "b": 2.0}, (None,)) == 1.0
    assert pause_until({"a": 1.0, "b": 2.0}, (hold, None)) == 9.0


@given(st.floats(0, 1e6), st.floats(1, 86400), st.floats(0, 1e6))
def test_the_next_beat_is_ahead_and_near(due: float, poll_sec: float, late: float) -> None:
    following = next_poll(due, poll_sec, now=due + late)
    assert due + late < following * (1 + 1e-9) + 1e-9
    assert following <= due + late + poll_sec * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize(
    ("kind", "wait_s", "expected"),
    [
        ("transport", None, [1, 2, 4, 8, 16, 32, 60, 60]),
        ("server", None, [1, 2, 4, 8, 16, 32, 60, 60]),
        ("secondary", None, [60, 120, 240, 480, 900, 900]),
        ("secondary", 7.0, [7, 7, 7]),
        ("primary", 1800.0, [1800, 1800]),
        ("primary", None, [60, 120]),
        ("auth", None, [300, 300]),
        ("not_found", None, [60, 120, 240]),
    ],
)
def test_back_off(kind: FailureKind, wait_s: float | None, expected: list[float]) -> None:
    hold: BackOff | None = None
    waits = []
    for _ in expected:
        hold = back_off(hold, Failure(kind=kind, message="m", wait_s=wait_s), now=100.0, jitter=0.0)
        waits.append(hold.until - 100.0)
    assert waits == expected


def test_another_kind_of_failure_begins_anew_and_jitter_only_adds() -> None:
    hold = BackOff(kind="server", tries=5, until=0.0)
    again = back_off(hold, Failure(kind="transport", message="m"), now=0.0, jitter=0.999)
    assert again.tries == 1
    assert 1.0 <= again.until < 1.5

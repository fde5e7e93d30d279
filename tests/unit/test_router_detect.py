"""What happened, from what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.change import EventName
from relayfleet.model.filter import matches_filter, parse_filter
from relayfleet.model.item import Act, Item, Note, Report
from relayfleet.model.snapshot import Snapshot
from relayfleet.model.watch import Feed, Progress, Watch, fingerprint_of
from relayfleet.ports.source import Found, Sight
from relayfleet.router.detect import Detection, View, detect

FEED = Feed("github.com", "acme/wms", "items")
WATCH = Watch(name="w", kind="issues", repo="acme/WMS", filter="--label bug")


def at(second: int) -> str:
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


LOOKED = at(100)


def item(number: int = 1, **fields: object) -> Item:
    known: dict[str, object] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": f"I_{number}",
        "number": number,
        "title": "t",
        "body": "",
        "url": f"https://github.com/acme/WMS/issues/{number}",
        "author": "ann",
        "association": "MEMBER",
        "state": "open",
        "created_at": at(1),
        "updated_at": at(1),
    }
    return Item(**{**known, **fields})  # type: ignore[arg-type]


class Repository:
    """What is remembered of it, from look to look, by any number of watches."""

    def __init__(self, *watches: Watch) -> None:
        self.watches = list(watches or (WATCH,))
        self.snapshots: dict[str, Snapshot] = {}
        self.members: dict[str, set[str]] = {}
        self.mark: str | None = None

    def look(
        self,
        *reports: Report,
        mark: str = LOOKED,
        gone: Sequence[str] = (),
        listed: Sequence[Item] = (),
        found: Mapping[str, Found] | None = None,
        named: str = "acme/WMS",
    ) -> Detection:
        fresh = [watch for watch in self.watches if watch.name not in self.members]
        sight = Sight(
            feed=FEED,
            progress={"issues": Progress(mark=mark, settled_at=mark)},
            named=named,
            reports=reports,
            gone=tuple(gone),
            listed={watch.name: tuple(listed) for watch in fresh},
            found=found or {},
        )
        views = [
            View(
                watch=watch,
                filter=parse_filter(watch.filter, watch.kind),
                fresh=watch in fresh,
                members=frozenset(self.members.get(watch.name, ())),
                late=at(50),
            )
            for watch in self.watches
        ]
        progress = {} if self.mark is None else {"issues": Progress(mark=self.mark, settled_at=self.mark)}
        seen = detect(sight, views, self.snapshots, progress=progress, viewer="me")  # type: ignore[arg-type]
        self.mark = mark
        self.snapshots.update((one.node_id, one) for one in seen.change.snapshots)
        for one in seen.change.fresh:
            self.members[one.name] = set(one.members)
        for watch, node_id in seen.change.entered:
            self.members[watch].add(node_id)
        for watch, node_id in seen.change.left:
            self.members[watch].discard(node_id)
        return seen


def names(seen: Detection) -> list[tuple[EventName, ...]]:
    return [event.names for event in seen.events]


BUG = item(labels=("bug",))


def test_the_first_look_is_silent_and_remembers() -> None:
    repository = Repository()
    seen = repository.look(Report(item=BUG), listed=(BUG, item(2), item(3, labels=("bug",))))
    assert seen.events == ()
    [fresh] = seen.change.fresh
    assert (fresh.name, fresh.fingerprint) == ("w", fingerprint_of(WATCH))
    assert set(fresh.members) == {"I_1", "I_3"}
    assert repository.snapshots["I_1"].whole and not repository.snapshots["I_3"].whole


def test_matched_updated_and_left() -> None:
    repository = Repository()
    repository.look()
    assert names(repository.look(Report(item=item(labels=("bug",), created_at=at(110), updated_at=at(110))))) == [
        ("opened", "matched")
    ]
    seen = repository.look(Report(item=item(labels=("bug",), title="new", updated_at=at(120))))
    assert names(seen) == [("updated",)] and seen.events[0].why == ""
    seen = repository.look(Report(item=item(labels=("bug",), title="new", state="closed", updated_at=at(130))))
    assert names(seen) == [("closed", "left")] and seen.events[0].why == "closed"
    assert repository.members["w"] == set()
    seen = repository.look(Report(item=item(labels=("bug",), title="new", updated_at=at(140))))
    assert names(seen) == [("reopened", "matched")]
    seen = repository.look(Report(item=item(title="new", updated_at=at(150))))
    assert names(seen) == [("left", "unlabeled")] and seen.events[0].why == "unlabeled"


def test_nothing_new_is_nothing() -> None:
    repository = Repository()
    repository.look(Report(item=BUG), listed=(BUG,))
    seen = repository.look(Report(item=BUG))
    assert seen.events == () and seen.change.snapshots == ()


def test_events_come_in_the_order_of_githubs_clock() -> None:
    repository = Repository(Watch(name="w", kind="issues", repo="acme/WMS"))
    repository.look()
    new = [item(number, created_at=at(110), updated_at=at(moment)) for number, moment in ((1, 130), (2, 120), (3, 130))]
    seen = repository.look(*(Report(item=one) for one in new))
    assert [event.item.number for event in seen.events] == [2, 1, 3]


def test_a_watch_that_is_added_later_is_silent_and_the_others_are_not() -> None:
    repository = Repository()
    repository.look(Report(item=BUG), listed=(BUG,))
    repository.watches.append(Watch(name="all", kind="issues", repo="acme/WMS"))
    changed = item(labels=("bug",), title="new", updated_at=at(120))
    seen = repository.look(Report(item=changed), listed=(changed, item(2)))
    assert [(event.watch, event.names) for event in seen.events] == [("w", ("updated",))]
    assert repository.members["all"] == {"I_1", "I_2"}


def test_what_was_never_listed_and_changes_is_told_as_what_happened() -> None:
    """A first look lists so many items and no more; of an older one its timeline tells what it was."""
    repository = Repository()
    repository.look()
    closing = Act(kind="closed", node_id="CE_1", actor="ann", at=at(120))
    note = Note(
        kind="comment",
        node_id="IC_1",
        url="u",
        author="ann",
        association="MEMBER",
        body="b",
        created_at=at(119),
        updated_at=at(119),
    )
    old = item(labels=("bug",), state="closed", updated_at=at(120))
    seen = repository.look(Report(item=old, notes=(note,), acts=(closing,)))
    assert names(seen) == [("closed", "left", "commented")]
    assert seen.events[0].changes.notes == (note,)


def test_what_is_gone_left_every_view_and_is_forgotten() -> None:
    repository = Repository(WATCH, Watch(name="all", kind="issues", repo="acme/WMS"))
    repository.look(Report(item=BUG), listed=(BUG,))
    seen = repository.look(gone=("I_1", "I_99"))
    assert [(event.watch, event.names, event.why) for event in seen.events] == [
        ("w", ("left",), "gone"),
        ("all", ("left",), "gone"),
    ]
    assert len({event.key for event in seen.events}) == 1
    assert repository.members == {"w": set(), "all": set()}


def test_a_transferred_item_left_and_a_renamed_repository_did_not() -> None:
    repository = Repository()
    repository.look(Report(item=BUG), listed=(BUG,))
    renamed = item(labels=("bug",), repo="acme/New")
    assert repository.look(Report(item=renamed), named="acme/New").events == ()
    moved = item(labels=("bug",), repo="acme/Other", number=7, node_id="I_1", updated_at=at(120))
    seen = repository.look(Report(item=moved), named="acme/New")
    assert [(event.names, event.why) for event in seen.events] == [(("left", "transferred"), "transferred")]


def test_what_only_search_knows() -> None:
    repository = Repository(Watch(name="w", kind="issues", repo="acme/WMS", filter="--search mentions:me"))
    one, two = item(), item(2)
    repository.look(found={"w": Found(items={"I_1": one}, whole=True)})
    assert repository.members["w"] == {"I_1"}
    seen = repository.look(Report(item=two), found={"w": Found(items={"I_2": two}, whole=False)})
    assert names(seen) == [("matched",)], "what an earlier look did not show stays in view"
    assert repository.members["w"] == {"I_1", "I_2"}
    seen = repository.look(found={"w": Found(items={"I_2": two}, whole=True)})
    assert [(event.item.number, event.why) for event in seen.events] == [(1, "changed")]
    late = item(2, title="new", updated_at=at(60))
    seen = repository.look(Report(item=late), found={"w": Found(items={}, whole=True)})
    assert names(seen) == [("updated",)], "the index is late about what just changed"


States = tuple[bool, str, bool]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.booleans()), max_size=12))
def test_every_change_within_view_is_told_once(steps: list[States]) -> None:
    repository = Repository(WATCH)
    chosen = parse_filter(WATCH.filter, "issues")
    repository.look()
    before: Item | None = None
    for number, (labelled, title, closed) in enumerate(steps):
        now = item(
            labels=("bug",) if labelled else (),
            title=title,
            state="closed" if closed else "open",
            created_at=at(110),
            updated_at=at(110 + number),
        )
        seen = repository.look(Report(item=now))
        was_in = before is not None and matches_filter(chosen, before, viewer="me")
        is_in = matches_filter(chosen, now, viewer="me")
        same = before is not None and (now.labels, now.title, now.state) == (before.labels, before.title, before.state)
        if not (was_in or is_in) or (was_in and is_in and same):
            assert seen.events == ()
        else:
            [event] = seen.events
            assert ("matched" in event.names) == (is_in and not was_in)
            assert ("left" in event.names) == (was_in and not is_in) == bool(event.why)
        assert repository.members["w"] == ({"I_1"} if is_in else set())
        before = now

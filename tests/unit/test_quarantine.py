"""The quarantine, over a real router.db."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.fleet.quarantine import case_of, pieces_in_words
from relayfleet.model.event import encode_event
from relayfleet.model.names import EntryId
from relayfleet.ports.cursor import Batch, Held, Owed
from relayfleet.router.release import released
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.decisions import read_decisions
from relayfleet.store.router_db.quarantine import Quarantine, Settled
from tests.events import event_of, held_of, hold_of, note_of, write

NOW = 2_000_000.0
Open = Callable[..., Quarantine]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    """Opens the quarantine of a fleet with these agents."""
    left: list[Quarantine] = []
    numbers = itertools.count(1)

    def decide(held: Held) -> Sequence[Owed]:
        return released(held, new_id=lambda: EntryId(f"new{next(numbers)}"), now=NOW)

    def open_it(*agents: str) -> Quarantine:
        left.append(Quarantine(path, released=decide, agents=agents or ("coder", "manager"), now=lambda: NOW))
        return left[-1]

    yield open_it
    for one in left:
        one.close()


def owed(path: Path) -> list[tuple[str, str, str]]:
    with closing(SqliteCursor(path)) as cursor:
        return [(one.agent, one.key, one.entry.id) for one in cursor.owed(now=NOW)]


def test_what_is_held_is_listed_the_newest_first(path: Path, opened: Open) -> None:
    first, second = held_of(event_of(1), at=5.0), held_of(event_of(2), hold_of("manager"), at=6.0)
    write(path, Batch(held=[first, second]))
    quarantine = opened()
    assert list(quarantine.rows()) == [(2, replace(second, id=2)), (1, replace(first, id=1))]
    assert quarantine.ids() == (1, 2)
    assert quarantine.get(2) == (True, replace(second, id=2))
    assert quarantine.get(3) == (False, None)


def test_release_is_one_delivery_for_each_agent(path: Path, opened: Open) -> None:
    event = event_of(41)
    write(path, Batch(held=[held_of(event, hold_of("coder", routes=(2, 0)), hold_of("manager"))]))
    quarantine = opened()
    assert quarantine.release([1]) == (Settled(id=1, outcome="released", to=(("coder", "new1"), ("manager", "new2"))),)
    key = f"{event.key}#released"
    assert owed(path) == [("coder", key, "new1"), ("manager", key, "new2")]
    assert quarantine.ids() == ()
    with closing(Database(path)) as database:
        (told,) = read_decisions(database, about=None, limit=10)
    assert told.decision.record == {
        "watch": "w",
        "events": ["opened"],
        "why": "",
        "to": [
            {"agent": "coder", "routes": [2, 0], "entry": "new1"},
            {"agent": "manager", "routes": [0], "entry": "new2"},
        ],
        "held": [],
        "note": "released from quarantine by the operator",
    }
    assert {agent: (one.entry, one.state) for agent, one in told.deliveries.items()} == {
        "coder": ("new1", "owed"),
        "manager": ("new2", "owed"),
    }


def test_releasing_twice_delivers_once(path: Path, opened: Open) -> None:
    """By number, and by another number of the same event, which another watch saw."""
    event = event_of(41)
    write(path, Batch(held=[held_of(event), held_of(replace(event, watch="w2"))]))
    quarantine = opened()
    first, again = quarantine.release([1, 1]), quarantine.release([1])
    assert [one.outcome for one in (*first, *again)] == ["released", "gone"]
    assert quarantine.release([2]) == (Settled(id=2, outcome="released", before=("coder",)),)
    assert [entry for _, _, entry in owed(path)] == ["new1"]


def test_what_was_delivered_of_the_event_before_is_no_hindrance(path: Path, opened: Open) -> None:
    """A trusted comment was delivered, the stranger's item was not: both have the event's key."""
    event = event_of(41, "commented", notes=[note_of("n1", "may", "MEMBER")])
    earlier = replace(released(held_of(event), new_id=lambda: EntryId("old1"), now=1.0)[0], key=event.key)
    write(path, Batch(owed=[earlier], held=[held_of(event)]), delivered=True)
    assert opened().release([1])[0].to == (("coder", "new1"),)


def test_drop_delivers_nothing(path: Path, opened: Open) -> None:
    write(path, Batch(held=[held_of(event_of(1)), held_of(event_of(2))]))
    quarantine = opened()
    assert [(one.id, one.outcome) for one in quarantine.drop([1, 1])] == [(1, "dropped")]
    assert [(one.id, one.outcome) for one in quarantine.drop([1])] == [(1, "gone")]
    assert (quarantine.ids(), owed(path)) == ((2,), [])
    assert quarantine.release([1])[0].outcome == "gone"
    with closing(Database(path)) as database:
        (told,) = read_decisions(database, about=None, limit=10)
    assert (told.decision.number, told.decision.record["note"]) == (1, "dropped from quarantine by the operator")


def test_numbers_that_nothing_ever_had(path: Path, opened: Open) -> None:
    write(path, Batch(held=[held_of(event_of(1)), held_of(event_of(2))]))
    quarantine = opened()
    quarantine.drop([1, 2])
    assert quarantine.never_given([0, 1, 2, 3, -1, 2**70]) == (0, 3, -1, 2**70)
    assert quarantine.get(2**70) == (False, None)
    # A number is not given a second time.
    write(path, Batch(held=[held_of(event_of(3))]))
    assert quarantine.ids() == (3,)


def test_an_agent_that_is_no_more_gets_nothing(path: Path, opened: Open) -> None:
    write(
        path, Batch(held=[held_of(event_of(1), hold_of("old"), hold_of("coder")), held_of(event_of(2), hold_of("old"))])
    )
    quarantine = opened("coder")
    assert quarantine.release([1, 2]) == (
        Settled(id=1, outcome="released", to=(("coder", "new2"),), missing=("old",)),
        Settled(id=2, outcome="nobody", missing=("old",)),
    )
    assert quarantine.ids() == (2,)


@pytest.mark.parametrize(
    "record", ["{", "[]", "{}", '{"event": {}, "holds": [{}]}', '{"event": {"item": {}}, "holds": []}', "[" * 100_000]
)
def test_what_cannot_be_read_stays_until_it_is_dropped(path: Path, opened: Open, record: str) -> None:
    write(path, Batch(held=[held_of(event_of(1)), held_of(event_of(2))]))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE held SET record = ? WHERE id = 1", (record,))
    quarantine = opened()
    assert [one.outcome for one in quarantine.release([1, 2])] == ["unreadable", "released"]
    assert [held_id for held_id, _ in quarantine.rows()] == [1]
    assert quarantine.drop([1])[0].outcome == "dropped"
    assert quarantine.ids() == ()


def test_two_at_once_release_everything_once(path: Path) -> None:
    """Each has a connection of its own, as two processes have."""
    write(path, Batch(held=[held_of(event_of(number)) for number in range(1, 251)]))
    begin = threading.Barrier(2)
    outcomes: list[Settled] = []

    def release(name: str) -> None:
        numbers = itertools.count(1)
        quarantine = Quarantine(
            path,
            released=lambda held: released(held, new_id=lambda: EntryId(f"{name}{next(numbers)}"), now=NOW),
            agents=("coder",),
            now=lambda: NOW,
        )
        with closing(quarantine):
            begin.wait(timeout=20)
            outcomes.extend(quarantine.release(range(1, 251)))

    threads = [threading.Thread(target=release, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(one.id for one in outcomes if one.outcome == "released") == list(range(1, 251))
    assert sorted(one.id for one in outcomes if one.outcome == "gone") == list(range(1, 251))
    assert len({key for _, key, _ in owed(path)}) == len(owed(path)) == 250


def test_a_failure_in_the_middle_leaves_everything_held(path: Path) -> None:
    write(path, Batch(held=[held_of(event_of(1)), held_of(event_of(2))]))
    count = itertools.count()

    def decide(held: Held) -> Sequence[Owed]:
        if next(count):
            raise OSError(28, "No space left on device")
        return released(held, new_id=lambda: EntryId("new1"), now=NOW)

    with closing(Quarantine(path, released=decide, agents=("coder",), now=lambda: NOW)) as quarantine:
        with pytest.raises(StorageFailed):
            quarantine.release([1, 2])
        assert quarantine.ids() == (1, 2)
    assert owed(path) == []


def test_a_file_that_is_no_database(path: Path, opened: Open) -> None:
    path.write_bytes(b"not a database, " * 300)
    with pytest.raises(StorageFailed) as caught:
        opened()
    assert "move a damaged router.db away" in caught.value.hint


def test_a_database_of_another_format(path: Path, opened: Open) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(FleetError, match="it has format 1"):
        opened()


def test_a_database_that_another_is_at(path: Path) -> None:
    with closing(Database(path)) as one, closing(Database(path, wait_s=0.01)) as other:
        with one.transaction(), pytest.raises(StorageFailed, match="locked") as caught, other.transaction():
            pass
    assert caught.value.hint == "another process is at it: try again"


def test_many_begin_the_same_database_at_once(path: Path) -> None:
    begin = threading.Barrier(8)
    failures: list[Exception] = []

    def open_it() -> None:
        begin.wait(timeout=20)
        try:
            Database(path).close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert failures == []
    with closing(Database(path)) as database:
        assert database.connection.execute("SELECT count(*) FROM held").fetchone() == (0,)


# ------------------------------------------------------------------------------------------------ told piece by piece


def test_the_pieces_of_a_case() -> None:
    notes = [note_of("n1", "eve"), note_of("n2", "may", "MEMBER"), note_of("n3", "ci[bot]", "NONE", kind="review")]
    event = event_of(41, "opened", "commented", notes=notes)
    case = case_of(held_of(event, hold_of("coder", notes=("n1",)), hold_of("manager", item=False, notes=("n1", "n3"))))
    assert [(one.what, one.author, one.trust, one.bot, one.agents) for one in case.pieces] == [
        ("item", "mallory", "stranger", False, ("coder",)),
        ("comment", "eve", "stranger", False, ("coder", "manager")),
        ("review", "ci[bot]", "stranger", True, ("manager",)),
    ]
    assert case.agents == ("coder", "manager")
    # All that hangs on an item is its author's text.
    assert case.pieces[0].text == "The pump is loud\n\nIt hums since Monday."
    assert case.pieces[0].facts == (("labels", "bug"),)


def test_what_a_case_is_about() -> None:
    case = case_of(held_of(event_of(), hold_of("coder")))
    assert case.is_about(agent=None, repo=None)
    assert case.is_about(agent="coder", repo="ACME/wms")
    assert case.is_about(agent=None, repo="github.com/acme/WMS")
    assert not case.is_about(agent="manager", repo=None)
    assert not case.is_about(agent=None, repo="ghe.acme.test/acme/WMS")
    elsewhere = case_of(held_of(event_of(host="ghe.acme.test")))
    assert (elsewhere.repo, elsewhere.is_about(agent=None, repo="acme/WMS")) == ("ghe.acme.test/acme/WMS", False)


@pytest.mark.parametrize(
    ("item", "notes", "words"),
    [
        (True, (), "the item's text"),
        (True, ("a",), "the item's text and 1 note"),
        (False, ("a", "b"), "2 notes"),
    ],
)
def test_pieces_in_words(item: bool, notes: tuple[str, ...], words: str) -> None:
    assert pieces_in_words(hold_of(item=item, notes=notes)) == words


def test_a_case_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match=r".+"):
        case_of(replace(held_of(event_of()), event={**encode_event(event_of()), "item": None}))

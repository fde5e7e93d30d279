"""What a person sees of router.db and does with it: decisions, replay, summary, export, forgetting, breakers."""

from __future__ import annotations

import itertools
import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relayfleet.model.entry import Entry
from relayfleet.model.item import Report
from relayfleet.model.item_name import ItemName, parse_item_name
from relayfleet.model.names import EntryId
from relayfleet.model.snapshot import snapshot_of
from relayfleet.model.watch import Feed, Progress
from relayfleet.ports.cursor import Batch, Breaker, Cooldown, FeedChange, FreshWatch, Owed
from relayfleet.router.replay import replayed
from relayfleet.store.router_db.breakers import reset_breakers
from relayfleet.store.router_db.cursor import KEEP_TEXTS_S, SqliteCursor
from relayfleet.store.router_db.database import Database
from relayfleet.store.router_db.decisions import Told, read_decisions
from relayfleet.store.router_db.export import export
from relayfleet.store.router_db.forget import forget_watch, known_watches
from relayfleet.store.router_db.replay import Found, Past, Replayer
from relayfleet.store.router_db.summary import summary_of
from tests.events import decision_of, event_of, held_of, hold_of, owed_of, write

NOW = 2_000_000.0
FEED = Feed("github.com", "acme/wms", "items")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(path)) as opened:
        yield opened


def read(database: Database, item: str | None = None, *, since: float = 0.0, limit: int = 100) -> tuple[Told, ...]:
    about = parse_item_name(item) if item else None
    return read_decisions(database, about=about, since=since, limit=limit)


# ---------------------------------------------------------------------------------------------------------- decisions


def test_the_newest_decisions_the_oldest_first(path: Path, database: Database) -> None:
    write(path, Batch(decisions=[decision_of(event_of(number), at=float(number)) for number in range(1, 8)]))
    assert [one.decision.number for one in read(database, limit=3)] == [5, 6, 7]
    assert [one.decision.number for one in read(database, since=6.0)] == [6, 7]


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("acme/WMS#1", ["acme/WMS#1"]),
        ("ACME/wms#1", ["acme/WMS#1"]),
        ("github.com/acme/WMS#1", ["acme/WMS#1"]),
        ("acme/WMS", ["acme/WMS#1", "acme/WMS#2"]),
        ("https://ghe.acme.test/acme/WMS/issues/1", ["ghe.acme.test/acme/WMS#1"]),
        ("acme/other", []),
        ("acme/WMS#3", []),
    ],
)
def test_the_decisions_about_an_item(path: Path, database: Database, item: str, found: list[str]) -> None:
    events = [event_of(1), event_of(2), event_of(1, host="ghe.acme.test")]
    write(path, Batch(decisions=[decision_of(event) for event in events]))
    assert [f"{one.decision.repo}#{one.decision.number}" for one in read(database, item)] == found


def test_a_decision_says_what_became_of_its_deliveries(path: Path, database: Database) -> None:
    event = event_of(1)
    owed = [owed_of(event, "coder"), owed_of(event, "manager", not_before=NOW + 60)]
    write(path, Batch(owed=owed[:1]), delivered=True)
    write(path, Batch(owed=owed[1:], decisions=[decision_of(event, *owed, owed_of(event, "forgotten"))]))
    (told,) = read(database)
    assert {agent: (one.entry, one.state, one.not_before) for agent, one in told.deliveries.items()} == {
        "coder": (owed[0].entry.id, "delivered", 0.0),
        "manager": (owed[1].entry.id, "owed", NOW + 60),
    }


def test_a_decision_names_the_entry_that_another_was_joined_to(path: Path, database: Database) -> None:
    first = owed_of(event_of(1), not_before=NOW)
    later = replace(owed_of(event_of(1), not_before=NOW), key="another")
    write(
        path, Batch(owed=[first, later], decisions=[replace(decision_of(event_of(1), later), key="another")]), now=1.0
    )
    (told,) = read(database)
    assert told.decision.record["to"][0]["entry"] == later.entry.id
    assert told.deliveries["coder"].entry == first.entry.id


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"to": [{}]}', '{"to": 1}', "null"])
def test_a_decision_that_cannot_be_read_is_passed_over(path: Path, database: Database, record: str) -> None:
    write(path, Batch(decisions=[decision_of(event_of(1)), decision_of(event_of(2))]))
    database.connection.execute("UPDATE decisions SET record = ? WHERE id = 2", (record,))
    assert [one.decision.number for one in read(database, limit=1)] == [1]


# ------------------------------------------------------------------------------------------------------------- replay


@pytest.fixture
def replayer(path: Path) -> Iterator[Replayer]:
    numbers = itertools.count(1)

    def again(owed: Owed, number: int) -> Owed:
        return replayed(owed, number, entry_id=EntryId(f"new{next(numbers)}"), now=NOW)

    with closing(Replayer(path, replayed=again, agents=("coder", "manager"), now=lambda: NOW)) as opened:
        yield opened


def find(replayer: Replayer, *, since: float = 0.0, agent: str | None = None, item: str | None = None) -> Found:
    return replayer.find(since=since, agent=agent, about=parse_item_name(item) if item else None)


def owed_now(path: Path) -> list[Owed]:
    with closing(SqliteCursor(path)) as cursor:
        return list(cursor.owed(now=NOW))


def test_what_was_delivered_since_then_is_owed_once_more(path: Path, replayer: Replayer) -> None:
    old, one, two = owed_of(event_of(1)), owed_of(event_of(2)), owed_of(event_of(3), "manager")
    write(path, Batch(owed=[old]), now=10.0, delivered=True)
    write(path, Batch(owed=[one, two]), now=20.0, delivered=True)
    write(path, Batch(owed=[owed_of(event_of(4))]), now=30.0)  # owed: it comes anyway
    found = find(replayer, since=15.0)
    assert found == Found(
        past=(
            Past(id=2, agent="coder", entry=one.entry.id, about="acme/WMS#2", at=20.0),
            Past(id=3, agent="manager", entry=two.entry.id, about="acme/WMS#3", at=20.0),
        ),
        lost=(),
        missing=(),
    )
    assert [(again.past.entry, again.entry) for again in replayer.replay(found.past)] == [
        (one.entry.id, "new1"),
        (two.entry.id, "new2"),
    ]
    again = {owed.entry.id: owed for owed in owed_now(path)}
    assert (again[EntryId("new1")].key, again[EntryId("new2")].agent) == (f"{one.key}#replay-1", "manager")
    assert again[EntryId("new1")].entry.metadata["replay_of"] == one.entry.id
    assert again[EntryId("new1")].entry.body == one.entry.body


def test_each_replay_has_a_number_and_is_not_replayed_itself(path: Path, replayer: Replayer) -> None:
    first = owed_of(event_of(1))
    write(path, Batch(owed=[first]), now=20.0, delivered=True)
    for _ in range(11):
        assert [one.entry for one in find(replayer).past] == [first.entry.id]
        assert len(replayer.replay(find(replayer).past)) == 1
        with closing(SqliteCursor(path)) as cursor:
            cursor.settle([owed.entry.id for owed in cursor.owed(now=NOW)], now=NOW)
    with closing(sqlite3.connect(path)) as db:
        keys = [key for (key,) in db.execute("SELECT key FROM deliveries ORDER BY id")]
    assert keys == [first.key, *(f"{first.key}#replay-{number}" for number in range(1, 12))]
    # What was forgotten gives its number to nobody.
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM deliveries WHERE key LIKE '%#replay-3'")
    replayer.replay(find(replayer).past)
    assert [owed.key for owed in owed_now(path)] == [f"{first.key}#replay-12"]


def test_only_of_an_agent_or_an_item(path: Path, replayer: Replayer) -> None:
    events = [event_of(1), event_of(2), event_of(1, repo="acme/other"), event_of(1, host="ghe.acme.test")]
    write(
        path, Batch(owed=[replace(owed_of(one), item="?", key=f"k{n}") for n, one in enumerate(events)]), delivered=True
    )
    write(path, Batch(owed=[owed_of(event_of(9), "manager")]), delivered=True)
    assert [one.about for one in find(replayer, agent="manager").past] == ["acme/WMS#9"]
    assert [one.about for one in find(replayer, item="acme/wms#1").past] == ["acme/WMS#1"]
    assert [one.about for one in find(replayer, item="acme/WMS").past] == ["acme/WMS#1", "acme/WMS#2", "acme/WMS#9"]
    assert [one.about for one in find(replayer, item="ghe.acme.test/acme/WMS#1").past] == ["ghe.acme.test/acme/WMS#1"]
    assert find(replayer, item="acme/WMS#1", agent="manager").past == ()


def test_texts_that_are_not_kept_any_more_are_named(path: Path, replayer: Replayer) -> None:
    """By what is still known of the item; an item is found by it, too."""
    event = event_of(1)
    old, older, new = owed_of(event), owed_of(event_of(2)), owed_of(event_of(3))
    write(path, Batch(owed=[old, older], decisions=[decision_of(event, old)]), now=20.0, delivered=True)
    write(path, Batch(owed=[new]), now=NOW, delivered=True)
    with closing(SqliteCursor(path)) as cursor:
        known = snapshot_of(Report(item=event.item))
        cursor.commit(Batch(feeds=[FeedChange(feed=FEED, progress={}, snapshots=(known,))]), now=NOW)
        cursor.prune(now=20.0 + KEEP_TEXTS_S + 1)
    found = find(replayer)
    assert [one.entry for one in found.past] == [new.entry.id]
    assert [(one.entry, one.about) for one in found.lost] == [
        (old.entry.id, "acme/WMS#1"),
        (older.entry.id, older.key),
    ]
    assert [one.entry for one in find(replayer, item="acme/WMS#1").lost] == [old.entry.id]
    # It went between the look and the act.
    assert replayer.replay(found.lost) == ()


def test_what_was_joined_to_another_entry_is_not_counted_as_lost(path: Path, replayer: Replayer) -> None:
    first = owed_of(event_of(1), not_before=100.0)
    write(path, Batch(owed=[first, replace(owed_of(event_of(1), not_before=100.0), key="more")]), now=50.0)
    assert find(replayer, since=10.0) == Found(past=(), lost=(), missing=())
    with closing(SqliteCursor(path)) as cursor:
        cursor.settle([one.entry.id for one in cursor.owed(now=200.0)], now=200.0)
    assert [one.entry for one in find(replayer, since=10.0).past] == [first.entry.id]
    assert find(replayer, since=10.0).lost == ()


def test_an_agent_that_is_no_more_is_left_out(path: Path, replayer: Replayer) -> None:
    write(path, Batch(owed=[owed_of(event_of(1), "old"), owed_of(event_of(1))]), delivered=True)
    found = find(replayer)
    assert ([one.agent for one in found.past], [one.agent for one in found.missing]) == (["coder"], ["old"])


def test_a_replay_is_in_the_log(path: Path, replayer: Replayer, database: Database) -> None:
    first = owed_of(event_of(1, host="ghe.acme.test"))
    write(path, Batch(owed=[first]), delivered=True)
    replayer.replay(find(replayer).past)
    (told,) = read(database, "ghe.acme.test/acme/WMS#1")
    assert told.decision.record["note"] == f"delivered again by the operator, as entry {first.entry.id} was before"
    assert told.deliveries["coder"].entry == "new1"


def test_an_entry_that_is_not_of_github_is_replayed_all_the_same(
    path: Path, replayer: Replayer, database: Database
) -> None:
    entry = Entry(id=EntryId("e1"), ts=1.0, source="clock", body="tick")
    write(path, Batch(owed=[Owed(agent="coder", key="k", entry=entry)]), delivered=True)
    assert [again.entry for again in replayer.replay(find(replayer).past)] == ["new1"]
    assert read(database) == ()


# ------------------------------------------------------------------------------------- summary, export, forget, reset


def full() -> Batch:
    """Something of everything."""
    event = event_of(1)
    owed = owed_of(event, not_before=NOW)
    change = FeedChange(
        feed=FEED,
        progress={"issues": Progress(mark="2026-01-01T00:00:00Z", count=1)},
        snapshots=(snapshot_of(Report(item=event.item)),),
        fresh=(
            FreshWatch(name="w", fingerprint="f", members=("I_1", "I_2")),
            FreshWatch(name="w2", fingerprint="f2", members=("I_1",)),
        ),
    )
    return Batch(
        feeds=[change],
        owed=[owed],
        held=[held_of(event, at=5.0), held_of(event_of(2), at=6.0)],
        decisions=[decision_of(event, owed, held=[hold_of()])],
        cooldowns=[Cooldown(route="r", item="I_1", until=9.0)],
        breakers=[
            Breaker(route="r", item="I_1", count=7, since=3.0, open=True, about="acme/WMS#1"),
            Breaker(route="q", item="I_1", count=8, since=2.0, open=True, about="acme/WMS#1"),
            Breaker(route="r", item="I_2", count=2, since=1.0, open=False, about="acme/WMS#2"),
        ],
    )


def test_summary(path: Path, database: Database) -> None:
    write(path, full())
    known = summary_of(database)
    assert [(one.name, one.since, one.items) for one in known.watches] == [("w", 1e6, 2), ("w2", 1e6, 1)]
    assert [(one.feed, one.kind, one.mark, one.items) for one in known.feeds] == [
        ("items:acme/wms", "issues", "2026-01-01T00:00:00Z", 1)
    ]
    assert known.rows == {
        "snapshots": 1,
        "members": 3,
        "deliveries": 1,
        "held": 2,
        "decisions": 1,
        "cooldowns": 1,
        "breakers": 3,
    }
    assert (known.owed, known.oldest_held_at) == (1, 5.0)
    assert [one.route for one in known.open_breakers] == ["q", "r"]
    assert known.bytes >= path.stat().st_size
    database.connection.execute("UPDATE progress SET record = '{'")
    assert summary_of(database).feeds[0].mark == "unreadable"


def test_export_is_everything(path: Path, database: Database) -> None:
    batch = full()
    write(path, batch)
    exported = json.loads("".join(export(database, now=7.0)))
    assert (exported["version"], exported["format"], exported["exported_at"]) == (1, 2, 7.0)
    tables = {
        name
        for (name,) in database.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    }
    assert set(exported) - {"version", "format", "exported_at"} == tables
    for table in tables:
        columns = [row[1] for row in database.connection.execute(f"PRAGMA table_info({table})")]
        assert [set(row) <= set(columns) for row in exported[table]] == [True] * len(exported[table])
        assert len(exported[table]) > 0
    (delivery,) = exported["deliveries"]
    assert delivery["entry"]["id"] == batch.owed[0].entry.id
    assert exported["held"][0]["record"]["event"]["item"]["title"] == "The pump is loud"
    assert exported["breakers"][0]["open"] is True
    assert [row["node_id"] for row in exported["members"]] == ["I_1", "I_2", "I_1"]


def test_export_is_ascii_and_survives_what_cannot_be_read(path: Path, database: Database) -> None:
    write(
        path, Batch(held=[held_of(event_of(1, title="\x1b[2J \u202e 🦀"))], owed=[owed_of(event_of(1))]), delivered=True
    )
    database.connection.execute("UPDATE deliveries SET entry = ''")
    database.connection.execute("UPDATE held SET record = record || '}' WHERE id = 2")
    text = "".join(export(database, now=7.0))
    assert text.isascii()
    assert "\x1b" not in text
    exported: dict[str, Any] = json.loads(text)
    assert exported["deliveries"][0]["entry"] is None
    assert exported["held"][0]["record"]["event"]["item"]["title"] == "\x1b[2J \u202e 🦀"


def test_export_of_an_empty_database(database: Database) -> None:
    exported = json.loads("".join(export(database, now=7.0)))
    assert exported.pop("version") == 1
    assert all(value == [] for key, value in exported.items() if key not in ("format", "exported_at"))


def test_export_keeps_nothing_in_memory_and_nobody_waiting(path: Path, database: Database) -> None:
    big = [replace(held_of(event_of(number, body="x" * 20_000)), key=f"k{number}") for number in range(2000)]
    write(path, Batch(held=big))
    del big
    tracemalloc.start()
    try:
        size = 0
        for number, piece in enumerate(export(database, now=7.0)):
            size += len(piece)
            if number == 3:  # the router goes on writing
                write(path, Batch(held=[held_of(event_of(9999))]))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 40_000_000
    assert most < size / 2
    assert not database.connection.in_transaction


def test_forget_a_watch(path: Path, database: Database) -> None:
    write(path, full())
    assert known_watches(database) == ["w", "w2"]
    assert forget_watch(database, "w") == 2
    assert forget_watch(database, "w") is None
    assert known_watches(database) == ["w2"]
    with closing(SqliteCursor(path)) as cursor:
        assert dict(cursor.watches()) == {"w2": "f2"}
        assert cursor.members(["w", "w2"]) == ["I_1"]
        assert cursor.progress(FEED)["issues"].mark == "2026-01-01T00:00:00Z"


def test_reset_breakers(path: Path, database: Database) -> None:
    write(path, full())
    assert [(one.route, one.about, one.count) for one in reset_breakers(database, route="r")] == [
        ("r", "acme/WMS#1", 7)
    ]
    assert [one.route for one in reset_breakers(database, route=None)] == ["q"]
    assert reset_breakers(database, route=None) == ()
    # One that only counts goes on counting.
    with closing(SqliteCursor(path)) as cursor:
        assert [(one.item, one.count) for one in cursor.breakers()] == [("I_2", 2)]


def test_an_item_is_found_by_the_decisions_when_its_entry_does_not_say(path: Path, replayer: Replayer) -> None:
    """It was renamed since: the decision knows it by the new name."""
    event = event_of(1, repo="acme/old")
    write(path, Batch(owed=[owed_of(event)], decisions=[decision_of(event_of(1))]), delivered=True)
    assert [one.about for one in find(replayer, item="acme/WMS#1").past] == ["acme/old#1"]
    assert replayer.find(since=0.0, agent=None, about=ItemName(repo="acme/WMS", number=2)).past == ()

"""The record of an agent is kept small, and no crash at any moment of that loses or repeats anything."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relayfleet.model.agent import InboxPolicy
from relayfleet.model.entry import Entry, encode_entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS, EntryState, Receipt, state_of
from relayfleet.runner.entries import Entries
from relayfleet.store.inbox import FileInbox, read_all_entries, read_entries
from relayfleet.store.receipts import FileReceipts, read_all_receipts, read_receipts
from relayfleet.store.upkeep import FileUpkeep

SEGMENT_BYTES = 600
NEXT: dict[str, list[EntryState]] = {
    "queued": ["offered", "failed"],
    "offered": ["offered", "seen", "dead"],
    "seen": ["handled", "failed"],
}
CHANGES = ("open", "write", "fsync", "replace", "unlink", "mkdir", "ftruncate")


class Crash(BaseException):
    """The process is gone: nothing that would only follow an error is done."""


@contextmanager
def crash_at(count: int) -> Iterator[None]:
    """The change of the disk number `count` (from 0) is not made; a write is made by half."""
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in CHANGES}
    left, opened = [count], dict[int, int]()

    def made(name: str) -> Callable[..., Any]:
        def change(*args: Any, **named: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real[name](*args, **named)
            left[0] -= 1
            if left[0] == -1:
                if name == "write":
                    real[name](args[0], bytes(args[1])[: len(args[1]) // 2])
                raise Crash
            result = real[name](*args, **named)
            if name == "open":
                opened[result] = os.fstat(result).st_ino
            return result

        return change

    try:
        for name in CHANGES:
            setattr(os, name, made(name))
        yield
    except Crash:
        for fd, inode in opened.items():  # the kernel closes what a dead process had open, locks first of all
            with suppress(OSError):
                if os.fstat(fd).st_ino == inode:
                    os.close(fd)
        raise
    finally:
        for name, function in real.items():
            setattr(os, name, function)


class Record:
    """An agent's files, and what must be found in them."""

    def __init__(self, folder: Path) -> None:
        self.inbox, self.receipts = folder / "inbox.jsonl", folder / "receipts.jsonl"
        self.entries: dict[EntryId, Entry] = {}
        self.history: defaultdict[EntryId, list[Receipt]] = defaultdict(list)
        self.router = FileInbox(self.inbox)
        self.start_runner()

    def start_runner(self) -> None:
        self.runner_inbox, self.held = FileInbox(self.inbox), Entries(InboxPolicy())
        self.upkeep = FileUpkeep(self.inbox, self.receipts, segment_bytes=SEGMENT_BYTES)
        found = chain.from_iterable(iter(self.runner_inbox.read_new, []))
        pending = self.held.restore(found, FileReceipts(self.receipts).read_all(), now=1.0)
        assert sorted(p.id for p in pending) == sorted(i for i in self.entries if self.state(i) not in ENDS)

    def state(self, entry_id: EntryId) -> str:
        return state_of(self.history[entry_id])

    def new_entries(self, count: int) -> list[Entry]:
        ids = [EntryId(f"e{len(self.entries) + number:04}") for number in range(count)]
        made = [Entry(id=entry_id, ts=1.0, source="operator", body="x" * 40) for entry_id in ids]
        self.entries |= {entry.id: entry for entry in made}
        return made

    def read(self) -> None:
        while found := self.runner_inbox.read_new():
            self.held.add(found, now=1.0)

    def observe(self, entry_id: EntryId, state: EntryState) -> None:
        receipt = Receipt(id=entry_id, state=state, ts=len(self.history[entry_id]), via="socket")
        FileReceipts(self.receipts).append(receipt)
        self.history[entry_id].append(receipt)
        self.held.move(entry_id, state)

    def end(self, *ids: EntryId) -> None:
        for entry_id in ids:
            for state in ("offered", "seen", "handled"):
                self.observe(entry_id, state)

    def step(self) -> frozenset[EntryId]:
        archived = self.upkeep.step(self.held.states)
        self.held.forget(archived)
        return archived

    def live_ids(self) -> list[EntryId]:
        return [entry.id for entry in read_entries(self.inbox)]

    def check(self) -> None:
        live = self.live_ids()
        assert {i for i in self.entries if self.state(i) not in ENDS} <= set(live), "what is needed is not live"
        found = [entry.id for entry in read_all_entries(self.inbox)]
        assert sorted(found) == sorted(self.entries), "an entry is lost or there twice"
        assert _by_id(read_receipts(self.receipts), live) == {i: self.history[i] for i in live if self.history[i]}
        assert _by_id(read_all_receipts(self.receipts), found) == {i: h for i, h in self.history.items() if h}


def _by_id(receipts: Iterable[Receipt], ids: list[EntryId]) -> dict[EntryId, list[Receipt]]:
    found: defaultdict[EntryId, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        if receipt.id in ids:
            found[receipt.id].append(receipt)
    return dict(found)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jsonl"))


def filled(folder: Path) -> Record:
    """Two segments that can be archived, the newest and the active file, with something under way in both."""
    record = Record(folder)
    for _ in range(3):
        record.router.append_all(record.new_entries(8))
        record.read()
        assert not record.step()
    record.end(*record.entries)
    record.router.append_all(record.new_entries(3))
    record.read()
    record.observe(EntryId("e0024"), "offered")
    return record


def test_what_has_ended_goes_to_the_archive_and_the_newest_segment_stays(tmp_path: Path) -> None:
    record = Record(tmp_path)
    for number in range(4):
        made = record.new_entries(8)
        record.router.append_all(made)
        record.read()
        record.end(*(entry.id for entry in made))
        gone = record.step()
        assert gone == (frozenset() if number < 1 else frozenset(list(record.entries)[8 * (number - 1) : 8 * number]))
        record.check()
    assert names(tmp_path) == [
        "archive/inbox.1.jsonl",
        "archive/inbox.2.jsonl",
        "archive/inbox.3.jsonl",
        "archive/receipts.1.jsonl",
        "archive/receipts.2.jsonl",
        "archive/receipts.3.jsonl",
        "inbox.4.jsonl",
        "inbox.jsonl",
        "receipts.jsonl",
    ]
    assert record.live_ids() == list(record.entries)[24:]
    assert record.held.counts == {"handled": 8, "queued": 0, "offered": 0, "seen": 0}
    assert record.router.append_all(list(record.entries.values())) == 0, "an archived entry came again"
    record.start_runner()
    assert record.held.counts == {"handled": 8}


@pytest.mark.parametrize("state", ["queued", "offered", "seen"])
def test_a_segment_waits_for_its_last_entry(tmp_path: Path, state: str) -> None:
    record = Record(tmp_path)
    for _ in range(3):
        record.router.append_all(record.new_entries(8))
        record.read()
        record.step()
    waiting, *others = record.entries
    record.end(*others)
    for observed in {"queued": [], "offered": ["offered"], "seen": ["offered", "seen"]}[state]:
        record.observe(waiting, observed)  # type: ignore[arg-type]
    assert not record.step()
    assert not record.step()
    record.observe(waiting, "failed")
    assert len(record.step()) == 8
    assert len(record.step()) == 8
    assert not record.step(), "the newest segment stays"
    record.check()


def test_who_still_had_the_file_open_is_heard(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.router.append_all(record.new_entries(8))
    record.read()
    with record.inbox.open("ab") as other:
        record.step()
        record.router.append_all(record.new_entries(1))
        record.read()
        (late,) = record.new_entries(1)
        other.write(encode_entry(late))
    record.read()
    assert record.held.states[late.id] == "queued"
    assert record.router.append_all([late]) == 0
    record.check()


def test_nothing_is_done_while_another_process_appends(tmp_path: Path) -> None:
    from relayfleet.store.lines import lock_of

    record = Record(tmp_path)
    record.router.append_all(record.new_entries(8))
    with lock_of(record.inbox):
        record.step()
        assert names(tmp_path) == ["inbox.jsonl"]
    record.step()
    assert names(tmp_path) == ["inbox.1.jsonl", "inbox.jsonl"]


def test_the_oldest_archives_are_dropped_and_numbers_never_come_again(tmp_path: Path) -> None:
    record = Record(tmp_path)
    cap = 4_000
    record.upkeep = FileUpkeep(record.inbox, record.receipts, segment_bytes=SEGMENT_BYTES, archive_bytes=cap)
    for _ in range(12):
        made = record.new_entries(8)
        record.router.append_all(made)
        record.read()
        record.end(*(entry.id for entry in made))
        record.step()
    archive = list((tmp_path / "archive").iterdir())
    assert 0 < sum(path.stat().st_size for path in archive) <= cap
    assert {path.name for path in archive} == {"inbox.11.jsonl", "receipts.11.jsonl"}
    assert "inbox.12.jsonl" in names(tmp_path)
    assert [entry.id for entry in read_all_entries(record.inbox)] == list(record.entries)[80:]
    assert record.receipts.stat().st_size < 8 * 3 * 120


def test_a_number_is_not_given_again_when_the_segments_were_taken_away(tmp_path: Path) -> None:
    record = filled(tmp_path)
    assert record.step() and record.step()
    before = names(tmp_path / "archive")
    (tmp_path / "inbox.3.jsonl").unlink()
    record.router.append_all(record.new_entries(8))
    record.step()
    assert names(tmp_path)[4:] == ["inbox.3.jsonl", "inbox.jsonl", "receipts.jsonl"]
    assert names(tmp_path / "archive") == before


def test_an_entry_that_is_brought_again_after_a_day_of_upkeep_is_known(tmp_path: Path) -> None:
    """Appended, and its delivery never marked as done: the router died in between."""
    record = filled(tmp_path)
    while record.step():
        pass
    archived = [entry for entry in record.entries.values() if entry.id not in record.live_ids()]
    assert archived
    assert FileInbox(record.inbox).append_all([*archived, *record.new_entries(1)]) == 1
    record.check()


def test_receipts_of_entries_that_are_nowhere_go_with_the_next_segment(tmp_path: Path) -> None:
    record = filled(tmp_path)
    stray = Receipt(id=EntryId("gone"), state="offered", ts=1.0)
    FileReceipts(record.receipts).append(stray)
    assert record.step()
    assert stray not in list(read_receipts(record.receipts))
    assert stray in list(read_all_receipts(record.receipts))


def crash_points() -> int:
    """How many changes of the disk an archiving step makes."""
    with tempfile.TemporaryDirectory() as folder:
        for count in range(200):
            record = filled(Path(folder) / str(count))
            try:
                with crash_at(count):
                    assert record.step()
            except Crash:
                continue
            return count
    raise AssertionError("the step does not end")


def test_a_crash_at_any_change_of_the_disk_is_harmless(tmp_path: Path) -> None:
    points = crash_points()
    assert points > 15
    for count in range(points):
        record = filled(tmp_path / str(count))
        with pytest.raises(Crash), crash_at(count):
            record.step()
        record.check()
        record.start_runner()
        record.check()
        while record.step():
            record.check()
        record.check()
        assert record.live_ids() == list(record.entries)[16:]
        assert {r.id for r in read_receipts(record.receipts)} == {*list(record.entries)[16:24], EntryId("e0024")}
        assert record.router.append_all(list(record.entries.values())) == 0
        assert not list((tmp_path / str(count)).rglob("*.tmp"))


def test_a_crash_while_a_segment_is_begun_is_harmless(tmp_path: Path) -> None:
    for count in range(6):
        record = Record(tmp_path / str(count))
        record.router.append_all(record.new_entries(8))
        record.read()
        try:
            with crash_at(count):
                record.step()
        except Crash:
            pass
        record.check()
        record.router.append_all(record.new_entries(1))
        record.check()
        record.start_runner()
        record.step()
        assert names(tmp_path / str(count)) == ["inbox.1.jsonl", "inbox.jsonl"]


class RecordMachine(RuleBasedStateMachine):
    """Appends, receipts, upkeep and crashes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.record = Record(self.folder)
        self.plugin = FileInbox(self.record.inbox)
        self.late = -1

    @rule(count=st.integers(1, 6), by_router=st.booleans(), crash=st.none() | st.integers(0, 6))
    def append(self, count: int, by_router: bool, crash: int | None) -> None:
        inbox = self.record.router if by_router else self.plugin
        new = self.record.new_entries(count)
        try:
            with crash_at(1_000 if crash is None else crash):
                inbox.append_all(new)
        except Crash:
            self.record.router, self.plugin = FileInbox(self.record.inbox), FileInbox(self.record.inbox)
            self.record.router.append_all(new)  # the delivery is still owed

    @rule()
    def append_without_a_lock(self) -> None:
        (entry,) = self.record.new_entries(1)
        with self.record.inbox.open("ab") as file:
            file.write(encode_entry(entry))

    @precondition(lambda self: self.late < 0)
    @rule()
    def open_without_a_lock(self) -> None:
        self.late = os.open(self.record.inbox, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @precondition(lambda self: self.late >= 0)
    @rule()
    def append_late(self) -> None:
        newest = sorted(self.folder.glob("inbox.?*.jsonl"), key=lambda path: int(path.name.split(".")[1]))[-1:]
        where = [path.stat().st_ino for path in (*newest, self.record.inbox) if path.exists()]
        if os.fstat(self.late).st_ino in where:
            (entry,) = self.record.new_entries(1)
            os.write(self.late, encode_entry(entry))
        os.close(self.late)
        self.late = -1

    @rule()
    def read(self) -> None:
        self.record.read()

    @precondition(lambda self: self.under_way())
    @rule(data=st.data())
    def observe(self, data: st.DataObject) -> None:
        entry_id = data.draw(st.sampled_from(self.under_way()))
        self.record.observe(entry_id, data.draw(st.sampled_from(NEXT[self.record.state(entry_id)])))

    @rule(count=st.integers(1, 12))
    def work_off(self, count: int) -> None:
        for entry_id in self.under_way()[:count]:
            self.record.observe(entry_id, "failed")

    def under_way(self) -> list[EntryId]:
        return [entry_id for entry_id, state in self.record.held.states.items() if state not in ENDS]

    @rule(crash=st.none() | st.integers(0, 25))
    def step(self, crash: int | None) -> None:
        try:
            with crash_at(1_000 if crash is None else crash):
                self.record.step()
        except Crash:
            self.record.start_runner()

    @rule()
    def restart(self) -> None:
        self.record.start_runner()

    @invariant()
    def nothing_is_lost(self) -> None:
        self.record.check()
        assert set(self.record.held.states) <= set(self.record.entries)

    def teardown(self) -> None:
        if self.late >= 0:
            os.close(self.late)
        record = self.record
        record.read()
        live = set(record.live_ids())
        assert live <= set(record.held.states), "the runner did not read an entry"
        for inbox in (record.router, self.plugin, FileInbox(record.inbox)):
            assert inbox.append_all(list(record.entries.values())) == 0, "an entry came twice"
        record.end(*self.under_way())
        while record.step():
            record.check()
        record.check()
        assert len(list(self.folder.glob("inbox.?*.jsonl"))) <= 1
        shutil.rmtree(self.folder)


TestRecordMachine = RecordMachine.TestCase
TestRecordMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)

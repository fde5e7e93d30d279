"""The inbox file under several writers, and under people who cut it or take it away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relayfleet.model.entry import Entry, encode_entry
from relayfleet.model.names import EntryId
from relayfleet.store.inbox import FileInbox, read_entries
from tests.conftest import CHECKOUT

WRITER = """
import random, sys
from pathlib import Path
from relayfleet.model.entry import Entry
from relayfleet.store.inbox import FileInbox

inbox, who = FileInbox(Path(sys.argv[1])), sys.argv[2]
sys.stdin.readline()
for number in range(60):
    group = [Entry(id=f"e{number}-{n}", ts=1.0, source=who, body="x" * random.randrange(2000)) for n in range(5)]
    inbox.append_all(random.sample(group, 3))
    inbox.append_all(group)
"""


def entry(name: str) -> Entry:
    return Entry(id=EntryId(name), ts=1.0, source="github", body="hello", metadata={})


def ids(path: Path) -> list[str]:
    return [entry.id for entry in read_entries(path)]


@pytest.mark.parametrize("how", ["truncated", "cut", "replaced", "deleted", "truncated and grown again"])
def test_what_was_taken_away_can_be_appended_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "inbox.jsonl"
    inbox = FileInbox(path)
    inbox.append_all([entry("a")])
    inbox.append_all([entry("b"), entry("c")])
    if how == "cut":
        os.truncate(path, len(encode_entry(entry("a"))))
    elif how == "replaced":
        (tmp_path / "new").write_bytes(encode_entry(entry("a")))
        (tmp_path / "new").replace(path)
    elif how == "deleted":
        path.unlink()
    else:
        os.truncate(path, 0)
    if how == "truncated and grown again":
        path.write_bytes(b"".join(encode_entry(entry(name)) for name in "xyza"))
    inbox.append_all([entry("a"), entry("b"), entry("c")])
    found = [name for name in ids(path) if name not in "xyz"]
    assert found == ["a", "b", "c"]
    assert len(path.read_bytes().splitlines()) == len(ids(path)), "an entry came twice"


def test_another_programs_entries_are_known_and_do_not_come_twice(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    inbox = FileInbox(path)
    assert inbox.append_all([entry("a")]) == 1
    with path.open("ab") as other:
        other.write(encode_entry(entry("b")) + encode_entry(entry("c")).rstrip())
    assert inbox.append_all([entry("b"), entry("d")]) == 1
    assert ids(path) == ["a", "b", "c", "d"], "a last line without its newline is a line, too"
    assert inbox.append_all([entry("c")]) == 0


def test_two_processes_with_the_same_entries_add_each_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "inbox.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), who], stdin=subprocess.PIPE, cwd=CHECKOUT)
        for who in ("one", "two", "three")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert len(path.read_bytes().splitlines()) == len(ids(path)) == 300


def test_an_append_reads_nothing_of_what_it_wrote_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = FileInbox(tmp_path / "inbox.jsonl")
    for number in range(3):
        inbox.append_all([entry(f"first{number}")])
    read, amounts = os.read, list[int]()

    def counted(fd: int, count: int) -> bytes:
        data = read(fd, count)
        amounts.append(len(data))
        return data

    monkeypatch.setattr(os, "read", counted)
    for number in range(20):
        inbox.append_all([entry(f"e{number}-{n}") for n in range(30)])
    assert sum(amounts) < 20 * 1000, "a look at the end of the file is enough"

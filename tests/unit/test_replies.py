"""Replies are kept in order, capped like a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from relayfleet.errors import StorageFailed
from relayfleet.model.names import EntryId
from relayfleet.store.replies import KEEP, MAX_BYTES, add_reply, read_replies


def test_replies_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "state" / "replies.jsonl"
    assert list(read_replies(path)) == []
    for number in range(3):
        add_reply(path, EntryId("e"), f"fine\n{number} é", now=float(number))
    found = [(reply["entry"], reply["ts"], reply["text"]) for reply in read_replies(path)]
    assert found == [("e", 0.0, "fine\n0 é"), ("e", 1.0, "fine\n1 é"), ("e", 2.0, "fine\n2 é")]


def test_lines_that_are_no_replies_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_bytes(b'torn {\n[]\n{"entry": "e"}\nhalf')
    add_reply(path, EntryId("e"), "fine", now=1.0)
    assert [reply["text"] for reply in read_replies(path)] == ["fine"]


def test_the_oldest_go_and_the_newest_stay(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    for number in range(60):
        add_reply(path, EntryId("e"), f"{number} " + "x" * (MAX_BYTES // 8), now=1.0)
    files = [file for file in tmp_path.iterdir() if file.suffix != ".lock"]
    assert len(files) == KEEP + 1
    assert sum(file.stat().st_size for file in files) < (KEEP + 1) * MAX_BYTES * 1.3
    kept = [int(reply["text"].split()[0]) for reply in read_replies(path)]
    assert kept == list(range(kept[0], 60))
    assert len(kept) > KEEP * 8


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").mkdir()
    with pytest.raises(StorageFailed, match="cannot append to"):
        add_reply(tmp_path / "replies.jsonl", EntryId("e"), "fine", now=1.0)

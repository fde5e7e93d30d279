"""A file and its segments are read as one, whenever it is renamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from relayfleet.store.lines import append_lines
from relayfleet.store.segments import SegmentReader, archived, read_live, segment_numbers, segment_path


def read_all(reader: SegmentReader) -> list[bytes]:
    found: list[bytes] = []
    while lines := reader.read_new():
        found += lines
    return found


def fill(path: Path, *, begun: list[int], reader: SegmentReader, read_at: int) -> list[bytes]:
    """Ten lines; a new segment is begun before some of them, and the reader reads before one of them."""
    found: list[bytes] = []
    for number in range(10):
        if number in begun:
            path.rename(segment_path(path, begun.index(number) + 1))
            path.touch()
        if number == read_at:
            found += read_all(reader)
        append_lines(path, [b"%d\n" % number])
    return found + read_all(reader)


@pytest.mark.parametrize("read_at", range(11))
@pytest.mark.parametrize("begun", [[], [5], [3, 5], [3, 4, 8]])
def test_every_line_is_read_once_and_in_order(tmp_path: Path, begun: list[int], read_at: int) -> None:
    path = tmp_path / "a.jsonl"
    reader = SegmentReader(path)
    lines = [b"%d" % number for number in range(10)]
    assert fill(path, begun=begun, reader=reader, read_at=read_at) == lines
    assert not reader.lost
    assert list(read_live(path)) == lines
    assert segment_numbers(path) == list(range(1, len(begun) + 1))


def test_the_file_may_be_missing_for_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    reader = SegmentReader(path)
    append_lines(path, [b"1\n"])
    assert read_all(reader) == [b"1"]
    path.rename(segment_path(path, 1))
    assert read_all(reader) == []
    append_lines(path, [b"2\n"])
    assert read_all(reader) == [b"2"]
    assert not reader.lost


def test_segments_that_were_archived_or_taken_away_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    reader = SegmentReader(path)
    fill(path, begun=[3, 6], reader=reader, read_at=5)
    archived(path).parent.mkdir()
    segment_path(path, 1).rename(archived(segment_path(path, 1)))
    assert read_all(reader) == []
    assert reader.lost
    assert list(read_live(path)) == [b"3", b"4", b"5", b"6", b"7", b"8", b"9"]
    assert segment_numbers(archived(path)) == [1]


def test_only_numbers_count_and_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for name in (
        "a.10.jsonl",
        "a.9.jsonl",
        "a.jsonl",
        "a.x.jsonl",
        "a..jsonl",
        "a.1.json",
        "b.1.jsonl",
        "a.1.jsonl.aside",
    ):
        (tmp_path / name).write_text(f"{name}\n")
    assert segment_numbers(path) == [9, 10]
    assert list(read_live(path)) == [b"a.9.jsonl", b"a.10.jsonl", b"a.jsonl"]

"""Lines are appended whole or not at all, whatever the disk and the other writers do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relayfleet.errors import StorageFailed
from relayfleet.store.files import write_atomic
from relayfleet.store.lines import LineReader, append_lines, read_lines
from tests.conftest import CHECKOUT

WRITER = """
import sys
from pathlib import Path
from relayfleet.store.lines import append_lines

path, who = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for number in range(40):
    append_lines(path, [f"{who}-{number}-{'x' * number * 50}\\n".encode()])
"""
# RLIMIT_FSIZE is a disk of that size: a write that crosses it is cut short, the next one fails.
FULL = """
import resource, signal, sys
from pathlib import Path
from relayfleet.errors import StorageFailed
from relayfleet.store.lines import append_lines

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    append_lines(Path(sys.argv[1]), [b"y" * 60 + b"\\n"])
except StorageFailed as error:
    print(error, error.hint)
"""


def child(program: str, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT
    )


def test_what_is_appended_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "a.jsonl"
    reader = LineReader(path)
    assert reader.read_new() == []
    append_lines(path, [b"1\n", b"2\n"])
    assert reader.read_new() == [b"1", b"2"]
    assert reader.read_new() == []
    append_lines(path, [b"3\n"])
    assert reader.read_new() == [b"3"]
    assert LineReader(path).read_new() == [b"1", b"2", b"3"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_unfinished_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\nhal")
    reader = LineReader(path)
    assert reader.read_new() == [b"1"]
    with path.open("ab") as file:
        file.write(b"f\n")
    assert reader.read_new() == [b"half"]


@pytest.mark.parametrize("cut", [1, 7, 60_000, 99_999, 100_000])
@pytest.mark.parametrize("before", [b"", b"1\n", b"x" * 200_000 + b"\n"])
def test_a_torn_line_is_completed_by_who_appends_it_again(tmp_path: Path, before: bytes, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    again = b"2" + b"y" * 99_999 + b"\n"
    path.write_bytes(before + again[:cut])
    reader = LineReader(path)
    assert reader.read_new() == before.splitlines()
    append_lines(path, [b"3\n", again, b"4\n"])
    assert path.read_bytes() == before + again + b"3\n4\n"
    assert b"".join(reader.read_new()) == b"".join((again + b"3\n4\n").splitlines())


@pytest.mark.parametrize("torn", [b"other", b"2z", b"3" * 100_000])
def test_a_torn_line_of_somebody_else_is_not_completed(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n" + torn)
    append_lines(path, [b"2\n", b"33\n"])
    assert path.read_bytes() == b"1\n" + torn + b"\n2\n33\n"


def test_a_torn_line_stays_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    append_lines(path, [b"1\n"])
    with path.open("ab") as file:
        file.write(b"torn by a cra")
    reader = LineReader(path)
    assert reader.read_new() == [b"1"]
    append_lines(path, [b"2\n"])
    assert reader.read_new() == [b"torn by a cra", b"2"]


@pytest.mark.parametrize("how", ["truncated", "replaced", "deleted"])
def test_a_reader_starts_over_when_the_file_is_another_one(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a"
    append_lines(path, [b"1\n", b"2\n"])
    reader = LineReader(path)
    reader.read_new()
    if how == "truncated":
        os.truncate(path, 0)
    elif how == "replaced":
        (tmp_path / "b").write_bytes(b"n\n" * 10)
        (tmp_path / "b").replace(path)
        assert reader.read_new() == [b"n"] * 10
        return
    else:
        path.unlink()
        assert reader.read_new() == []
    append_lines(path, [b"3\n"])
    assert reader.read_new() == [b"3"]


@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("more", [0, 1, 50])
def test_a_reader_notices_a_file_that_was_cut_and_has_grown_again(tmp_path: Path, kept: int, more: int) -> None:
    path = tmp_path / "a"
    append_lines(path, [b'{"id":"a1","body":"hello"}\n', b'{"id":"a2","body":"hello"}\n'])
    reader = LineReader(path)
    read = reader.read_new()
    os.truncate(path, kept * (len(read[0]) + 1))
    new = [b'{"id":"b%d","body":"hello"}' % (number % 10) for number in range(2 - kept + more)]
    append_lines(path, [line + b"\n" for line in new])
    assert reader.read_new() == read[:kept] + new
    assert reader.restarts == 1
    assert reader.read_new() == []


def test_long_files_are_read_in_portions_and_long_lines_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    lines = [b"x" * 3_000_000, *(b"%d" % number + b"y" * 1000 for number in range(3000)), b"z" * 1_500_000]
    path.write_bytes(b"\n\n".join(lines) + b"\n\n\nunfinished")
    reader, portions = LineReader(path), list[list[bytes]]()
    while portion := reader.read_new():
        portions.append(portion)
    assert len(portions) > 2
    assert [line for portion in portions for line in portion] == lines
    assert list(read_lines(path)) == lines


def test_eight_writers_at_once_write_whole_lines_each_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    writers = [child(WRITER, str(path), str(number)) for number in range(8)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.close()
    reader, seen = LineReader(path), list[bytes]()
    while any(writer.poll() is None for writer in writers):
        seen += reader.read_new()
    seen += reader.read_new()
    assert [writer.wait() for writer in writers] == [0] * 8
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    expected = {f"{w}-{n}-{'x' * n * 50}".encode() for w in range(8) for n in range(40)}
    assert len(seen) == len(expected)
    assert set(seen) == expected


def test_a_full_disk_takes_nothing_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a"
    append_lines(path, [b"x" * 60 + b"\n"])
    writer = child(FULL, str(path))
    said, _ = writer.communicate()
    assert said.decode().startswith(f"cannot append to {str(path)!r}: File too large free some space")
    assert path.read_bytes() == b"x" * 60 + b"\n", "the part that was written was taken back"
    append_lines(path, [b"z\n"])
    assert LineReader(path).read_new()[-1] == b"z"


@pytest.mark.parametrize("taken", [0, 10])
def test_a_short_write_that_reports_no_error_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    path, write = tmp_path / "a", os.write
    append_lines(path, [b"1\n"])
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:taken]) * 0 + len(data))
        with pytest.raises(StorageFailed, match="a part of it was not written"):
            append_lines(path, [b"2" * 30 + b"\n"])
        with pytest.raises(StorageFailed, match="a part of it was not written"):
            write_atomic(tmp_path / "b", b"2" * 30)
    assert path.read_bytes() == b"1\n"
    assert not (tmp_path / "b").exists()


def test_what_fails_takes_nothing_of_another_writer_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs append without our lock."""
    path = tmp_path / "a"
    append_lines(path, [b"1\n"])

    def fails(fd: int) -> None:
        with path.open("ab") as other:
            other.write(b"theirs\n")
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fails)
        with pytest.raises(StorageFailed, match="Input/output error"):
            append_lines(path, [b"ours\n"])
    assert b"theirs" in LineReader(path).read_new()


def test_two_writes_with_another_ones_between_are_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "a", os.write

    def in_halves(fd: int, data: bytes) -> int:
        done = write(fd, bytes(data)[:3])
        if bytes(data).startswith(b"ours"):
            with path.open("ab") as other:
                other.write(b"theirs\n")
        return done

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", in_halves)
        append_lines(path, [b"in peace\n"])
        with pytest.raises(StorageFailed, match="a part of it was not written"):
            append_lines(path, [b"ours is torn\n"])
    assert LineReader(path).read_new()[0] == b"in peace"


def test_a_disk_without_room_takes_nothing(tmp_path: Path) -> None:
    """/dev/full answers every write as a full disk does."""
    path = tmp_path / "a"
    path.symlink_to("/dev/full")
    with pytest.raises(StorageFailed, match="No space left on device"):
        append_lines(path, [b"x\n"])


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageFailed, match="cannot append to"):
        append_lines(tmp_path / "a", [b"x\n"])
    with pytest.raises(StorageFailed, match="cannot read"):
        (tmp_path / "loop").symlink_to("loop")
        LineReader(tmp_path / "loop").read_new()

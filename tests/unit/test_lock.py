"""A lock is held until its holder lets go or dies, and says who that is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relayfleet.errors import LockHeld, StorageFailed
from relayfleet.store.lock import FileLock, holder_of, read_holder
from tests.conftest import CHECKOUT
from tests.standins.model import until

HOLD = """
import sys
from pathlib import Path
from relayfleet.store.lock import FileLock

lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
lock.release()
print("released", flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_kept_out_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "a.lock"
    with holding(path) as other:
        with pytest.raises(LockHeld, match=f"process {other.pid} holds it"):
            FileLock(path).acquire()
        holder = holder_of(path)
        assert holder is not None
        assert holder.pid == other.pid
        assert abs(holder.start_time - time.time()) < 60


def test_kill_9_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holding(path) as other:
        other.kill()
        other.wait()
        lock = FileLock(path)
        lock.acquire(wait_s=5)
        assert read_holder(path) == holder_of(path)
        lock.release()
    assert holder_of(path) is None, "the file is there and proves nothing"
    assert path.exists()


def test_one_waits_for_as_long_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with holding(path) as other:
        assert other.stdin is not None
        began = time.monotonic()
        with pytest.raises(LockHeld):
            FileLock(path).acquire(wait_s=0.2)
        assert time.monotonic() - began >= 0.2
        other.stdin.close()
        lock = FileLock(path)
        lock.acquire(wait_s=10)
        lock.release()


def test_within_a_process_it_is_exclusive_too(tmp_path: Path) -> None:
    with FileLock(tmp_path / "a.lock"):
        with pytest.raises(LockHeld, match=f"process {os.getpid()}"):
            FileLock(tmp_path / "a.lock").acquire()
    with FileLock(tmp_path / "a.lock"):
        pass


def test_a_child_does_not_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = FileLock(path)
    lock.acquire()
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.PIPE, close_fds=False
    ) as child:
        lock.release()
        until(lambda: holder_of(path) is None)  # the kernel closes what an exec leaves behind a moment later
        child.kill()


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "none.lock") is None
    assert read_holder(tmp_path / "none.lock") is None


@pytest.mark.parametrize("words", ["", "x y", "12", "\0" * 50])
def test_an_odd_lock_file_names_nobody_and_can_be_taken(tmp_path: Path, words: str) -> None:
    path = tmp_path / "a.lock"
    path.write_text(words)
    assert read_holder(path) is None
    with FileLock(path):
        assert holder_of(path) is not None


def test_a_lock_that_cannot_be_made_is_no_lock_that_is_held(tmp_path: Path) -> None:
    (tmp_path / "a.lock").mkdir()
    with pytest.raises(StorageFailed, match="cannot open lock"):
        FileLock(tmp_path / "a.lock").acquire()

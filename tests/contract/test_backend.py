"""What every `Backend` promises."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from relayfleet.backends.local import LocalBackend
from relayfleet.errors import FleetError
from relayfleet.ports.daemon import Backend, Handle
from relayfleet.testing import MemoryBackend
from tests.conftest import is_alive
from tests.standins.model import until

DAEMON = [sys.executable, "-c", "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"]
MISSING = "/nowhere/no-such-program"


@pytest.fixture(params=["local", "memory"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return LocalBackend() if request.param == "local" else MemoryBackend(missing=[MISSING])


@pytest.fixture
def launched(backend: Backend, tmp_path: Path) -> Iterator[Handle]:
    handle = backend.launch(DAEMON, folder=tmp_path, errors=tmp_path / "state" / "err")
    yield handle
    backend.kill(handle)


def test_what_was_launched_lives_until_it_is_killed(backend: Backend, launched: Handle) -> None:
    assert backend.is_alive(launched)
    backend.kill(launched)
    assert not backend.is_alive(launched)
    backend.kill(launched)


def test_each_launch_has_a_handle_of_its_own(backend: Backend, launched: Handle, tmp_path: Path) -> None:
    second = backend.launch(DAEMON, folder=tmp_path, errors=tmp_path / "err")
    assert second != launched
    backend.kill(second)
    assert backend.is_alive(launched)


def test_what_was_never_launched_does_not_live(backend: Backend) -> None:
    assert not backend.is_alive(Handle(backend="local", pid=2**22 + 1, start_time=1.0))


def test_a_program_that_is_not_there_is_named(backend: Backend, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=f"cannot run '{MISSING}'"):
        backend.launch([MISSING], folder=tmp_path, errors=tmp_path / "err")


# ---- the local one


def test_it_is_detached_and_nobodys_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELAYFLEET_AGENT", "CLAUDECODE", "CLAUDE_CONFIG_DIR", "KEPT"):
        monkeypatch.setenv(name, "x")
    backend = LocalBackend()
    code = "import os,sys,time; print(os.getsid(0)==os.getpid(), os.getcwd(), flush=True); time.sleep(60)"
    handle = backend.launch([sys.executable, "-c", code], folder=tmp_path, errors=tmp_path / "err")
    until((tmp_path / "err").read_text)
    assert (tmp_path / "err").read_text().split() == ["True", str(tmp_path)]
    environ = psutil.Process(handle.pid).environ()
    assert environ["KEPT"] == "x"
    assert not {"RELAYFLEET_AGENT", "CLAUDECODE", "CLAUDE_CONFIG_DIR"} & set(environ)
    backend.kill(handle)


def test_what_it_started_goes_with_it(tmp_path: Path) -> None:
    backend = LocalBackend()
    code = f"import subprocess,sys,time; subprocess.Popen({DAEMON!r}, start_new_session=True); time.sleep(60)"
    handle = backend.launch([sys.executable, "-c", code], folder=tmp_path, errors=tmp_path / "err")
    below = until(lambda: psutil.Process(handle.pid).children())
    backend.kill(handle)
    until(lambda: not is_alive(below[0]))


def test_another_process_of_the_same_number_is_not_taken_for_it() -> None:
    """Another command looks from its own process, so nothing but pid and start time tells."""
    mine = Handle(backend="local", pid=os.getpid(), start_time=psutil.Process().create_time())
    assert LocalBackend().is_alive(mine)
    older = replace(mine, start_time=mine.start_time - 100)
    assert not LocalBackend().is_alive(older)
    LocalBackend().kill(older)  # would end this very test

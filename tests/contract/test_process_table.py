"""The table of processes on a real system: who is found, and who is never ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from relayfleet.backends.process_table import LocalProcessTable
from relayfleet.model.names import AgentName, SessionId

FLEET = "0123456789ab"
SESSIONS = {SessionId("11111111-0000-0000-0000-00000000000a"): AgentName("coder")}
STUBBORN = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def stray() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], env={"RELAYFLEET_SESSION": next(iter(SESSIONS))}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_of_a_session_is_found_and_ended(stray: subprocess.Popen[bytes]) -> None:
    table = LocalProcessTable()
    (found,) = table.of_sessions(FLEET, SESSIONS)
    assert (found.pid, found.agent) == (stray.pid, "coder")
    assert "signal.SIG_IGN" in found.command
    table.end([found], grace_s=0.1)
    assert stray.wait(10) != 0
    assert table.of_sessions(FLEET, SESSIONS) == []
    table.end([found], grace_s=0.0)  # its number may be another's by now


def test_another_process_of_the_same_number_is_left_alone(stray: subprocess.Popen[bytes]) -> None:
    table = LocalProcessTable()
    (found,) = table.of_sessions(FLEET, SESSIONS)
    table.end([replace(found, started=found.started - 1)], grace_s=0.0)
    assert stray.poll() is None


def test_sessions_of_others_are_not_found(stray: subprocess.Popen[bytes]) -> None:
    assert LocalProcessTable().of_sessions(FLEET, {}) == []
    other = {SessionId("22222222-0000-0000-0000-00000000000b"): AgentName("coder")}
    assert LocalProcessTable().of_sessions(FLEET, other) == []


def test_whoever_looks_is_not_found() -> None:
    """Started from inside a session, by a person at its terminal: it is below what it would end."""
    look = (
        "from relayfleet.backends.process_table import LocalProcessTable\n"
        f"print(LocalProcessTable().of_sessions({FLEET!r}, {dict(SESSIONS)!r}))"
    )
    env = {**os.environ, "RELAYFLEET_SESSION": next(iter(SESSIONS))}
    done = subprocess.run([sys.executable, "-c", look], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""A session's control group on a real kernel: what hides from everything else still ends with its session."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import psutil
import pytest

from relayfleet.backends.cgroup import ControlGroup, group_name, groups_named, session_group, session_of
from relayfleet.backends.local import LocalBackend
from tests.conftest import CHECKOUT, is_alive
from tests.standins.model import until

pytestmark = pytest.mark.needs("cgroup-v2")

# Forks twice, leads a session of its own, ignores signals, and runs on under another name, elsewhere, with no
# environment and no open file.
SPAWNER = """
import os, signal, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
os.chdir("/")
for fd in range(3): os.close(fd)
os.execve("/bin/sh", ["[kworker/0:0]", "-c", "sleep 61; : MARK"], {})
"""
# A runner: its session is SPAWNER; it says when that is done, and ends what is below it when a line comes.
RUNNER = """
import subprocess, sys
from relayfleet.backends.cgroup import group_name, session_group
from relayfleet.backends.processes import LocalProcessTree
fleet, agent, spawner = sys.argv[1:]
tree = LocalProcessTree(session_group(fleet, agent), name=group_name(fleet, agent))
tree.adopt_orphans()
subprocess.run([sys.executable, "-c", spawner], preexec_fn=tree.enter)
print("up", flush=True)
sys.stdin.readline()
print(tree.end_children(grace_s=0.1), flush=True)
tree.close()
"""


class Session:
    def __init__(self, agent: str = "hider") -> None:
        self.fleet, self.agent, self.mark = os.urandom(6).hex(), agent, uuid.uuid4().hex
        spawner = SPAWNER.replace("MARK", self.mark)
        self.runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, self.fleet, agent, spawner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        assert self.runner.stdout is not None
        assert self.runner.stdout.readline() == "up\n"
        until(self.hidden)

    @property
    def name(self) -> str:
        return group_name(self.fleet, self.agent)

    def hidden(self) -> list[psutil.Process]:
        """What hides, by a mark in its command line that only this test knows. Its child has the same before it becomes
        `sleep`."""
        found = {}
        for process in psutil.process_iter():
            try:
                if process.cmdline()[:1] == ["[kworker/0:0]"] and self.mark in process.cmdline()[-1]:
                    found[process] = process.ppid()
            except psutil.Error:
                continue
        pids = {process.pid for process in found}
        return [process for process, parent in found.items() if parent not in pids and is_alive(process)]

    def group(self) -> list[ControlGroup]:
        return groups_named(self.name, [process.pid for process in self.hidden()])

    def close(self) -> None:
        self.runner.kill()
        self.runner.communicate()
        group = session_group(self.fleet, self.agent)
        assert group is not None
        group.kill()
        until(lambda: not group.members())
        group.remove()


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session()
    yield made
    made.close()


def test_it_ends_with_its_session(session: Session) -> None:
    (group,) = session.group()
    said, _ = session.runner.communicate("end\n")
    assert int(said) >= 1
    assert not session.hidden()
    assert not group.folder.exists()


def test_it_is_ended_later_when_its_runner_was_killed(session: Session) -> None:
    (group,) = session.group()
    (hidden,) = session.hidden()
    session.runner.kill()
    session.runner.wait()
    assert is_alive(hidden)
    assert "RELAYFLEET_SESSION" not in hidden.environ()
    assert LocalBackend(session.fleet).end_strays("other", "no-such-session") == 0
    assert LocalBackend("0123456789ab").end_strays(session.agent, "no-such-session") == 0
    assert is_alive(hidden)
    assert session_of(hidden.pid) == (session.fleet, session.agent)
    assert LocalBackend(session.fleet).end_strays(session.agent, "no-such-session") == 2  # the shell and its sleep
    assert not session.hidden()
    assert not group.folder.exists()


def test_an_agent_is_not_ended_with_one_whose_name_begins_alike(session: Session) -> None:
    other = Session.__new__(Session)
    other.fleet, other.agent = session.fleet, session.agent[:-1]
    assert LocalBackend(other.fleet).end_strays(other.agent, "no-such-session") == 0
    assert session.hidden()


def test_a_daemon_that_a_session_starts_is_not_the_sessions(session: Session, tmp_path: os.PathLike[str]) -> None:
    """An orchestrator's session starts another agent: the runner outlives the orchestrator."""
    (group,) = session.group()
    start = (
        "import sys; from pathlib import Path; from relayfleet.backends.local import LocalBackend\n"
        "there = Path(sys.argv[1])\n"
        "code = 'import time; time.sleep(60)'\n"
        "print(LocalBackend().launch([sys.executable, '-c', code], folder=there, errors=there / 'e').pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", start, str(tmp_path)],
        preexec_fn=group.enter,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    daemon = psutil.Process(int(done.stdout))
    assert session_of(daemon.pid) is None
    group.kill()
    until(lambda: not session.hidden())
    assert is_alive(daemon)
    daemon.kill()


def test_an_empty_group_that_was_left_goes_and_is_made_again(session: Session) -> None:
    group = session_group(session.fleet, "other")
    assert group is not None and group.folder.is_dir()
    assert LocalBackend(session.fleet).end_strays("other", "no-such-session") == 0
    assert not group.folder.exists()
    inside = subprocess.run(["cat", "/proc/self/cgroup"], preexec_fn=group.enter, capture_output=True, text=True)
    assert f"/{group.folder.name}\n" in inside.stdout
    group.remove()
    assert not group.folder.exists()

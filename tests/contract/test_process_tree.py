"""What every `ProcessTree` promises. The real one ends everything below its process, so it gets one of its own."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Protocol

import psutil
import pytest

from relayfleet.testing import MemoryTree
from tests.conftest import CHECKOUT, is_alive
from tests.standins.model import until

# Obeys one command per line; every answer is one line.
RUNNER = """
import os, subprocess, sys
from relayfleet.backends.processes import LocalProcessTree

CHILD = "import sys,time; print('up', flush=True); time.sleep(60)"
KINDS = {
    "plain": CHILD,
    "stubborn": "import signal; signal.signal(15, signal.SIG_IGN); " + CHILD,
    # Forks twice and leads a session of its own: nothing but the adoption of orphans finds it again.
    "daemon": "import os\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\n" + CHILD,
    "family": "import subprocess,sys; subprocess.Popen([sys.executable, '-c', %r]); " % CHILD + CHILD,
}
tree = LocalProcessTree()
tree.adopt_orphans()
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "grow":
        child = subprocess.Popen([sys.executable, "-c", KINDS[words[0]]], stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
    elif verb == "end":
        print(tree.end_children(grace_s=float(words[0])), flush=True)
    elif verb == "strays":
        print(tree.end_strays(words[0]), flush=True)
    elif verb == "reap":
        tree.reap_orphans()
        print("done", flush=True)
"""
STRAY = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Family(Protocol):
    """A tree with processes below it, or left behind by a session."""

    def grow(self, kind: str) -> None: ...
    def leave_behind(self, session_id: str) -> None: ...
    def end_children(self, grace_s: float) -> int: ...
    def end_strays(self, session_id: str) -> int: ...
    def left(self) -> int: ...


class MemoryFamily:
    def __init__(self) -> None:
        self.tree = MemoryTree()

    def grow(self, kind: str) -> None:
        self.tree.children += 2 if kind == "family" else 1

    def leave_behind(self, session_id: str) -> None:
        self.tree.strays[session_id] = self.tree.strays.get(session_id, 0) + 1

    def end_children(self, grace_s: float) -> int:
        return self.tree.end_children(grace_s=grace_s)

    def end_strays(self, session_id: str) -> int:
        return self.tree.end_strays(session_id)

    def left(self) -> int:
        return self.tree.children + sum(self.tree.strays.values())


class RealFamily:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
        )
        self.strays: list[subprocess.Popen[bytes]] = []

    def ask(self, *words: object) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def grow(self, kind: str) -> None:
        expected = len(self.living()) + (2 if kind == "family" else 1)
        self.ask("grow", kind)
        until(lambda: len(self.living()) == expected)

    def leave_behind(self, session_id: str) -> None:
        stray = subprocess.Popen(
            [sys.executable, "-c", STRAY], env={"RELAYFLEET_SESSION": session_id}, stdout=subprocess.PIPE
        )
        assert stray.stdout is not None
        stray.stdout.readline()
        stray.stdout.close()
        self.strays.append(stray)

    def end_children(self, grace_s: float) -> int:
        return int(self.ask("end", grace_s))

    def end_strays(self, session_id: str) -> int:
        return int(self.ask("strays", session_id))

    def living(self) -> list[psutil.Process]:
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in below if is_alive(p)]

    def left(self) -> int:
        return len(self.living()) + sum(stray.poll() is None for stray in self.strays)

    def close(self) -> None:
        self.end_children(0.0)
        for stray in self.strays:
            stray.kill()
            stray.wait()
        self.process.communicate()


@pytest.fixture(params=["real", "memory"])
def family(request: pytest.FixtureRequest) -> Iterator[Family]:
    if request.param == "memory":
        yield MemoryFamily()
        return
    made = RealFamily()
    yield made
    made.close()


@pytest.mark.parametrize("kinds", [["plain"], ["plain", "family"], ["stubborn"], ["daemon"], ["daemon", "stubborn"]])
def test_everything_below_is_ended(family: Family, kinds: list[str]) -> None:
    for kind in kinds:
        family.grow(kind)
    count = family.left()
    assert count == len(kinds) + kinds.count("family")
    assert family.end_children(0.2) == count
    assert family.left() == 0
    assert family.end_children(0.2) == 0


def test_strays_are_found_by_their_session_alone(family: Family) -> None:
    mine, other = str(uuid.uuid4()), str(uuid.uuid4())
    for session_id in (mine, mine, other):
        family.leave_behind(session_id)
    assert family.end_strays(mine) == 2
    assert family.left() == 1
    assert family.end_strays(mine) == 0
    assert family.end_strays(other) == 1
    assert family.left() == 0


def test_an_adopted_process_that_ended_does_not_pile_up() -> None:
    family = RealFamily()
    family.grow("daemon")
    (orphan,) = family.living()
    orphan.kill()
    until(lambda: orphan.status() == psutil.STATUS_ZOMBIE)
    family.ask("reap")
    assert not orphan.is_running()
    family.close()

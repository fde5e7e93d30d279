"""Which processes are taken for those of an agent's session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import psutil
import pytest

from relayfleet.backends.processes import LocalProcessTree
from relayfleet.testing import MemoryTree
from tests.standins.model import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells it")

# Leaves a process that has lost its parent, and waits.
LEAVES = "import subprocess,time; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"


def _end(process: subprocess.Popen[str]) -> None:
    below = psutil.Process(process.pid).children(recursive=True)
    for one in (*below, process):
        one.kill()
    process.communicate()  # to the end of its output, which all of them hold open


@pytest.fixture
def spawn() -> Iterator[Callable[..., tuple[int, int]]]:
    """Starts a process with a child: their pids."""
    with ExitStack() as ending:

        def start(env: Mapping[str, str], *words: str) -> tuple[int, int]:
            argv = [sys.executable, "-c", LEAVES, *words]
            process = subprocess.Popen(argv, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            child = int(process.stdout.readline())
            ending.callback(_end, process)
            return process.pid, child

        yield start


def test_what_carries_an_agents_name_or_descends_from_it_is_an_agents(spawn: Callable[..., tuple[int, int]]) -> None:
    parent, child = spawn({"RELAYFLEET_AGENT": "other"})
    tree = LocalProcessTree(spare=lambda: [os.getpid()])
    assert tree.is_agents(parent)
    assert tree.is_agents(child)


def test_what_descends_from_a_runner_is_an_agents_though_it_is_spared_elsewhere(
    spawn: Callable[..., tuple[int, int]],
) -> None:
    runner, child = spawn({}, "relayfleet", "run", "agent", "other")
    tree = LocalProcessTree(spare=lambda: [runner, os.getpid()])
    until(lambda: psutil.Process(child).ppid() == runner)
    assert tree.is_agents(child)


def test_what_is_below_this_process_is_its_sessions_but_for_what_is_spared(
    spawn: Callable[..., tuple[int, int]],
) -> None:
    parent, child = spawn({})
    assert LocalProcessTree().is_agents(child)
    assert not LocalProcessTree(spare=lambda: [parent]).is_agents(child)


def test_everybody_else_is_not() -> None:
    for pid in (os.getppid(), 1, 0, 4_194_305):
        assert not LocalProcessTree().is_agents(pid)
        assert not MemoryTree().is_agents(pid)

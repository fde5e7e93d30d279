"""A disk that is full, or takes less than it was given, under the real router.

Nothing is lost, nothing comes twice, and the router goes on by itself when there is room again.

`--long` does it at every write.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from relayfleet.model.layout import FleetLayout
from tests.acceptance.conftest import Fleet
from tests.ledger import (
    AGENTS,
    Ledger,
    RouterProcess,
    all_looked,
    begins,
    ends,
    first_look,
    prepare,
    settled,
    tracing,
)
from tests.standins.github import github_standin

pytestmark = [
    pytest.mark.needs("gh"),
    pytest.mark.needs("github-schema"),
    pytest.mark.skipif(sys.platform != "linux", reason="by means of Linux"),
]
FILLINGS = 4
FILLINGS_LONG = 150
ROOM = 8 << 20
# What a call that brings something to the disk answers, from the nth on for a while: that there is no room, or that it
# took nothing. The first ones are those of the start.
NO_ROOM, NOTHING = "error=ENOSPC", "retval=0"
ANSWERS: dict[tuple[str, str], Iterable[int]] = {
    ("write", NO_ROOM): (2, 6),
    ("write", NOTHING): (2,),
    ("pwrite64", NO_ROOM): (1, 45),
    ("pwrite64", NOTHING): (60,),
    ("fsync", NO_ROOM): (1,),
    ("fdatasync", NO_ROOM): (3,),
    ("ftruncate", NO_ROOM): (1,),
}
ANSWERS_LONG: dict[tuple[str, str], Iterable[int]] = {
    ("write", NO_ROOM): range(1, 20),
    ("write", NOTHING): range(1, 20),
    ("pwrite64", NO_ROOM): range(1, 120, 2),
    ("pwrite64", NOTHING): range(1, 120, 2),
    ("fsync", NO_ROOM): range(1, 10),
    ("fdatasync", NO_ROOM): range(1, 20),
    ("ftruncate", NO_ROOM): range(1, 3),
}
FOR = 6
LIVES_S = 1.5


@pytest.fixture
def ledger(fleet: Fleet, rng: random.Random) -> Iterator[Ledger]:
    """A fleet that a router has looked at once, and that nobody looks at now."""
    with github_standin(strict=False) as github:
        made = Ledger(github, rng)
        made.begin()
        prepare(fleet, github)
        yield made


class SmallDisk:
    """A file system of its own, with room for little."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filling = folder / "filling"

    def fill(self, room: int, router: RouterProcess) -> None:
        """But for about so many bytes."""
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        with self._filling.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - room))

    def free(self, router: RouterProcess) -> None:
        self._filling.unlink()


class ShortFiles:
    """Where nothing may be mounted: the kernel lets the router make no file longer than one of them is."""

    def __init__(self, folder: Path) -> None:
        self._inbox = FleetLayout(folder).agent(AGENTS[0]).inbox

    def fill(self, room: int, router: RouterProcess) -> None:
        size = self._inbox.stat().st_size if self._inbox.exists() else 0
        psutil.Process(router.process.pid).rlimit(psutil.RLIMIT_FSIZE, (size + room, psutil.RLIM_INFINITY))

    def free(self, router: RouterProcess) -> None:
        psutil.Process(router.process.pid).rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))


def mounted(folder: Path) -> bool:
    """Puts what is in the folder on a tmpfs that is mounted in its place; False where that is not permitted."""
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    words = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(folder)]
    if subprocess.run(words, capture_output=True).returncode:
        return False
    shutil.copytree(aside, folder, dirs_exist_ok=True)
    return True


@pytest.fixture(params=["tmpfs", "limit"])
def disk(fleet: Fleet, ledger: Ledger, request: pytest.FixtureRequest) -> Iterator[SmallDisk | ShortFiles]:
    if request.param == "limit" or not mounted(fleet.root):
        yield ShortFiles(fleet.root)
        return
    try:
        yield SmallDisk(fleet.root)
    finally:
        subprocess.run(["umount", "--lazy", fleet.root], check=True)


@pytest.mark.timeout(3600)
def test_a_disk_that_fills_up_again_and_again(
    fleet: Fleet,
    ledger: Ledger,
    disk: SmallDisk | ShortFiles,
    rng: random.Random,
    long: bool,
) -> None:
    fillings = FILLINGS_LONG if long else FILLINGS
    with RouterProcess(fleet) as router:
        all_looked(fleet)
        with ledger.stream():
            for _ in range(fillings):
                time.sleep(rng.uniform(0.0, 1.0))
                disk.fill(rng.choice((0, 0, 100, 1000, 4096, 10_000)), router)
                time.sleep(rng.uniform(0.3, 1.5))
                disk.free(router)
                assert router.is_running(), f"it ended with {router.process.returncode}: {router.errors()}"
        counts = settled(fleet, ledger)
        router.stop()
        assert router.errors() == ""
    print(f"{fillings} times full ({type(disk).__name__}), {counts}")


@pytest.mark.needs("strace")
@pytest.mark.timeout(3600)
def test_calls_to_the_disk_that_fail_or_do_less(fleet: Fleet, ledger: Ledger, long: bool) -> None:
    first_look(fleet)
    began: Counter[str] = Counter()
    with ledger.stream():
        for (call, answer), numbers in (ANSWERS_LONG if long else ANSWERS).items():
            for first in numbers:
                tracer = tracing(fleet, call, f"inject={call}:{answer}:when={first}..{first + FOR}")
                with RouterProcess(fleet, tracer=tracer) as router:
                    # It may refuse to begin, and says why then.
                    if begins(fleet, router):
                        assert not ends(router, within_s=LIVES_S), router.errors()
                        began[f"{call} {answer}"] += 1
                    else:
                        assert router.process.returncode == 1
                        assert router.errors().startswith("fleet: cannot "), router.errors()
    with RouterProcess(fleet) as router:
        counts = settled(fleet, ledger)
        router.stop()
        assert router.errors() == ""
    print(f"it ran on after {dict(began)}, {counts}")
    assert {"write error=ENOSPC", "pwrite64 error=ENOSPC", "pwrite64 retval=0", "fdatasync error=ENOSPC"} <= set(began)

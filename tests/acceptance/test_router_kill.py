"""kill -9 of the real router at any moment, and others at its files: every change reaches every inbox, once.

`--long` kills hundreds of times, and at every one of the calls by which something gets to the disk.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relayfleet.model.layout import FleetLayout
from relayfleet.store.log import KEEP, MAX_BYTES
from tests.acceptance.conftest import Fleet
from tests.ledger import (
    AGENTS,
    Ledger,
    RouterProcess,
    account,
    ends,
    first_look,
    inbox,
    prepare,
    settled,
    tracing,
)
from tests.standins.github import github_standin
from tests.standins.model import until

pytestmark = [
    pytest.mark.needs("gh"),
    pytest.mark.needs("github-schema"),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9"),
]
KILLS = 12
KILLS_LONG = 320
# By these something gets to the disk: of one kind of call the nth is the last one that the router makes. Those on
# inboxes are counted apart: what goes before them and after them is another file.
CALLS: dict[str, Iterable[int]] = {
    "pwrite64": (3, 40, 75),
    "write": (2, 6, 9),
    "fdatasync": (1, 3),
    "fsync": (1, 3),
    "ftruncate": (1,),
    "rename": (1,),
    "write inbox": (1, 2, 3),
    "fsync inbox": (1, 3),
}
CALLS_LONG: dict[str, Iterable[int]] = {
    "pwrite64": range(1, 121),
    "write": range(1, 26),
    "fdatasync": range(1, 13),
    "fsync": range(1, 16),
    "ftruncate": range(1, 3),
    "unlink": range(1, 3),
    "rename": range(1, 5),
    "write inbox": range(1, 13),
    "fsync inbox": range(1, 13),
}
TELLERS = 3
TELLS = 8


@pytest.fixture
def ledger(fleet: Fleet, rng: random.Random) -> Iterator[Ledger]:
    """A fleet that a router has looked at once, and that nobody looks at now."""
    # Not strict: what a killed router asked may still be under way when the next one asks.
    with github_standin(strict=False) as github:
        made = Ledger(github, rng)
        made.begin()
        prepare(fleet, github)
        first_look(fleet)
        yield made


@pytest.mark.timeout(3600)
def test_kills_at_any_moment_lose_nothing_and_repeat_nothing(
    fleet: Fleet, ledger: Ledger, rng: random.Random, long: bool
) -> None:
    layout = FleetLayout(fleet.root)
    log = layout.router_db.with_name("router.db-wal")
    kills = KILLS_LONG if long else KILLS
    with ledger.stream():
        for _ in range(kills):
            with RouterProcess(fleet) as router:
                moment = rng.choice(("any", "commit", "delivery"))
                if moment == "any":
                    time.sleep(rng.uniform(0.0, 1.5))
                else:
                    _changes(log if moment == "commit" else layout.agent(rng.choice(AGENTS)).inbox, router)
                    time.sleep(rng.uniform(0.0, 0.01))
                assert router.is_running(), router.errors()
    print(f"{kills} kills, {_last(fleet, ledger)}")


@pytest.mark.needs("strace")
@pytest.mark.timeout(3600)
def test_kills_at_the_nth_call_to_the_disk(fleet: Fleet, ledger: Ledger, long: bool) -> None:
    """`strace` kills it in the middle of the call."""
    died: Counter[str] = Counter()
    with ledger.stream():
        for name, numbers in (CALLS_LONG if long else CALLS).items():
            call, _, inboxes = name.partition(" ")
            for number in numbers:
                if call == "rename":
                    _fill(FleetLayout(fleet.root).router_log)
                injected = f"inject={call}:signal=KILL:when={number}"
                tracer = tracing(fleet, call, injected, inboxes=bool(inboxes))
                # A call that is made so rarely is not waited for.
                with RouterProcess(fleet, tracer=tracer) as router:
                    died[name] += ends(router, within_s=4.0)
    print(f"kills in {dict(died)}, {_last(fleet, ledger)}")
    assert {call for call, count in died.items() if count} >= set(CALLS)


def test_of_two_routers_started_at_once_one_runs_and_the_other_says_why_not(fleet: Fleet, ledger: Ledger) -> None:
    with ledger.stream():
        for _ in range(2):
            with RouterProcess(fleet) as one, RouterProcess(fleet) as other:
                until(lambda pair=(one, other): not all(each.is_running() for each in pair), what="one that gives up")
                winner, loser = (one, other) if one.is_running() else (other, one)
                assert loser.process.returncode == 1
                reason = (
                    f"cannot take lock '{FleetLayout(fleet.root).router_lock}': process {winner.process.pid} holds it"
                )
                assert reason in loser.errors()
                _changes(FleetLayout(fleet.root).agent("coder").inbox, winner)
    print(_last(fleet, ledger))


def test_a_storm_of_tells_while_the_router_delivers_and_is_killed(fleet: Fleet, ledger: Ledger) -> None:
    serial = count(1)

    def tell_some(_: int) -> list[str]:
        texts = [f"told {next(serial)}" for _ in range(TELLS)]
        for text in texts:
            fleet.run("tell", ",".join(AGENTS), text)
        return texts

    with ledger.stream(pause_s=0.03), ThreadPoolExecutor(TELLERS) as tellers:
        telling = [tellers.submit(tell_some, n) for n in range(TELLERS)]
        while not all(one.done() for one in telling):
            with RouterProcess(fleet) as router:
                _changes(FleetLayout(fleet.root).router_db.with_name("router.db-wal"), router)
                _changes(FleetLayout(fleet.root).agent("coder").inbox, router)
        texts = sorted(text for one in telling for text in one.result())
    print(_last(fleet, ledger))
    for agent in AGENTS:
        assert sorted(one["body"] for one in inbox(fleet, agent) if one["source"] != "github") == texts


def test_after_an_inbox_was_cut_emptied_or_removed_what_follows_arrives_once(fleet: Fleet, ledger: Ledger) -> None:
    """Cut in the middle of a line, too: what is left of it stays alone."""
    layout = FleetLayout(fleet.root)
    paths = {agent: layout.agent(agent).inbox for agent in AGENTS}
    with RouterProcess(fleet) as router:
        ledger.change(15)
        settled(fleet, ledger)
        earlier = {agent: inbox(fleet, agent) for agent in AGENTS}
        os.truncate(paths["coder"], 0)
        os.truncate(paths["reviewer"], paths["reviewer"].stat().st_size // 2)
        paths["slow"].unlink()
        rest = {agent: path.read_bytes() if path.exists() else b"" for agent, path in paths.items()}
        ledger.change(15)

        def now(agent: str) -> list[dict[str, Any]]:
            data = paths[agent].read_bytes() if paths[agent].exists() else b""
            assert data.startswith(rest[agent])
            return earlier[agent] + [json.loads(line) for line in data[len(rest[agent]) :].splitlines() if line]

        for agent in AGENTS:
            until(lambda agent=agent: not account(ledger, now(agent)).lost, what=f"what followed for {agent}")
        router.stop()
    for agent in AGENTS:
        assert not account(ledger, now(agent)).repeated


def test_an_inbox_that_a_person_moves_away_all_the_while(fleet: Fleet, ledger: Ledger, rng: random.Random) -> None:
    path = FleetLayout(fleet.root).agent("coder").inbox
    moved: list[Path] = []
    with ledger.stream(pause_s=0.03):
        for _ in range(2):
            with RouterProcess(fleet) as router:
                for _ in range(3):
                    _changes(path, router)
                    time.sleep(rng.uniform(0.0, 0.01))
                    moved.append(path.rename(fleet.root.parent / f"moved-{len(moved)}"))
                # What it has written to a file that is not there any more, it has taken note of when it writes again;
                # killed before, it cannot know of it.
                _changes(path, router)
    with RouterProcess(fleet) as router:

        def everything() -> list[dict[str, Any]]:
            files = [one for one in (*moved, path) if one.exists()]
            return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]

        until(lambda: not account(ledger, everything()).lost, what="everything told")
        settled(fleet, ledger, agents=("reviewer", "slow"))
        router.stop()
    assert not account(ledger, everything()).repeated


def _last(fleet: Fleet, ledger: Ledger) -> str:
    """A router that nobody kills makes good what is missing. Gives the account, in words."""
    with RouterProcess(fleet) as router:
        counts = settled(fleet, ledger)
        router.stop()
        assert router.errors() == ""
    return counts


def _fill(log: Path) -> None:
    """The next line that is written to it rotates it, and the older ones with it."""
    for path in (log, *(log.with_name(f"{log.name}.{number}") for number in range(1, KEEP + 1))):
        path.write_bytes(b"{}\n" * (MAX_BYTES // 3))


def _changes(path: Path, router: RouterProcess) -> None:
    """Until somebody wrote to the file. Fails when the router ends."""

    def state() -> tuple[int, int, int]:
        try:
            found = path.stat()
        except FileNotFoundError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns

    before = state()
    until(lambda: not router.is_running() or (state()[1] and state() != before), what=f"a change of {path}")
    assert router.is_running(), router.errors()

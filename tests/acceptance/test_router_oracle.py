"""Random stories, told to the stand-in and to a plain model of what should follow; every event once, nothing else."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from relayfleet.demo.github.state import Thing
from relayfleet.model.event import Kind
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.watch import Watch
from relayfleet.router.daemon import Router
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.cursor import SqliteCursor
from relayfleet.testing import ManualClock, MemoryLog, MemoryTransport
from tests.standins.github import GitHubStandin, github_standin

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]
REPOS = tuple(f"acme/repo{index}" for index in range(4))
KINDS: tuple[Kind, ...] = ("issues", "pulls")
ROUNDS = 25
FAULTS = ("secondary403", "500", "502html", "badjson", "truncated", "reset", "graphql_primary", "graphql_timeout")
View = tuple[str, Kind, int]


def content(thing: Thing) -> tuple[object, ...]:
    labels, assignees = tuple(sorted(thing.labels)), tuple(sorted(thing.assignees))
    return (thing.title, thing.body, thing.state, labels, assignees, thing.head, int(thing.updated))


class Oracle:
    """Knows for each watch what was in view at its last look, and so what the next one has to tell."""

    def __init__(self, github: GitHubStandin) -> None:
        self.github = github
        self.seen: dict[str, dict[View, tuple[object, ...]]] = {"all": {}, "bugs": {}}
        self.told: set[tuple[str, View, tuple[object, ...]]] = set()

    def look(self) -> list[tuple[str, str, int, str]]:
        """What an agent of each watch is to get now: (watch, repo, number, event)."""
        expected: list[tuple[str, str, int, str]] = []
        for watch, seen in self.seen.items():
            now: dict[View, tuple[object, ...]] = {}
            for repo in REPOS:
                things = self.github.state.repositories[repo].things
                for kind in KINDS:
                    for thing in things[kind].values():
                        if thing.state == "open" and (watch == "all" or "bug" in thing.labels):
                            now[repo, kind, thing.number] = content(thing)
            for view, shown in now.items():
                # An item that went out of view and came back as it was has been told of already.
                if seen.get(view) != shown and (watch, view, shown) not in self.told:
                    self.told.add((watch, view, shown))
                    expected.append((watch, view[0], view[2], "updated" if view in seen else "matched"))
            self.seen[watch] = now
        return expected


def change(github: GitHubStandin, rng: random.Random, moment: float) -> None:
    repo, kind = rng.choice(REPOS), rng.choice(KINDS)
    things = github.state.repositories[repo].things[kind]
    if rng.random() < 0.15:
        labels = rng.sample(["bug", "wip"], rng.randint(0, 2))
        github.put(repo, kind, title=f"new {rng.random()}", author="acme", labels=labels, at=moment)
        return
    number = rng.choice(list(things))
    field, value = rng.choice(
        [
            ("title", f"title {rng.random()}"),
            ("body", f"body {rng.random()}"),
            ("state", rng.choice(["open", "closed"])),
            ("labels", rng.sample(["bug", "wip", "x"], rng.randint(0, 3))),
            ("assignees", rng.sample(["ann", "bob"], rng.randint(0, 2))),
        ]
    )
    github.put(repo, kind, number, at=moment, **{field: value})


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_change_is_told_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    print(f"seed {seed}")
    with github_standin() as github:
        start = time.time() - 7200
        for repo in REPOS:
            for kind in KINDS:
                for _ in range(25):
                    github.put(repo, kind, author="acme", labels=rng.sample(["bug", "wip"], 1), at=start)
        await _tell_stories(github, tmp_path, rng)


async def _tell_stories(github: GitHubStandin, folder: Path, rng: random.Random) -> None:
    watches = tuple(
        Watch(name=f"{name} {kind} {repo}", kind=kind, repo=repo, filter=chosen, poll_sec=1.0)
        for name, chosen in (("all", ""), ("bugs", "--label bug"))
        for kind in KINDS
        for repo in REPOS
    )
    routes = tuple(Route(match=Match(watch=watch.name), to=(watch.name.split()[0],)) for watch in watches)
    gate = Gate(watches=watches, routes=routes)
    clock, transport, oracle = ManualClock(), MemoryTransport(), Oracle(github)

    def start() -> tuple[SqliteCursor, Router]:
        cursor = SqliteCursor(folder / "router.db")
        source = GitHubSource(GhProgram(("gh",), github.env), time.time)
        router = Router(
            gate=gate, source=source, cursor=cursor, transport=transport, log=MemoryLog(), clock=clock, rng=rng
        )
        return cursor, router

    cursor, router = start()
    oracle.look()
    await router.poll(router.lanes[0])
    told: dict[str, int] = {}
    for number in range(ROUNDS):
        moment = time.time()
        burst = 40 if rng.random() < 0.1 else rng.randint(0, 6)
        for _ in range(burst):
            change(github, rng, moment if rng.random() < 0.5 else time.time())
        if rng.random() < 0.3:
            github.fault(rng.choice(FAULTS), times=1, retry_after=1)
        if rng.random() < 0.2:
            cursor.close()
            cursor, router = start()
        expected = oracle.look()
        # A fault may end a round early; the look after the wait makes up for it.
        for _ in range(3):
            await router.poll(router.lanes[0])
            clock.advance(7200)
        github.heal()
        await router.deliver()
        got = []
        for agent, entries in transport.entries.items():
            for entry in entries[told.get(agent, 0) :]:
                got.append((agent, entry.metadata["repo"], entry.metadata["number"], entry.metadata["event"]))
            told[agent] = len(entries)
        assert sorted(got) == sorted(expected), f"round {number}"
    cursor.close()

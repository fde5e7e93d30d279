"""Random stories on the stand-in, read by the real `gh`, against a plain model of what every agent must get.

Every event once, with all of its facts and all that trust lets through; nothing else; and what is held back is on
record. `--long` tells long stories of many repositories. The seed is printed: `--seed` tells the story again.
"""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relayfleet.model.entry import Entry
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.watch import Watch, feed_of
from relayfleet.router.poll import Poller
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.testing import MemoryLog
from tests.oracle.oracle import Expected, Held, Level, Oracle, Told, Watched
from tests.oracle.story import KINDS, VIEWER, Story
from tests.oracle.truth import Said, Truth, truth_of
from tests.standins.github import GitHubStandin, github_standin

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]

FAULTS = (
    "secondary403", "secondary429", "primary", "graphql_primary", "graphql_timeout", "graphql_resource", "500",
    "502html", "503", "504", "badjson", "truncated", "reset", "401", "403scope",
)  # fmt: skip
LEVELS: tuple[tuple[str, str | tuple[str, ...] | None, tuple[str, ...]], ...] = (
    ("default", None, ()),
    ("anyone", "anyone", ()),
    ("contributors", "contributors", ()),
    ("collaborators", "collaborators", ("dep[bot]",)),
    ("members", "members", ("dep[bot]",)),
    ("owner", "owner", ()),
    ("named", ("Mallory", "ann"), ()),
    ("robots", ("dep[bot]", "ghost"), ()),
)
# Later than this, and everything that is looked at now and then is looked at.
LONG_S = 601.0
FACTS = ("labels_added", "labels_removed", "assigned", "unassigned", "review_requested")


class Nobody:
    """Authorship of a fleet that writes nothing."""

    def author(self, url: str, login: str) -> str:
        return ""

    def touched(self, agent: str, repo: str, number: int, *, since: float) -> bool:
        return False


VIEWS = {
    "all": ("--state all", lambda one: True),
    "open": ("", lambda one: one.state == "open"),
    "closed": ("--state closed", lambda one: one.state != "open"),
    "bugs": ("--label bug", lambda one: one.state == "open" and "bug" in one.labels),
    "helped": ("--state all --label 'help wanted' --label BUG", lambda one: {"Help Wanted", "bug"} <= one.labels),
    "calm": ("--search -label:wip", lambda one: one.state == "open" and "wip" not in one.labels),
    "mine": ("--search assignee:@me --state open", lambda one: one.state == "open" and VIEWER in one.assignees),
    "taken": ("--state all --search -no:assignee", lambda one: bool(one.assignees)),
    "ann": ("--author ann --state all", lambda one: one.author == "ann"),
}
OF_PULLS = {
    "drafts": ("--draft", lambda one: one.state == "open" and one.draft),
    "ready": ("--search draft:false", lambda one: one.state == "open" and not one.draft),
    "release": ("--base release --state all", lambda one: one.base == "release"),
    "asked": (
        "--search user-review-requested:@me",
        lambda one: one.state == "open" and VIEWER in one.reviewers,
    ),
    "core": (
        "--state all --search team-review-requested:acme/core",
        lambda one: "acme/core" in one.reviewers,
    ),
    "merged": ("--state merged", lambda one: one.state == "merged"),
}


class Reader:
    """A router without its daemon: it polls what it is told to, and brings what is owed to inboxes."""

    def __init__(self, github: GitHubStandin, folder: Path, rng: random.Random) -> None:
        self.github = github
        self.watched: list[Watched] = []
        self.gate = Gate()
        self.passed = 0.0
        self.inboxes: dict[str, dict[str, Entry]] = {}
        self._path = folder / "router.db"
        self._rng = rng
        self._new: list[tuple[str, Entry]] = []
        self._held = 0

    def start(self) -> None:
        self.cursor = SqliteCursor(self._path)
        feeds = {feed_of(one.watch).key for one in self.watched}
        self.cursor.retain(watches=[one.watch.name for one in self.watched], feeds=feeds)
        self._source = GitHubSource(GhProgram(("gh",), self.github.env), self.now)
        self._poller = Poller(
            gate=self.gate,
            cursor=self.cursor,
            authorship=Nobody(),
            log=MemoryLog(),
            rng=self._rng,
            moment=self.passed,
        )

    def restart(self) -> None:
        self.cursor.close()
        self.start()

    def now(self) -> float:
        """By the clock of this machine, which is not GitHub's."""
        return time.time() + self.passed - 4321.0

    def pass_time(self, seconds: float) -> None:
        self.passed += seconds
        self.github.do(lambda: setattr(self.github.state, "clock_skew", self.passed))

    async def poll(self, repos: Sequence[str]) -> Sequence[str]:
        """Gives those that were read, and recorded."""
        by_key = {feed_of(one.watch).key: one.watch.repo for one in self.watched}
        keys = [key for key, repo in by_key.items() if repo in repos]
        polled = await self._poller.poll(self._source, keys, now=self.now(), moment=self.passed)
        return [by_key[key] for key in polled.seen]

    def deliver(self, *, settle: bool = True) -> None:
        """With `settle` false the process dies before it notes what it brought."""
        while owed := self.cursor.owed(now=self.now()):
            for one in owed:
                inbox = self.inboxes.setdefault(one.agent, {})
                if one.entry.id not in inbox:
                    inbox[one.entry.id] = one.entry
                    self._new.append((one.agent, one.entry))
            if not settle:
                return
            self.cursor.settle([one.entry.id for one in owed], now=self.now())

    def gather(self) -> Expected:
        """What came since the last time: the agents' entries, and what was newly held back."""
        told = Counter(_told(agent, entry) for agent, entry in self._new)
        self._new.clear()
        with sqlite3.connect(self._path) as db:
            rows = db.execute("SELECT id, record FROM held WHERE id > ? ORDER BY id", (self._held,)).fetchall()
        db.close()
        held: Counter[Held] = Counter()
        for number, text in rows:
            self._held = number
            record = json.loads(text)
            held.update(
                Held(hold["agent"], record["event"]["item"]["number"], hold["item"], tuple(sorted(hold["notes"])))
                for hold in record["holds"]
            )
        return Expected(told=told, held=held)


def _told(agent: str, entry: Entry) -> Told:
    about = entry.metadata
    withheld = "item" in about.get("withheld", ())
    standing = "withheld" if withheld else "vouched" if "vouched_by" in about else "full"
    facts = {
        name: tuple(sorted(one.replace("team/", "acme/") for one in about[name])) for name in FACTS if name in about
    }
    if about["kind"] == "pulls" and not withheld and about.get("why") != "gone":
        facts |= {name: (str(about[name]),) for name in ("head", "base", "branch", "draft")}
        if standing == "full":
            facts["failing"] = tuple(sorted(f"{one['name']} {one['state']}" for one in about["failing"]))
            facts["head_message"] = (about["head_message"],)
    assert about["event"] == about["events"][0]
    assert about["title"] == ("" if withheld else entry.body.partition("\n")[0])
    return Told(
        agent=agent,
        repo=about["repo"],
        number=about["number"],
        names=tuple(sorted(about["events"])),
        why=about.get("why", ""),
        standing=standing,
        text=entry.body,
        notes=tuple(sorted(map(_said, about.get("notes", ())))),
        facts=tuple(sorted(facts.items())),
    )


def _said(note: Mapping[str, Any]) -> Said:
    at = time.strptime(note.get("updated_at") or note["created_at"], "%Y-%m-%dT%H:%M:%SZ")
    seconds = int(time.mktime(at)) - time.timezone
    return Said(note["kind"], note["author"], note.get("state", ""), note["body"], note["association"], seconds)


@dataclass(slots=True)
class Telling:
    """One story: what happens, who reads it, and who knows what must come of it."""

    github: GitHubStandin
    rng: random.Random
    reader: Reader
    oracle: Oracle
    story: Story
    repos: dict[str, int]
    expected: Expected
    watches: int = 0
    looked_at: float = 0.0
    caught_up: bool = False

    async def look(self, repos: Sequence[str]) -> None:
        """A round, which a fault may have ended early: only what was read is expected."""
        truth: Mapping[str, Truth] = self.github.do(lambda: truth_of(self.github.state))
        read = await self.reader.poll(repos)
        found = self.oracle.look(truth, {repo: (self.repos[repo], self.story.name(self.repos[repo])) for repo in read})
        self.expected += found
        watched = {one.watch.repo for one in self.reader.watched}
        self.caught_up = set(read) >= watched
        if self.caught_up:
            self.story.resting.clear()
            self.looked_at = self.github.do(self.github.state.now)

    async def get_to_know(self) -> None:
        """The first look glimpses; the next one that sweeps reads the pull requests that have checks."""
        for _ in range(2):
            await self.look(list(self.repos))
            self.reader.pass_time(LONG_S)

    def compare(self, where: str) -> None:
        got = self.reader.gather()
        wanted = self.expected
        missing, spurious = wanted.told - got.told, got.told - wanted.told - wanted.may_be_told
        assert not missing and not spurious, f"{where}: {_shown('missing', missing)}{_shown('spurious', spurious)}"
        unheld, overheld = wanted.held - got.held, got.held - wanted.held - wanted.may_be_held
        assert not unheld and not overheld, f"{where}: {_shown('not held', unheld)}{_shown('held', overheld)}"
        self.expected = Expected()

    def gate(self) -> None:
        """Every watch has agents of its own, each by another trust."""
        routes, levels = [], {}
        for one in self.reader.watched:
            name = one.watch.name
            levels[name] = (
                [Level(f"{name} {chosen[0]}", chosen[1], chosen[2]) for chosen in self.rng.sample(LEVELS, 4)]
                if name not in self.oracle.levels
                else self.oracle.levels[name]
            )
            routes += [
                Route(match=Match(watch=name), to=(level.agent,), trust=level.trust, bots=level.bots)  # type: ignore[arg-type]
                for level in levels[name]
            ]
        self.reader.gate = Gate(watches=tuple(one.watch for one in self.reader.watched), routes=tuple(routes))
        self.oracle.watch(self.reader.watched, levels)

    def change_gate(self) -> None:
        """A watch comes, goes, or looks at something else; or all those of a repository go, and one comes back."""
        watched = self.reader.watched
        unwatched = sorted(self.repos.keys() - {one.watch.repo for one in watched})
        match self.rng.randrange(4):
            case 0 if len(watched) > 1:
                watched.remove(self.rng.choice(watched))
            case 1 if not unwatched:
                repo = self.rng.choice(watched).watch.repo
                watched[:] = [one for one in watched if one.watch.repo != repo]
            case 1:
                self.add_watch(self.rng.choice(unwatched))
            case 2:
                old = watched.pop(self.rng.randrange(len(watched)))
                self.add_watch(old.watch.repo, name=old.watch.name)
            case _:
                self.add_watch(self.rng.choice(list(self.repos)))
        self.gate()
        for repo in self.repos.keys() - {one.watch.repo for one in watched}:
            self.oracle.forget(self.repos[repo])

    def add_watch(self, repo: str, *, name: str = "") -> None:
        kind = self.rng.choice(KINDS)
        flags, sees = self.rng.choice(list((VIEWS if kind == "issues" else VIEWS | OF_PULLS).values()))
        self.watches += 1
        name = name or f"{self.watches}"
        watch = Watch(name=name, kind=kind, repo=repo, filter=flags)
        self.reader.watched.append(Watched(watch, sees))

    def happen(self, quick: bool) -> None:
        """What lies between two rounds. Within one second everything has one time."""
        rng, story = self.rng, self.story
        now = self.github.do(self.github.state.now)
        if story.moment is None or not quick or now >= int(story.moment) + 1.9:
            story.moment = now if quick else None
        story.swept = lambda thing: not quick and self.oracle.sees(thing.node_id)
        story.settled = lambda thing: thing.updated < self.looked_at - 5.0
        for _ in range(rng.choice([0, 2, 5, 10, 20, 30]) * len(self.repos) // 4):
            story.act()
        if rng.random() < 0.25:
            story.burst()
        if rng.random() < 0.03:
            story.rename()


def _shown(word: str, found: Counter[Any]) -> str:
    return "".join(f"\n{word} {count}x {one}" for one, count in sorted(found.items())[:12])


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    given = request.config.getoption("--seed")
    return given if given is not None else random.randrange(1 << 32)


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as standin:
        yield standin


async def test_every_event_once_and_nothing_else(
    github: GitHubStandin, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    print(f"seed {seed}")
    long = request.config.getoption("--long")
    rng = random.Random(seed)
    await _tell(github, tmp_path, rng, repositories=30 if long else 4, rounds=400 if long else 45)


async def _tell(github: GitHubStandin, folder: Path, rng: random.Random, *, repositories: int, rounds: int) -> None:
    limits = github.limits()
    limits.allowed |= {"graphql": 10**9, "core": 10**9}
    limits.enforce_secondary = False
    reader, oracle = Reader(github, folder, rng), Oracle()
    story = Story(github, rng)
    telling = Telling(github, rng, reader, oracle, story, {}, Expected())
    began = time.time() - 40 * 86_400
    for index in range(repositories):
        repo = f"acme/repo{index}"
        telling.repos[repo] = story.begin(repo, items=rng.randint(0, 30), at=began, private=rng.random() < 0.25)
        for _ in range(rng.choice([2, 3, 4])):
            telling.add_watch(repo)
    telling.gate()
    reader.start()
    await telling.get_to_know()
    for number in range(rounds):
        quick = rng.random() < 0.4 and telling.caught_up
        telling.happen(quick)
        added = rng.random() < 0.15
        if added:
            telling.change_gate()
            reader.restart()
        elif rng.random() < 0.1:
            reader.restart()
        if not quick:
            reader.pass_time(LONG_S + rng.random() * 3600)
        if added:
            await telling.get_to_know()
        if rng.random() < 0.2:
            kind = rng.choice(FAULTS)
            github.fault(kind, times=1, after=rng.randrange(4), retry_after=1)
        for _ in range(2):
            repos = list(telling.repos)
            await telling.look(repos if rng.random() < 0.7 else rng.sample(repos, len(repos) // 2))
        github.heal()
        if rng.random() < 0.1:
            reader.deliver(settle=False)
            reader.restart()
            continue
        reader.deliver()
        telling.compare(f"round {number}")
    for _ in range(2):
        reader.pass_time(LONG_S)
        await telling.look(list(telling.repos))
    reader.deliver()
    telling.compare("the end")
    reader.cursor.close()

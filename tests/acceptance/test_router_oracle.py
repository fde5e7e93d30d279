"""Random stories on the stand-in, read by the real `gh`, against a plain model of what every agent must get.

Every event once, with all of its facts and all that trust lets through; nothing else; and what is held back is on
record. `--long` tells long stories of many repositories. The seed is printed: `--seed` tells the story again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from relayfleet.model.watch import Watch
from tests.oracle.oracle import Expected, Oracle, Watched
from tests.oracle.reader import BEGAN, FAULTS, LONG_S, Reader
from tests.oracle.story import VIEWER, Story
from tests.oracle.truth import KINDS, Truth, truth_of
from tests.standins.github import GitHubStandin, github_standin

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]

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


@dataclass(slots=True)
class Telling:
    """One story: what happens, who reads it, and who knows what must come of it."""

    github: GitHubStandin
    rng: random.Random
    reader: Reader[Watched]
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
        self.reader.compare(self.expected, where)
        self.expected = Expected()

    def gate(self) -> None:
        """Every watch has agents of its own, each by another trust."""
        levels = {one.watch.name: self.oracle.levels.get(one.watch.name) for one in self.reader.watched}
        given = {name: known or self.reader.agents(name, 4) for name, known in levels.items()}
        self.reader.route(given)
        self.oracle.watch(self.reader.watched, given)

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
        rng, story, reader = self.rng, self.story, self.reader
        now = self.github.do(self.github.state.now)
        if story.moment is None or not quick or now >= int(story.moment) + 1.9:
            story.moment = now if quick else None
        story.swept = lambda thing: not quick and self.oracle.sees(thing.node_id)
        story.settled = lambda thing: thing.updated < self.looked_at - 5.0
        for _ in range(rng.choice([0, 2, 5, 10, 20, 30]) * len(self.repos) // 4):
            reader.pass_moment()
            story.act()
        if rng.random() < 0.25:
            story.burst()
        if rng.random() < 0.03:
            story.rename()


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as standin:
        yield standin


@pytest.mark.timeout(7200)
async def test_every_event_once_and_nothing_else(
    github: GitHubStandin, tmp_path: Path, rng: random.Random, long: bool
) -> None:
    await _tell(github, tmp_path, rng, repositories=30 if long else 4, rounds=400 if long else 45)


async def _tell(github: GitHubStandin, folder: Path, rng: random.Random, *, repositories: int, rounds: int) -> None:
    limits = github.limits()
    limits.allowed |= {"graphql": 10**9, "core": 10**9}
    limits.enforce_secondary = False
    reader, oracle = Reader[Watched](github, folder, rng), Oracle()
    story = Story(github, rng)
    telling = Telling(github, rng, reader, oracle, story, {}, Expected())
    began = BEGAN - 40 * 86_400
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

"""A router without its daemon, over the real `gh`, and what its agents got of it in the words of the oracle."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from calendar import timegm
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from relayfleet.model.entry import Entry
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.trust import Trust
from relayfleet.model.watch import feed_of
from relayfleet.router.poll import Poller
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.testing import MemoryLog
from tests.oracle.oracle import Expected, Held, Level, Told, Watched
from tests.oracle.runs import WatchedRuns
from tests.oracle.truth import Said
from tests.standins.github import GitHubStandin

# What may befall a round.
FAULTS = (
    "secondary403", "secondary429", "primary", "graphql_primary", "graphql_timeout", "graphql_resource", "500",
    "502html", "503", "504", "badjson", "truncated", "reset", "401", "403scope",
)  # fmt: skip
LEVELS: tuple[tuple[str, Trust | None, tuple[str, ...]], ...] = (
    ("default", None, ()),
    ("anyone", "anyone", ()),
    ("contributors", "contributors", ()),
    ("collaborators", "collaborators", ("dep[bot]",)),
    ("members", "members", ("dep[bot]",)),
    ("owner", "owner", ()),
    ("named", ("Mallory", "ann"), ()),
    ("robots", ("dep[bot]", "ghost"), ()),
)
# When stories begin, and how much of a second goes by before each thing that happens and after each look: with a clock
# that goes by itself, the same seed would tell another story.
BEGAN = timegm((2026, 3, 2, 9, 0, 0))
MOMENTS = (0.0, 0.0, 0.02, 0.4)
# Later than this, and everything that is looked at now and then is looked at.
LONG_S = 601.0
FACTS = ("labels_added", "labels_removed", "assigned", "unassigned", "review_requested", "vouched_by")
W = TypeVar("W", Watched, WatchedRuns)


class Nobody:
    """Authorship of a fleet that writes nothing."""

    def author(self, url: str, login: str) -> str:
        return ""

    def touched(self, agent: str, repo: str, number: int, *, since: float) -> bool:
        return False


class Reader(Generic[W]):
    """A router without its daemon: it polls what it is told to, and brings what is owed to inboxes."""

    def __init__(self, github: GitHubStandin, folder: Path, rng: random.Random) -> None:
        self.github = github
        self.watched: list[W] = []
        self.gate = Gate()
        self.passed = 0.25
        self.inboxes: dict[str, dict[str, Entry]] = {}
        self._path = folder / "router.db"
        self._rng = rng
        self._new: list[tuple[str, Entry]] = []
        self._held = 0
        github.do(lambda: setattr(github.state, "clock", lambda: BEGAN + self.passed))

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

    def agents(self, watch: str, count: int) -> Sequence[Level]:
        """Agents of a watch, each with another trust."""
        return [Level(f"{watch} {name}", trust, bots) for name, trust, bots in self._rng.sample(LEVELS, count)]

    def route(self, levels: Mapping[str, Sequence[Level]]) -> None:
        """From the next start on, these get what the watches see."""
        routes = [
            Route(match=Match(watch=name), to=(level.agent,), trust=level.trust, bots=level.bots)
            for name, agents in levels.items()
            for level in agents
        ]
        self.gate = Gate(watches=tuple(one.watch for one in self.watched), routes=tuple(routes))

    def restart(self) -> None:
        self.cursor.close()
        self.start()

    def now(self) -> float:
        """By the clock of this machine, which is not GitHub's."""
        return BEGAN + self.passed - 4321.0

    def pass_time(self, seconds: float) -> None:
        """By both clocks, which stand still otherwise."""
        self.passed += seconds

    def pass_moment(self) -> None:
        self.pass_time(self._rng.choice(MOMENTS))

    async def poll(self, repos: Sequence[str]) -> Sequence[str]:
        """Gives those that were read, and recorded."""
        by_key = {feed_of(one.watch).key: one.watch.repo for one in self.watched}
        keys = [key for key, repo in by_key.items() if repo in repos]
        polled = await self._poller.poll(self._source, keys, now=self.now(), moment=self.passed)
        self.pass_moment()
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

    def compare(self, wanted: Expected, where: str) -> None:
        """Fails when anything is missing, or too much."""
        got = self.gather()
        missing, spurious = wanted.told - got.told, got.told - wanted.told - wanted.may_be_told
        assert not missing and not spurious, f"{where}: {_shown('missing', missing)}{_shown('spurious', spurious)}"
        unheld, overheld = wanted.held - got.held, got.held - wanted.held - wanted.may_be_held
        assert not unheld and not overheld, f"{where}: {_shown('not held', unheld)}{_shown('held', overheld)}"

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
    elif about["kind"] == "runs" and about.get("why") != "gone":
        facts |= {name: (str(about[name]),) for name in ("attempt", "conclusion", "branch")}
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
    return Said(note["kind"], note["author"], note.get("state", ""), note["body"], note["association"], timegm(at))


def _shown(word: str, found: Counter[Any]) -> str:
    return "".join(f"\n{word} {count}x {one}" for one, count in sorted(found.items())[:12])

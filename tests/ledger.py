"""A busy GitHub, and the books kept of it: every change that is made there must be told to every agent once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from relayfleet.client.control import ask
from relayfleet.errors import FleetError
from relayfleet.model.layout import FleetLayout
from relayfleet.store.log import KEEP
from relayfleet.store.sockets import sockets_of
from tests.acceptance.conftest import Fleet
from tests.standins.github import GitHubStandin
from tests.standins.model import until

AGENTS = ("coder", "reviewer", "slow")
ISSUES = ("acme/WMS", "acme/tools", "umbrella/x")
PULLS = "acme/WMS"
ITEMS = 8
BUSY = 3
# GitHub puts no more on an item.
MOST_LABELS = 100
# Longer than two looks, so that what waits is joined to what waits already.
COOLDOWN_S = 2.5
GATE: dict[str, Any] = {
    "watches": [
        *(
            {"name": f"issues-{n}", "kind": "issues", "repo": repo, "filter": "--state all", "poll_sec": 1}
            for n, repo in enumerate(ISSUES)
        ),
        {"name": "pulls", "kind": "pulls", "repo": PULLS, "filter": "--state all", "poll_sec": 1},
        {"name": "again", "kind": "issues", "repo": ISSUES[0], "filter": "--state all", "poll_sec": 1},
    ],
    "routes": [
        {"match": {}, "to": ["coder", "reviewer"], "trust": "anyone"},
        {"match": {"kind": "issues"}, "to": ["coder"], "trust": "anyone"},
        {"match": {}, "to": ["slow"], "trust": "anyone", "cooldown_s": COOLDOWN_S},
    ],
}


class Fact(NamedTuple):
    """Something that happened: what, to which item, and the words that are in nothing else."""

    what: str
    repo: str
    number: int
    words: str = ""


@dataclass(slots=True)
class Ledger:
    """Makes changes, and knows what an agent must have been told of them.

    `made` are the facts that must be told once. `overwritten` are words that others took the place of, maybe before
    anybody looked: they may be told once, or not at all.
    """

    github: GitHubStandin
    rng: random.Random
    made: set[Fact] = field(default_factory=set)
    overwritten: set[Fact] = field(default_factory=set)
    _serial: int = 0
    _old: list[tuple[str, int]] = field(default_factory=list)
    _open: set[tuple[str, int]] = field(default_factory=set)
    _labels: Counter[tuple[str, int]] = field(default_factory=Counter)
    _titles: dict[tuple[str, int], Fact] = field(default_factory=dict)
    _comments: list[tuple[int, Fact]] = field(default_factory=list)

    def begin(self) -> None:
        """What is there before the router looks for the first time, of which nothing is told."""
        limits = self.github.limits()
        limits.allowed |= {"graphql": 10**9, "core": 10**9}
        limits.enforce_secondary = False
        at = time.time() - 3600
        for repo in ISSUES:
            for _ in range(ITEMS):
                self._old.append((repo, self.github.put(repo, "issues", title="old", author="ann", at=at).number))
        for _ in range(ITEMS):
            self._old.append((PULLS, self.github.put(PULLS, "pulls", title="old", author="ann", at=at).number))
        self._open.update(self._old)

    def change(self, count: int = 1) -> None:
        acts = (self._comment, self._comment, self._retitle, self._label, self._open_one, self._close, self._edit)
        for _ in range(count):
            self.rng.choice(acts)()

    @contextmanager
    def stream(self, *, pause_s: float = 0.1) -> Iterator[None]:
        """Changes all the while, from a thread of its own."""
        over = threading.Event()
        faults: list[Exception] = []

        def run() -> None:
            try:
                while not over.wait(self.rng.uniform(0.0, 2 * pause_s)):
                    self.change()
            except Exception as error:
                faults.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert not faults, faults

    def words(self, what: str) -> str:
        """Words that are in nothing else."""
        self._serial += 1
        return f"{what} {self._serial};"

    def _any(self) -> tuple[str, int]:
        """Half of what happens happens to a few, so that much happens to them at once."""
        return self.rng.choice(self.rng.choice((self._old, self._old[:BUSY])))

    def _comment(self) -> None:
        repo, number = self._any()
        fact = Fact("said", repo, number, self.words("comment"))
        self._comments.append((self.github.comment(repo, number, fact.words, author="eve").id, fact))
        self.made.add(fact)

    def _edit(self) -> None:
        if not self._comments:
            return
        index = self.rng.randrange(len(self._comments))
        id, before = self._comments[index]
        fact = before._replace(words=self.words("edited"))
        self.github.edit_comment(fact.repo, fact.number, id, fact.words)
        self._comments[index] = id, fact
        self._replace(before, fact)

    def _retitle(self) -> None:
        repo, number = self._any()
        fact = Fact("titled", repo, number, self.words("title"))
        self.github.rename_title(repo, number, fact.words)
        self._replace(self._titles.get((repo, number)), fact)
        self._titles[repo, number] = fact

    def _replace(self, before: Fact | None, fact: Fact) -> None:
        if before is not None:
            self.made.discard(before)
            self.overwritten.add(before)
        self.made.add(fact)

    def _label(self) -> None:
        repo, number = self._any()
        self._labels[repo, number] += 1
        if self._labels[repo, number] > MOST_LABELS:
            return
        fact = Fact("labeled", repo, number, self.words("label"))
        self.github.label(repo, number, fact.words, actor="ann")
        self.made.add(fact)

    def _open_one(self) -> None:
        repo = self.rng.choice(ISSUES)
        number = self.github.put(repo, "issues", title=self.words("new"), author="eve").number
        self.made.add(Fact("opened", repo, number))

    def _close(self) -> None:
        if not self._open:
            return
        repo, number = self.rng.choice(sorted(self._open))
        self._open.discard((repo, number))
        self.github.close(repo, number)
        self.made.add(Fact("closed", repo, number))


def told(entry: dict[str, Any]) -> Iterator[Fact]:
    """The facts of an entry of the router's, as a line of an inbox has it."""
    about = entry["metadata"]
    repo, number, events = about["repo"], about["number"], set(about["events"])
    for what in ("opened", "closed"):
        if what in events:
            yield Fact(what, repo, number)
    for label in about.get("labels_added", ()):
        yield Fact("labeled", repo, number, label)
    for note in about.get("notes", ()):
        yield Fact("said", repo, number, note["body"])
    if "updated" in events and about["title"].startswith("title "):
        yield Fact("titled", repo, number, about["title"])


def inbox(fleet: Fleet, agent: str) -> list[dict[str, Any]]:
    """Every line of it. Fails for one that is torn."""
    path = FleetLayout(fleet.root).agent(agent).inbox
    data = path.read_bytes() if path.exists() else b""
    assert data == b"" or data.endswith(b"\n"), f"torn: {data[-200:]!r}"
    return [json.loads(line) for line in data.splitlines()]


class Account(NamedTuple):
    """What of the facts is missing in an agent's inbox, and what is there twice."""

    lost: list[Fact]
    repeated: list[Fact]


def account(ledger: Ledger, entries: Sequence[dict[str, Any]]) -> Account:
    found = [entry for entry in entries if entry["source"] == "github"]
    counts = Counter(fact for entry in found for fact in told(entry))
    known = ledger.made | ledger.overwritten
    strange = [fact for fact in counts if fact.words != "old" and fact not in known]
    assert not strange, f"nobody did that: {strange}"
    ids = Counter(entry["id"] for entry in entries)
    keys = Counter(entry["metadata"]["key"] for entry in found)
    assert max(ids.values(), default=1) == 1, [one for one, count in ids.items() if count > 1]
    assert max(keys.values(), default=1) == 1, [one for one, count in keys.items() if count > 1]
    return Account(
        lost=sorted(ledger.made - set(counts)),
        repeated=sorted(fact for fact, count in counts.items() if count > 1),
    )


def settled(fleet: Fleet, ledger: Ledger, *, agents: Sequence[str] = AGENTS, within_s: float = 60.0) -> str:
    """Waits until every agent was told everything, as long as more is told within `within_s`; fails unless that was
    once. Gives the counts, in words."""

    def lost() -> dict[str, list[Fact]]:
        return {agent: account(ledger, inbox(fleet, agent)).lost for agent in agents}

    while left := sum(map(len, lost().values())):
        until(
            lambda left=left: sum(map(len, lost().values())) < left,
            within_s=within_s,
            what=lambda: "everything told but for " + str({agent: (len(of), of[:5]) for agent, of in lost().items()}),
        )
    lines = []
    for agent in agents:
        entries = inbox(fleet, agent)
        found = account(ledger, entries)
        assert not found.repeated, f"{agent}: {found.repeated}"
        joined = sum("joined" in entry["metadata"] for entry in entries)
        counts = f"lost {len(found.lost)}, repeated {len(found.repeated)}, torn 0"
        lines.append(f"{agent}: {len(entries)} entries ({joined} joined), {counts}")
    return f"{len(ledger.made)} facts ({len(ledger.overwritten)} overwritten)\n" + "\n".join(lines)


def prepare(fleet: Fleet, github: GitHubStandin) -> None:
    """Three agents that get everything of three repositories; one of them with a cooldown."""
    fleet.env.update(github.env)
    for agent in AGENTS:
        fleet.run("new-agent", agent)
    fleet.edit("routes.json", lambda c: c.update(GATE))


class RouterProcess:
    """`fleet run router`, in the test's hands; as a context, it is killed at the end if it still runs. `tracer` are the
    words that run it under another program."""

    def __init__(self, fleet: Fleet, *, tracer: Sequence[str] = ()) -> None:
        self._said = fleet.root.parent / "stderr"
        self._traced = bool(tracer)
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*tracer, sys.executable, "-m", "relayfleet", "run", "router"],
                env=fleet.env,
                cwd=fleet.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def __enter__(self) -> RouterProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running():
            self.kill()

    def is_running(self) -> bool:
        return self.process.poll() is None

    def errors(self) -> str:
        """What the router that was started last said."""
        return self._said.read_text()

    def kill(self) -> None:
        """With -9. A tracer ends with what it traces."""
        found = psutil.Process(self.process.pid).children() if self._traced else [self.process]
        for one in found:
            one.kill()
        self.process.wait(20)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0, self.errors()


def tracing(fleet: Fleet, calls: str, *expressions: str, inboxes: bool = False) -> list[str]:
    """The words of a `strace` that follows these calls of the router (every thread has a count of its own) on what it
    writes in the fleet's folder, or only those on `inboxes`."""
    layout = FleetLayout(fleet.root)
    agents = [layout.agent(agent) for agent in AGENTS]
    paths = [agent.inbox for agent in agents]
    if not inboxes:
        database, log = layout.router_db, layout.router_log
        paths += [layout.state, layout.router_lock, log, database]
        paths += [Path(f"{database}-{more}") for more in ("wal", "shm", "journal")]
        paths += [Path(f"{log}.{number}") for number in range(1, KEEP + 1)]
        paths += [path for agent in agents for path in (agent.state, agent.inbox.with_suffix(".lock"))]
    words = ["strace", "-f", "-qq", "-o", str(fleet.root.parent / "trace"), "-e", f"trace={calls}"]
    words += [word for path in paths for word in ("-P", str(path))]
    return [*words, *(word for expression in expressions for word in ("-e", expression))]


def control_of(fleet: Fleet) -> Path:
    """The router's control socket."""
    return sockets_of(json.loads((fleet.root / "fleet.json").read_text())["id"]).control("router")


def ends(router: RouterProcess, *, within_s: float) -> bool:
    """Whether it ends by itself in time."""
    try:
        router.process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def begins(fleet: Fleet, router: RouterProcess) -> bool:
    """Whether it begins: once it answers it does, when it ends before it does not."""
    control = control_of(fleet)

    def answers() -> bool:
        try:
            return bool(ask(control, {"op": "deliver"}, timeout_s=5.0))
        except FleetError:
            return False

    until(lambda: not router.is_running() or answers(), what="a router that begins or ends")
    return router.is_running()


def first_look(fleet: Fleet) -> None:
    """A router that ends after the looks of which nothing is told."""
    with RouterProcess(fleet) as router:
        all_looked(fleet)
        router.stop()


def all_looked(fleet: Fleet) -> None:
    """Until the router that was started has had a look with every watch."""
    control = control_of(fleet)
    names = {watch["name"] for watch in GATE["watches"]}

    def has_looked() -> bool:
        try:
            shown = ask(control, {"op": "status"}, timeout_s=5.0)["watches"]
        except FleetError:
            return False  # it does not listen yet
        return {one["name"] for one in shown if one["last_poll"]} == names

    until(has_looked, what="looks with all watches")

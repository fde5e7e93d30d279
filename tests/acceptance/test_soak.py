"""Ten agents of the real `claude` at work, and every few seconds one part of the fleet is killed with -9."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet, words_of
from tests.standins.github import GitHubStandin, github_standin
from tests.standins.model import ModelStandin, until

pytestmark = pytest.mark.needs("gh", "claude", "github-schema")
REPO = "acme/WMS"
AGENTS = tuple(f"agent-{number}" for number in range(10))
PARTS = ("runner", "session", "shim", "supervisor", "router")
_FRAME = re.compile(r"\[FROM [^\]\n]* id=([A-Za-z0-9_-]+)([^\]\n]*)\]")


class Forgetful(list[dict[str, Any]]):
    """What the model was sent last; all of it would not fit into memory."""

    def append(self, request: dict[str, Any]) -> None:
        super().append(request)
        del self[:-50]


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        for agent in AGENTS:
            running.put(REPO, "issues", title=f"for {agent}", body="x", labels=[agent])
        yield running


class Soak:
    """What was asked of the agents so far, and who was killed."""

    def __init__(self, fleet: Fleet, github: GitHubStandin, rng: random.Random) -> None:
        self.fleet, self.github, self.rng = fleet, github, rng
        self.told: dict[str, list[str]] = {agent: [] for agent in AGENTS}
        self.edits: dict[str, str] = {}
        self.kills: Counter[str] = Counter()

    def act(self) -> None:
        """A person tells an agent something, or its issue is edited."""
        agent = self.rng.choice(AGENTS)
        if self.rng.random() < 0.3:
            self.edits[agent] = f"edit {len(self.edits)}.{self.rng.random()}"
            self.github.edit_body(REPO, AGENTS.index(agent) + 1, self.edits[agent])
        else:
            words = f"[[sleep {self.rng.choice((0, 0, 1, 3))}]] do {self.rng.random()}"
            self.told[agent].append(self.fleet.tell(agent, words))

    def kill(self) -> None:
        part = self.rng.choice(PARTS)
        victim = self._find(part)
        if victim is None:
            return  # it is down from the kill before
        self.kills[part] += 1
        victim.send_signal(signal.SIGKILL)
        if part == "supervisor":
            until(lambda: not psutil.pid_exists(victim.pid) or victim.status() == psutil.STATUS_ZOMBIE)
            self.fleet.run("up", "-d")

    def _find(self, part: str) -> psutil.Process | None:
        status = self.fleet.json("status")
        observed = status[part] if part in ("supervisor", "router") else self.rng.choice(status["agents"])
        pid = observed["pid"]
        try:
            process = psutil.Process(pid) if pid else None
            if process is None or part in ("supervisor", "router", "runner"):
                return process
            mark = "shim.py" if part == "shim" else "--mcp-config"
            return next((p for p in process.children(recursive=True) if mark in " ".join(words_of(p))), None)
        except psutil.NoSuchProcess:
            return None

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Open descriptors and resident megabytes of the fleet's daemons."""
        status = self.fleet.json("status")
        pids = {agent["name"]: agent["pid"] for agent in status["agents"]}
        pids |= {part: status[part]["pid"] for part in ("supervisor", "router")}
        found = {}
        for name, pid in pids.items():
            process = psutil.Process(pid)
            found[name] = process.num_fds(), process.memory_info().rss >> 20
        return found


@pytest.mark.timeout(3600)
def test_nothing_is_lost_whatever_is_killed(
    real: Fleet, model: ModelStandin, github: GitHubStandin, rng: random.Random, long: bool
) -> None:
    model.requests = Forgetful()
    real.env.update(github.env)
    for agent in AGENTS:
        real.run("new-agent", agent, "--no-route")
    watch = {"name": "open", "kind": "issues", "repo": REPO, "filter": "--state open", "poll_sec": 2}
    routes = [{"match": {"watch": "open", "label": agent}, "to": [agent], "trust": "anyone"} for agent in AGENTS]
    real.edit("routes.json", lambda c: c.update(watches=[watch], routes=routes))
    real.run("up", "-d")
    real.run("start", "--all")
    real.run("router", "start")
    try:
        _soak(real, github, rng, seconds=1800 if long else 150)
    finally:
        real.run("down", code=None)
    assert real.processes() == [], "left behind"


def _soak(real: Fleet, github: GitHubStandin, rng: random.Random, *, seconds: float) -> None:
    until(lambda: real.json("router", "status")["router"]["watches"][0]["last_poll"])
    sessions = {agent["name"]: agent["session_id"] for agent in real.json("status")["agents"]}
    soak = Soak(real, github, rng)
    before = soak.sizes()
    end = time.monotonic() + seconds
    next_kill = time.monotonic() + 5
    while time.monotonic() < end:
        soak.act()
        if time.monotonic() > next_kill:
            soak.kill()
            next_kill = time.monotonic() + rng.uniform(5, 15)
        time.sleep(rng.uniform(0.2, 1.0))  # the pace of the story
    print(f"killed {dict(soak.kills)}, told {sum(map(len, soak.told.values()))}")
    for agent in AGENTS:
        _settle(real, agent, soak.edits.get(agent, ""))
    for agent in AGENTS:
        entries = {entry["id"]: entry for entry in _all(real, agent)}
        assert set(soak.told[agent]) <= set(entries), "an entry is gone"
        odd = [e for e in entries.values() if e["state"] != "handled"]
        assert not odd, f"{agent}: {odd}"
        bodies = [e["metadata"].get("key", e["id"]) for e in entries.values()]
        assert len(set(bodies)) == len(bodies), "an event came twice"
        _check_repeats(real, agent)
    status = {agent["name"]: agent for agent in real.json("status")["agents"]}
    assert {name: status[name]["session_id"] for name in AGENTS} == sessions
    for agent in AGENTS:
        transcripts = list((real.root / "agents" / agent / "state" / "claude" / "projects").glob("*/*.jsonl"))
        assert [path.stem for path in transcripts] == [sessions[agent]]
    for name, (descriptors, megabytes) in soak.sizes().items():
        assert descriptors <= before[name][0] + 8, f"{name}: descriptors {before[name][0]} -> {descriptors}"
        assert megabytes <= before[name][1] + 15, f"{name}: megabytes {before[name][1]} -> {megabytes}"


def _settle(real: Fleet, agent: str, edit: str) -> None:
    """Until the last edit of its issue has come, and every entry has ended."""
    until(lambda: any(edit in e["body"] for e in _all(real, agent)), within_s=90, what=f"{edit!r} at {agent}")
    until(
        lambda: all(e["state"] in ("handled", "failed", "dead") for e in _all(real, agent)),
        within_s=180,
        what=f"{agent}: {Counter(e['state'] for e in _all(real, agent))}",
    )


def _all(real: Fleet, agent: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = real.json("inbox", agent, "--all", "--limit", "100000")["entries"]
    return found


def _check_repeats(real: Fleet, agent: str) -> None:
    """The first turn of an entry is plain; each further one says that it is one."""
    (transcript,) = (real.root / "agents" / agent / "state" / "claude" / "projects").glob("*/*.jsonl")
    turns: Counter[str] = Counter()
    for line in transcript.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if record.get("type") != "user" or record.get("isMeta"):
            continue
        frame = _FRAME.search(json.dumps(record.get("message"), ensure_ascii=False))
        if frame:
            turns[frame[1]] += 1
            flagged = "attempt=" in frame[2] or "repeat=" in frame[2]
            assert flagged or turns[frame[1]] == 1, f"{agent}: a repeat of {frame[1]} does not say so"

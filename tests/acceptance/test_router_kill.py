"""kill -9 at any moment: every change reaches every inbox, once."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relayfleet.model.layout import FleetLayout
from tests.standins.github import CHECKOUT, GitHubStandin, github_standin

pytestmark = [
    pytest.mark.needs("gh"),
    pytest.mark.needs("github-schema"),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9"),
]
KILLS = 15
AGENTS = ("coder", "reviewer", "manager")
ISSUES = 20

ROUTER = """
import asyncio, json, os, random, sys, time
from pathlib import Path
from relayfleet.model.layout import FleetLayout
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.watch import Watch
from relayfleet.router.daemon import Router
from relayfleet.sources.clock import SystemClock
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.cursor import SqliteCursor
from relayfleet.store.log import open_log
from relayfleet.transports.file import FileTransport

layout = FleetLayout(Path(sys.argv[1]))
gate = Gate(
    watches=(Watch(name="w", kind="issues", repo="acme/WMS", poll_sec=1), Watch(name="v", kind="issues",
        repo="acme/WMS", filter="--state all", poll_sec=1)),
    routes=(Route(match=Match(), to=tuple(sys.argv[2:])),),
)
router = Router(
    gate=gate, source=GitHubSource(GhProgram(("gh",), os.environ), time.time), cursor=SqliteCursor(layout.router_db),
    transport=FileTransport(layout, lambda agent: None), log=open_log(layout.router_log), clock=SystemClock(),
    rng=random.Random(),
)
asyncio.run(router.run(asyncio.Event()))
"""


def start(github: GitHubStandin, layout: FleetLayout) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", ROUTER, str(layout.root), *AGENTS], env=github.env, cwd=CHECKOUT, stderr=subprocess.PIPE
    )


def inbox(layout: FleetLayout, agent: str) -> list[dict[str, object]]:
    path = layout.agent(agent).inbox
    text = path.read_bytes() if path.exists() else b""
    assert text == b"" or text.endswith(b"\n")
    entries = [json.loads(line)["metadata"] for line in text.splitlines() if line]
    return [dict(entry) for entry in entries]


async def test_fifteen_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    layout = FleetLayout(tmp_path)
    layout.state.mkdir()
    for agent in AGENTS:
        layout.agent(agent).state.mkdir(parents=True)
        layout.agent(agent).config.write_text("{}")
    with github_standin() as github:
        for number in range(1, ISSUES + 1):
            github.put("acme/WMS", "issues", number, author="acme", at=time.time() - 3600)
        router = start(github, layout)
        await _until(lambda: layout.router_log.exists() and layout.router_log.read_text().count("router.snapshot") == 2)
        last: dict[int, str] = {}
        for kill in range(KILLS):
            for _ in range(rng.randint(1, 8)):
                number = rng.randint(1, ISSUES)
                last[number] = f"title {kill} {rng.random()}"
                github.put("acme/WMS", "issues", number, title=last[number])
            await asyncio.sleep(rng.uniform(0.05, 1.2))
            assert router.poll() is None
            router.send_signal(signal.SIGKILL)
            router.communicate()
            router = start(github, layout)

        def all_told() -> bool:
            return all(_latest(layout, agent) == last for agent in AGENTS)

        try:
            await _until(all_told)
        finally:
            router.kill()
            _, errors = router.communicate()
        assert errors == b""
    for agent in AGENTS:
        keys = [entry["key"] for entry in inbox(layout, agent)]
        assert len(keys) == len(set(keys)), "an entry came twice"


def _latest(layout: FleetLayout, agent: str) -> dict[int, str]:
    return {int(str(entry["number"])): str(entry["title"]) for entry in inbox(layout, agent)}


async def _until(condition: object, *, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.05)

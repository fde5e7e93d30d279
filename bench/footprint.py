"""Ten agents with the inbox plugin and the real `claude`: how soon a runner is ready, and what it and its shim weigh.

Proportional set size: a page that n processes share counts 1/n for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from bench.figure import Figure, median
from bench.fleet import CLAUDE, Fleet, fleet
from tests.standins.model import KEY, run_model

_AGENTS = 10


def run() -> list[Figure]:
    with run_model() as model:
        defaults = {
            "remote_control": False,
            "claude": {"command": str(CLAUDE), "endpoint": {"mode": "custom", "url": model.url}},
            "env": {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1"},
        }
        with fleet(_AGENTS, defaults=defaults) as made:
            key = made.layout.root.parent / "key"
            key.write_text(KEY)
            record = json.loads(made.layout.fleet_json.read_bytes())
            record["defaults"]["credentials"] = {"model": {"from_file": str(key), "as_env": "ANTHROPIC_API_KEY"}}
            made.layout.fleet_json.write_text(json.dumps(record))
            made.run("start", "--all")
            made.run("stop", "--all")
            # One by one: ten at once would only measure how they wait for one another.
            ready = [_start(made, f"a{number}") for number in range(_AGENTS)]
            return _figures(made, ready)


def _start(made: Fleet, name: str) -> float:
    """Starts a runner as `fleet start` does; milliseconds until it is up and about to run `claude`."""
    argv = [sys.executable, "-m", "relayfleet", "run", "agent", name, "--root", str(made.layout.root)]
    log = made.layout.agent(name).runner_log
    begin = time.time()
    subprocess.Popen(argv, env=made.env, stdin=subprocess.DEVNULL, start_new_session=True)
    while True:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        new = {line["action"]: line["ts"] for line in lines if line["ts"] >= begin}
        if "session.ready" in new:
            return float(new["runner.up"] - begin) * 1000
        time.sleep(0.02)


def _figures(made: Fleet, ready: list[float]) -> list[Figure]:
    runners, shims, sessions = [], [], []
    for agent in made.json("status")["agents"]:
        runner = psutil.Process(agent["pid"])
        alive = [p for p in runner.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
        (session,) = [p for p in alive if str(CLAUDE) in p.cmdline()]
        (shim,) = [p for p in alive if "shim.py" in " ".join(p.cmdline())]
        runners.append(_pss_mb(runner.pid))
        shims.append(_pss_mb(shim.pid))
        sessions.append(_pss_mb(session.pid))
    ours, session = median(runners) + median(shims), median(sessions)
    return [
        Figure(name="runner ready, median", value=median(ready), unit="ms", bound=200, reference="200 ms"),
        Figure(name="runner, median", value=median(runners), unit="MB", bound=15, reference="15 MB"),
        Figure(name="shim, median", value=median(shims), unit="MB", bound=4.5, reference="4.5 MB"),
        Figure(
            name="runner + shim",
            value=ours,
            unit="MB",
            bound=0.15 * session,
            reference=f"15 % of the session's own ({session:.0f} MB)",
        ),
    ]


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"no Pss of process {pid} for user {os.geteuid()}")

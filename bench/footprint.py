"""Ten agents with the inbox plugin and the real `claude`: how soon a runner is ready, and what it and its shim weigh.

Proportional set size: a page that n processes share counts 1/n for each.
"""

from __future__ import annotations

import json
import os
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
            for number in range(_AGENTS):  # one by one: ten at once would only measure how they wait for one another
                made.run("start", f"a{number}")
            return _figures(made)


def _figures(made: Fleet) -> list[Figure]:
    ready, runners, shims, sessions = [], [], [], []
    for agent in made.json("status")["agents"]:
        runner = psutil.Process(agent["pid"])
        (session,) = [p for p in runner.children() if "--session-id" in p.cmdline()]
        (shim,) = [p for p in session.children(recursive=True) if "shim.py" in " ".join(p.cmdline())]
        runners.append(_pss_mb(runner.pid))
        shims.append(_pss_mb(shim.pid))
        sessions.append(_pss_mb(session.pid))
        log = made.layout.agent(agent["name"]).runner_log.read_text().splitlines()
        started = next(json.loads(line) for line in log if '"session.started"' in line)
        ready.append((started["ts"] - runner.create_time()) * 1000)
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

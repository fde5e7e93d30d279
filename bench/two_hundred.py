"""Two hundred scripted agents under a supervisor: up, looked at, left alone, down again."""

from __future__ import annotations

import time

import psutil

from bench.figure import Figure, median
from bench.fleet import Fleet, fleet, scripted_defaults

_AGENTS = 200
_SETTLED_S, _IDLE_S = 15.0, 60.0
_ROUNDS = 9


def run() -> list[Figure]:
    with fleet(_AGENTS, defaults=scripted_defaults()) as made:
        made.run("up", "-d")
        begin = time.perf_counter()
        made.run("router", "start")
        made.run("start", "--all")
        up = time.perf_counter()
        status = median([_status_s(made) for _ in range(_ROUNDS)])
        seen = made.json("status")
        not_up = sum(agent["state"] != "idle" for agent in seen["agents"])
        shares = _idle_shares(seen)
        begun_down = time.perf_counter()
        made.run("down")
        down = time.perf_counter()
        left = sum(agent["pid"] is not None for agent in made.json("status")["agents"])
    print("  " + ", ".join(f"{name} {share:.2f} %" for name, share in shares.items()))
    idle = sum(shares.values())
    return [
        Figure(name="status, 200 agents, median", value=status, unit="s", bound=0.5, reference="0.5 s"),
        Figure(name="idle: supervisor, router, 200 runners", value=idle, unit="%", bound=3, reference="3 % of a core"),
        Figure(name="not up, and left behind", value=not_up + left, unit="", bound=0, reference="none"),
        Figure(name="start --all, 200 agents", value=up - begin, unit="s", bound=40, reference="twice that of 100"),
        Figure(name="down, 200 agents", value=down - begun_down, unit="s", bound=15, reference="as `stop` waits"),
    ]


def _status_s(made: Fleet) -> float:
    begin = time.perf_counter()
    made.run("status")
    return time.perf_counter() - begin


def _idle_shares(seen: dict[str, dict[str, int]]) -> dict[str, float]:
    """Percent of one core that each kind of daemon takes while nothing happens, sessions left out."""
    pids = {
        "supervisor": [seen["supervisor"]["pid"]],
        "router": [seen["router"]["pid"]],
        "runners": [agent["pid"] for agent in seen["agents"]],  # type: ignore[index]
    }
    time.sleep(_SETTLED_S)
    before = {name: _cpu_s(group) for name, group in pids.items()}
    begin = time.monotonic()
    time.sleep(_IDLE_S)
    passed = time.monotonic() - begin
    return {name: 100 * (_cpu_s(group) - before[name]) / passed for name, group in pids.items()}


def _cpu_s(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)

"""A hundred scripted agents up and down again."""

from __future__ import annotations

import os
import time

from bench.figure import Figure
from bench.fleet import fleet, scripted_defaults


def run() -> list[Figure]:
    with fleet(100, defaults=scripted_defaults()) as made:
        begin = time.perf_counter()
        made.run("start", "--all")
        up = time.perf_counter()
        made.run("stop", "--all")
        down = time.perf_counter()
    cores = f"on {os.cpu_count()} cores"
    return [
        Figure(name="start --all, 100 agents", value=up - begin, unit="s", bound=15, reference=f"15 s {cores}"),
        Figure(name="stop --all, 100 agents", value=down - up, unit="s", bound=5, reference=f"5 s {cores}"),
    ]

"""How long `fleet tell` and `fleet status` take, held against `python -c "import typer"` of the same environment."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from bench.figure import Figure, median
from bench.fleet import fleet, scripted_defaults

_ROUNDS = 25
_BOUND = 1.3


def run() -> list[Figure]:
    with fleet(100, defaults=scripted_defaults()) as made:
        root = ["--root", str(made.layout.root)]
        ours = {
            "fleet tell": [sys.executable, "-m", "relayfleet", *root, "tell", "a0", "hello"],
            "fleet status, 100 stopped agents": [sys.executable, "-m", "relayfleet", *root, "status"],
        }
        reference = [sys.executable, "-c", "import typer"]
        times: dict[str, list[float]] = {name: [] for name in (*ours, "typer")}
        for _ in range(_ROUNDS):  # in turn, so that a slow moment of the machine meets all of them
            for name, argv in ours.items():
                times[name].append(_wall_ms(argv, made.env))
            times["typer"].append(_wall_ms(reference, made.env))
    typer = median(times["typer"])
    return [
        Figure(
            name=f"{name}, median",
            value=median(times[name]),
            unit="ms",
            bound=_BOUND * typer,
            reference=f'{_BOUND} x python -c "import typer" ({typer:.1f} ms)',
        )
        for name in ours
    ]


def _wall_ms(argv: Sequence[str], env: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, env=env, capture_output=True, check=True)
    return (time.perf_counter() - start) * 1000

"""A fleet to measure, in a folder of its own."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relayfleet.bootstrap.agents import scaffolder
from relayfleet.fleet.scaffold import AgentWish
from relayfleet.model.layout import FleetLayout

CHECKOUT = Path(__file__).resolve().parents[1]
CLAUDE = CHECKOUT / ".tools" / "node_modules" / ".bin" / "claude"
SCRIPTED = [sys.executable, "-I", "-S", str(CHECKOUT / "relayfleet" / "demo" / "session.py")]


class Fleet:
    def __init__(self, root: Path) -> None:
        self.layout = FleetLayout(root)
        home = root.parent / "home"
        home.mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}

    def run(self, *words: str) -> str:
        """`fleet <words>`; its standard output."""
        argv = [sys.executable, "-m", "relayfleet", "--root", str(self.layout.root), *words]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr}")
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@contextmanager
def fleet(agents: int, *, defaults: dict[str, Any]) -> Iterator[Fleet]:
    """With `agents` agents called a0, a1, ..."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    root = folder / "fleet"
    root.mkdir()
    made = Fleet(root)
    maker = scaffolder(made.layout)
    maker.init("bench")
    # A range of its own, below the one that the system gives out: other fleets may run on this machine.
    record = json.loads(made.layout.fleet_json.read_bytes())
    made.layout.fleet_json.write_text(json.dumps({**record, "ports": {"first": random.randrange(11_000, 19_000, 250)}}))
    for number in range(agents):
        maker.new_agent(AgentWish(name=f"a{number}", remote=False), caller=None)
    record = json.loads(made.layout.fleet_json.read_bytes())
    made.layout.fleet_json.write_text(json.dumps({**record, "defaults": defaults}))
    try:
        yield made
    finally:
        subprocess.run(
            [sys.executable, "-m", "relayfleet", "--root", str(root), "stop", "--all"],
            env=made.env,
            capture_output=True,
        )
        shutil.rmtree(folder, ignore_errors=True)


def scripted_defaults() -> dict[str, Any]:
    return {"remote_control": False, "claude": {"command": SCRIPTED}}

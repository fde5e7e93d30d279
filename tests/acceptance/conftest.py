"""A fleet of its own for each test, driven through the command line as a user would."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from relayfleet.store.sockets import sockets_of
from tests.conftest import CHECKOUT, TOOLS
from tests.standins.model import KEY, ModelStandin, run_model, until

SCRIPTED = [sys.executable, "-I", "-S", str(CHECKOUT / "relayfleet" / "demo" / "session.py")]


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that is going away at this moment."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class Fleet:
    """The root of a fleet and its command line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        home = root.parent / "home"
        home.mkdir(exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR")}
        self.env |= {"HOME": str(home), "RELAYFLEET_ROOT": str(root)}

    def run(
        self, *words: str, code: int | None = 0, stdin: str | bytes = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`fleet <words>`; fails the test when it ends with another code (None: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "relayfleet", *words],
            env={**self.env, **(env or {})},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=self.root,
            timeout=120,
        )
        text = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert code is None or text.returncode == code, f"{words}: {text.returncode}\n{text.stdout}\n{text.stderr}"
        return text

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def status(self, agent: str) -> dict[str, Any]:
        return next(a for a in self.json("status")["agents"] if a["name"] == agent)

    def entries(self, agent: str) -> list[dict[str, Any]]:
        return self.json("inbox", agent)["entries"]

    def states(self, agent: str) -> list[str]:
        return [entry["state"] for entry in self.entries(agent)]

    def tell(self, agent: str, *words: str) -> str:
        return self.json("tell", agent, *words)["entries"][0]["id"]

    def edit(self, path: str, change: Any) -> None:
        """Changes a JSON file of the fleet with a function that takes and changes the object."""
        file = self.root / path
        value = json.loads(file.read_text())
        change(value)
        file.write_text(json.dumps(value, indent=2))

    def log(self, agent: str) -> list[dict[str, Any]]:
        text = (self.root / "agents" / agent / "state" / "runner.log").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def wait_for(self, agent: str, state: str, *, count: int = 1, within_s: float = 30.0) -> list[dict[str, Any]]:
        """Until `count` entries of the agent are in `state`."""

        def there() -> list[dict[str, Any]]:
            found = [e for e in self.entries(agent) if e["state"] == state]
            return found if len(found) >= count else []

        return until(there, within_s=within_s, what=lambda: f"{count} {state} entries of {agent}: {self.states(agent)}")

    def processes(self) -> list[psutil.Process]:
        """Every process that belongs to an agent of this fleet."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = str(self.root) in " ".join(process.cmdline()) or (
                    process.environ().get("RELAYFLEET_ROOT") == str(self.root)
                )
                if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `fleet init` makes. A copy of it with an id of its own is another fleet."""
    root = tmp_path_factory.mktemp("initialised") / "fleet"
    root.mkdir()
    Fleet(root).run("init", "--name", "test")
    return root


@pytest.fixture
def fleet(tmp_path: Path, initialised: Path) -> Iterator[Fleet]:
    root = tmp_path / "fleet"
    shutil.copytree(initialised, root)
    made = Fleet(root)
    # A range of its own, below the one that the system gives out: fleets may run at once.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
    first = random.randrange(20_000 + 3_000 * worker, 23_000 + 3_000 * worker, 25)
    made.edit("fleet.json", lambda c: c.update(id=secrets.token_hex(len(c["id"]) // 2), ports={"first": first}))
    yield made
    if made.processes():
        made.run("down", code=None)
    left = made.processes()
    for process in left:
        process.kill()
    fleet_id = json.loads((root / "fleet.json").read_text()).get("id")
    if fleet_id:
        shutil.rmtree(sockets_of(fleet_id).folder, ignore_errors=True)
    assert not left, f"left behind: {[words_of(p) for p in left]}"


@pytest.fixture
def scripted(fleet: Fleet) -> Fleet:
    """A fleet whose sessions are scripted."""
    fleet.edit("fleet.json", lambda c: c.update(defaults={"remote_control": False, "claude": {"command": SCRIPTED}}))
    return fleet


@pytest.fixture
def model() -> Iterator[ModelStandin]:
    with run_model() as running:
        yield running


@pytest.fixture
def real(fleet: Fleet, model: ModelStandin) -> Fleet:
    """A fleet whose sessions are the real `claude`, talking to the stand-in model."""
    key = fleet.root.parent / "key"
    key.write_text(KEY)
    fleet.edit(
        "fleet.json",
        lambda c: c.update(
            defaults={
                "remote_control": False,
                "claude": {
                    "command": str(TOOLS / ".bin" / "claude"),
                    "endpoint": {"mode": "custom", "url": model.url},
                },
                "env": {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1"},
                "credentials": {"model": {"from_file": str(key), "as_env": "ANTHROPIC_API_KEY"}},
            }
        ),
    )
    return fleet

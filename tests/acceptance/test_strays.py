"""What killed runners leave behind: found, ended, and nobody else's touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import SCRIPTED, Fleet
from tests.conftest import CHECKOUT, is_alive
from tests.standins.model import until

# Ignores what asks it to end, so that only who means it ends it.
STUBBORN = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
# A session that leaves something behind: forked twice, leading a session of its own, renamed, without environment.
HIDING_SESSION = """
import os, sys
if "--version" not in sys.argv:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        os.closerange(0, 100)
        os.execve("/bin/sleep", ["[kworker/1:1]", "61.5"], {})
    os.waitpid(child, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def spawn(env: dict[str, str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of a test, ended after it."""
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def make_fleet(root: Path, *agents: str) -> Fleet:
    root.mkdir(parents=True)
    fleet = Fleet(root)
    fleet.run("init")
    for agent in agents:
        fleet.run("new-agent", agent)
    return fleet


def session_of(fleet: Fleet, agent: str, session_id: str) -> None:
    """As a runner that was killed leaves it."""
    state = fleet.root / "agents" / agent / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "session.json").write_text(json.dumps({"version": 1, "session_id": session_id, "created": 1.0}))


def test_only_strays_of_this_fleet_are_ended(tmp_path: Path, spawned: list[subprocess.Popen[bytes]]) -> None:
    mine, other = make_fleet(tmp_path / "a" / "f", "one", "two"), make_fleet(tmp_path / "b" / "f", "one")
    session_of(mine, "one", "11111111-0000-0000-0000-000000000000")
    session_of(other, "one", "22222222-0000-0000-0000-000000000000")
    for env in (
        {"RELAYFLEET_SESSION": "11111111-0000-0000-0000-000000000000"},
        {"RELAYFLEET_SESSION": "22222222-0000-0000-0000-000000000000"},
        {"RELAYFLEET_ROOT": str(mine.root), "CLAUDE_CONFIG_DIR": str(mine.root / "agents/one/state/claude")},
    ):
        spawned.append(spawn({"PATH": os.environ["PATH"], **env}))
    stray, of_another_fleet, of_the_operator = spawned
    seen = mine.run("doctor", "--json", code=None)
    (finding,) = [f for f in json.loads(seen.stdout)["findings"] if "processes of its session are left" in f["what"]]
    assert (finding["subject"], finding["level"]) == ("one", "warning")
    assert str(stray.pid) in finding["what"]
    assert stray.poll() is None  # dry without --fix
    done = json.loads(mine.run("doctor", "--fix", "--json", code=None).stdout)
    assert [(m["subject"], m["error"]) for m in done["mended"]] == [("one", "")]
    assert f"ended process {stray.pid}: " in done["mended"][0]["what"]
    assert stray.wait(10) == -9
    assert of_another_fleet.poll() is None
    assert of_the_operator.poll() is None
    assert not json.loads(mine.run("doctor", "--fix", "--json", code=None).stdout)["mended"]


def test_a_running_agent_is_left_alone(scripted: Fleet) -> None:
    scripted.run("new-agent", "worker")
    scripted.run("start", "worker")
    before = {process.pid for process in scripted.processes()}
    assert "mended" not in scripted.run("doctor", "--fix", code=None).stdout
    assert {process.pid for process in scripted.processes() if is_alive(process)} == before
    assert scripted.status("worker")["state"] == "idle"


def test_what_a_killed_runner_left_is_ended(scripted: Fleet) -> None:
    """The session dies with its runner; what hid itself does not, and is found by its control group."""
    (scripted.root / "session.py").write_text(HIDING_SESSION)
    start = [sys.executable, str(scripted.root / "session.py"), *SCRIPTED]
    scripted.edit("fleet.json", lambda c: c["defaults"]["claude"].update(command=start))
    scripted.run("new-agent", "worker")
    scripted.run("start", "worker")
    (hidden,) = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["[kworker/1:1]", "61.5"]]
    runner = scripted.status("worker")["pid"]
    psutil.Process(runner).kill()
    psutil.wait_procs([psutil.Process(runner)] if psutil.pid_exists(runner) else [])
    assert is_alive(hidden)
    done = json.loads(scripted.run("doctor", "--fix", "--json", code=None).stdout)
    assert f"ended process {hidden.pid}: [kworker/1:1] 61.5" in [m["what"] for m in done["mended"]]
    assert all(not m["error"] for m in done["mended"])
    assert not is_alive(hidden)


def test_sockets_leftovers_and_modes_are_mended(scripted: Fleet) -> None:
    scripted.run("new-agent", "worker")
    scripted.run("start", "worker")
    psutil.Process(scripted.status("worker")["pid"]).kill()
    (scripted.root / "agents" / ".new-half").mkdir()
    (scripted.root / ".fleet.json.0a.tmp").write_text("half")
    (scripted.root / "fleet.json").chmod(0o666)
    (scripted.root / "agents" / "worker" / "state").chmod(0o755)
    scripted.run("doctor", "--fix", code=None)
    left = json.loads(scripted.run("doctor", "--json", code=None).stdout)["findings"]
    assert not [
        f for f in left if "owner is gone" in f["what"] or "cut short" in f["what"] or "others can" in f["what"]
    ]
    assert (scripted.root / "fleet.json").stat().st_mode & 0o777 == 0o644
    assert (scripted.root / "agents" / "worker" / "state").stat().st_mode & 0o777 == 0o700


def test_agents_may_not(fleet: Fleet) -> None:
    fleet.run("new-agent", "boss", "--role", "orchestrator")
    inside = {"RELAYFLEET_AGENT": "boss"}
    assert "doctor" in fleet.run("doctor", "--json", code=None, env=inside).args
    refused = fleet.run("doctor", "--fix", code=1, env=inside)
    assert "cannot run `fleet doctor --fix`: it is for the operator, not for agents" in refused.stderr
    for verb in ("install", "uninstall"):
        assert "it is for the operator" in fleet.run("service", verb, code=1, env=inside).stderr


STARTING_SESSION = """
import os, subprocess, sys
if "--version" not in sys.argv and os.environ.get("RELAYFLEET_AGENT") == "boss":
    fleet = [sys.executable, "-m", "relayfleet", "start", "worker", "--no-wait"]
    subprocess.run(fleet, env={**os.environ, "PYTHONPATH": sys.argv[1]}, stdout=subprocess.DEVNULL)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_an_agent_that_an_orchestrator_starts_outlives_it(scripted: Fleet) -> None:
    (scripted.root / "session.py").write_text(STARTING_SESSION)
    start = [sys.executable, str(scripted.root / "session.py"), str(CHECKOUT), *SCRIPTED]
    scripted.edit("fleet.json", lambda c: c["defaults"]["claude"].update(command=start))
    scripted.run("new-agent", "boss", "--role", "orchestrator")
    scripted.run("new-agent", "worker")
    scripted.run("start", "boss")
    until(lambda: scripted.status("worker")["state"] == "idle")
    before = scripted.status("worker")
    scripted.run("stop", "boss")
    assert scripted.status("boss")["state"] == "stopped"
    after = scripted.status("worker")
    assert (after["state"], after["pid"], after["session_id"]) == ("idle", before["pid"], before["session_id"])

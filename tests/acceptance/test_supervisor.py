"""`fleet up` and `fleet down` over scripted sessions: what is wanted comes back, what was stopped does not."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from relayfleet.model.supervision import Past
from relayfleet.store.intent import read_wish
from relayfleet.store.supervision import write_memory
from tests.acceptance.conftest import Fleet, words_of
from tests.standins.model import until


@pytest.fixture
def kept(scripted: Fleet) -> Iterator[Fleet]:
    """Two agents; at the end everything of the fleet is ended."""
    for name in ("one", "two"):
        scripted.run("new-agent", name, "--no-route")
    yield scripted
    scripted.run("down", code=None)


def states(fleet: Fleet) -> dict[str, str]:
    return {agent["name"]: agent["state"] for agent in fleet.json("status")["agents"]}


def pid_of(fleet: Fleet, name: str) -> int | None:
    seen = fleet.json("status")
    if name in ("supervisor", "router"):
        return seen[name]["pid"]
    return next(agent["pid"] for agent in seen["agents"] if agent["name"] == name)


def runners(fleet: Fleet, name: str) -> list[psutil.Process]:
    return [p for p in fleet.processes() if words_of(p)[3:6] == ["run", "agent", name]]


def log(fleet: Fleet, action: str) -> list[dict[str, Any]]:
    path = fleet.root / "state" / "supervisor.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["action"] == action]


def test_whatever_is_killed_comes_back_with_its_conversation(kept: Fleet, rng: random.Random) -> None:
    kept.run("start", "--all")
    kept.run("router", "start")
    before = {agent["name"]: agent["session_id"] for agent in kept.json("status")["agents"]}
    kept.run("up", "-d")

    def is_whole() -> bool:
        seen = kept.json("status")
        up = all(agent["state"] in ("idle", "busy") for agent in seen["agents"])
        return up and seen["router"]["state"] == "running" and seen["supervisor"]["state"] == "running"

    until(is_whole)
    told = []
    for victim in rng.sample(["supervisor", "one", "router", "two", "supervisor"], 5):
        told.append(kept.tell("one", f"[[sleep 0.3]] while {victim} dies"))
        pid = pid_of(kept, victim)
        assert pid is not None
        psutil.Process(pid).kill()
        if victim == "supervisor":
            until(lambda: kept.json("status")["supervisor"]["state"] == "failed")
            kept.run("up", "-d")
        elif victim != "router":
            kept.run("wait", victim, "--for", "idle", "--timeout", "60")  # it is down, but not for good
        until(is_whole, within_s=60)
        assert pid_of(kept, victim) != pid
    after = {agent["name"]: agent["session_id"] for agent in kept.json("status")["agents"]}
    assert after == before
    kept.wait_for("one", "handled", count=len(told))
    assert [len(runners(kept, name)) for name in ("one", "two")] == [1, 1]


def test_down_rests_the_fleet_and_up_brings_back_what_was_wanted(kept: Fleet) -> None:
    kept.run("new-agent", "three", "--no-route")
    kept.run("start", "--all")
    kept.run("up", "-d")
    kept.run("stop", "two")
    kept.run("down")
    assert kept.processes() == []
    seen = kept.json("status")
    assert seen["supervisor"] == {"state": "stopped", "pid": None, "down": True}
    assert [(a["state"], a["detail"], a["reason"]) for a in seen["agents"]] == [
        ("stopped", "the fleet is down", None),  # one
        ("stopped", "the fleet is down", None),  # three
        ("stopped", "", None),  # two
    ]
    kept.run("start", "three")  # works while the fleet is down, and without a supervisor
    assert states(kept) == {"one": "stopped", "two": "stopped", "three": "idle"}
    psutil.Process(pid_of(kept, "three") or 0).kill()
    until(lambda: states(kept)["three"] == "failed")
    assert kept.status("three")["reason"] == "killed"
    kept.run("up", "-d")
    until(lambda: states(kept) == {"one": "idle", "two": "stopped", "three": "idle"})


def test_in_the_foreground_it_tells_what_changes_and_ctrl_c_ends_it_alone(kept: Fleet, tmp_path: Path) -> None:
    kept.run("start", "one")
    with (tmp_path / "out").open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "relayfleet", "up"], env=kept.env, cwd=kept.root, stdout=out, stderr=out
        )
    said = tmp_path / "out"
    until(lambda: "one: up" in said.read_text())
    kept.run("start", "two")
    until(lambda: "two: up" in said.read_text())
    psutil.Process(pid_of(kept, "two") or 0).kill()
    until(lambda: "two: starting again, after killed" in said.read_text())
    until(lambda: states(kept)["two"] == "idle")
    done = kept.run("up", code=1)
    assert f"it runs already (pid {up.pid})" in done.stderr
    assert "(it was so already)" in kept.run("up", "-d").stdout
    up.send_signal(signal.SIGINT)
    assert up.wait(20) == 0
    assert "agents and router run on" in said.read_text()
    assert re.search(r"^\d\d:\d\d:\d\d  two: starting$", said.read_text(), re.M)
    assert states(kept) == {"one": "idle", "two": "idle"}
    assert kept.json("status")["supervisor"]["state"] == "stopped"


def test_its_changes_as_json_are_one_object_a_line(kept: Fleet) -> None:
    kept.run("start", "one")
    up = subprocess.Popen(
        [sys.executable, "-m", "relayfleet", "up", "--json"],
        env=kept.env,
        cwd=kept.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert up.stdout is not None
    first, second = (json.loads(up.stdout.readline()) for _ in range(2))
    up.stdout.close()  # nobody reads any more: that is no reason to leave the fleet alone
    assert [(line["name"], line["change"]) for line in (first, second)] == [("one", "adopted"), ("one", "up")]
    kept.run("start", "two")
    assert up.poll() is None
    up.send_signal(signal.SIGTERM)
    assert up.wait(20) == 0


def test_two_starts_and_a_supervisor_at_once_make_one_runner(kept: Fleet) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [("start", "one"), ("up", "-d"), ("start", "one", "two"), ("start", "--all")]
        done = list(pool.map(lambda words: kept.run(*words, code=None), calls))
    assert [d.returncode for d in done] == [0, 0, 0, 0], [d.stderr for d in done]
    assert states(kept) == {"one": "idle", "two": "idle"}
    until(lambda: [len(runners(kept, name)) for name in ("one", "two")] == [1, 1])
    assert [len([x for x in kept.log(n) if x["action"] == "session.started"]) for n in ("one", "two")] == [1, 1]
    kept.run("up", "-d")


def test_a_runner_that_is_not_wanted_any_more_ends_without_a_word(kept: Fleet) -> None:
    kept.run("start", "one")
    kept.run("stop", "one")
    lines = len(kept.log("one"))
    done = kept.run("run", "agent", "one", "--if-wanted")
    assert (done.stdout, done.stderr, len(kept.log("one"))) == ("", "", lines)
    assert not (kept.root / "agents" / "one" / "state" / "failure.json").exists()


def test_what_finds_no_room_waits_in_a_queue_that_is_shown(kept: Fleet) -> None:
    kept.edit("fleet.json", lambda c: c.update(limits={"max_agents": 1}))
    done = kept.run("start", "--all")
    assert "two: queued (it is the next; 1 agents run, and limits.max_agents is 1)" in done.stdout
    assert "no supervisor runs" in done.stderr
    two = kept.status("two")
    assert (two["state"], two["reason"]) == ("queued", None)
    assert "limits.max_agents is 1" in two["detail"]
    kept.run("up", "-d")
    until(lambda: len(log(kept, "supervisor.queued")) == 1)
    assert states(kept) == {"one": "idle", "two": "queued"}
    assert "two: queued" in kept.run("start", "two", "--no-wait").stdout
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(kept.run, "start", "two")
        time.sleep(0)
        kept.run("stop", "one")
        assert "two: idle" in waits.result().stdout
    assert states(kept) == {"one": "stopped", "two": "idle"}


def test_memory_that_is_to_stay_free_is_kept(kept: Fleet) -> None:
    kept.edit("fleet.json", lambda c: c.update(limits={"min_free_mb": 99_000_000}))
    done = kept.run("start", "one")
    assert "one: queued" in done.stdout
    assert "limits.min_free_mb is 99000000" in kept.status("one")["detail"]
    kept.run("up", "-d")
    until(lambda: len(log(kept, "supervisor.queued")) == 1)
    kept.edit("fleet.json", lambda c: c.update(limits={"min_free_mb": 1}))
    until(lambda: states(kept)["one"] == "idle")


def test_a_storm_is_held_until_somebody_asks(kept: Fleet) -> None:
    """Four of the starts that led to nothing were made by a supervisor before this one: its memory says so."""
    kept.edit(
        "agents/one/config.json",
        lambda c: c.update(claude={"command": ["/bin/sh", "-c", 'echo "2.1.328 (x)"; [ "$1" = --version ]', "x"]}),
    )
    kept.run("start", "one", code=1)
    wish = read_wish(kept.root / "agents" / "one" / "state" / "intent.json")
    past = Past(
        wish=wish.since,
        phase="down",
        starts=tuple(time.time() - n for n in range(4, 0, -1)),
        tries=5,
        reason="crashed_before_ready",
    )
    write_memory(kept.root / "state" / "supervisor.json", {"one": past})
    kept.run("up", "-d")
    until(lambda: kept.status("one")["reason"] == "storm", within_s=60)
    one = kept.status("one")
    assert (one["state"], one["next_try_s"]) == ("failed", None)
    assert "5 starts" in one["detail"]
    psutil.Process(pid_of(kept, "supervisor") or 0).kill()
    until(lambda: kept.json("status")["supervisor"]["state"] == "failed")
    assert kept.status("one")["reason"] == "storm"
    kept.run("up", "-d")
    launched = len(log(kept, "supervisor.launched"))
    kept.edit("agents/one/config.json", lambda c: c.pop("claude"))
    kept.run("start", "one")
    assert len(log(kept, "supervisor.launched")) == launched + 1
    assert kept.status("one")["state"] == "idle"


def test_a_configuration_that_is_corrected_needs_no_further_word(kept: Fleet) -> None:
    kept.run("start", "one")
    kept.edit("agents/one/config.json", lambda c: c.update(claud={}))
    psutil.Process(pid_of(kept, "one") or 0).kill()
    kept.run("up", "-d")
    until(lambda: kept.status("one")["reason"] == "bad_config")
    one = kept.status("one")
    assert one["state"] == "failed" and 0 < one["next_try_s"] <= 60
    assert "did you mean 'claude'" in one["detail"]


def test_status_goes_on_and_tells_each_change(kept: Fleet, tmp_path: Path) -> None:
    said, as_json = tmp_path / "said", tmp_path / "json"
    watchers = []
    for path, words in ((said, ["status", "-w"]), (as_json, ["status", "one", "--json", "--watch"])):
        with path.open("wb") as out:
            argv = [sys.executable, "-m", "relayfleet", *words]
            watchers.append(subprocess.Popen(argv, env=kept.env, cwd=kept.root, stdout=out))
    until(lambda: "two: stopped" in said.read_text() and as_json.read_text().count("\n") >= 3)
    kept.run("start", "one")
    until(lambda: re.search(r"^\d\d:\d\d:\d\d  one: \w+ -> idle", said.read_text(), re.M) is not None)
    until(lambda: '"state": "idle"' in as_json.read_text())
    for watcher in watchers:
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(20) == 130
    lines = [json.loads(line) for line in as_json.read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"supervisor", "router", "agent"}
    assert {line["name"] for line in lines if line["kind"] == "agent"} == {"one"}


@pytest.mark.parametrize(
    "text", [b"", b"\xff\x00", b"[]", b'{"version": 99}', b'{"version": 1, "daemons": {"one": 7}}']
)
def test_a_memory_that_cannot_be_read_stops_nobody(kept: Fleet, text: bytes) -> None:
    kept.run("start", "one")
    (kept.root / "state").mkdir(exist_ok=True)
    (kept.root / "state" / "supervisor.json").write_bytes(text)
    kept.run("up", "-d")
    until(lambda: log(kept, "supervisor.up") != [])
    assert (kept.root / "state" / "supervisor.json").stat().st_mode & 0o777 == 0o600

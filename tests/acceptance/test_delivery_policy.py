"""How entries are offered, given up, tried again and waited for, with the real `claude`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.model import ModelStandin, until

pytestmark = pytest.mark.needs("claude")


def _agent(fleet: Fleet, *, start: bool = True, **inbox: Any) -> None:
    def change(config: dict[str, Any]) -> None:
        # The CLI's own default, auto mode, asks a server of Anthropic's about each action; the stand-in has none.
        config["claude"] = {"permission_mode": "acceptEdits", "args": ["--allowedTools", "Bash"]}
        config["env"] = {"CLAUDE_CODE_MAX_RETRIES": "0"}
        config["inbox"] = inbox

    fleet.run("new-agent", "coder")
    fleet.edit("agents/coder/config.json", change)
    if start:
        fleet.run("start", "coder")


def _bash(command: str) -> str:
    return f"[[tool Bash {json.dumps({'command': command})}]]"


def _entry(fleet: Fleet, entry_id: str) -> dict[str, Any]:
    return next(entry for entry in fleet.entries("coder") if entry["id"] == entry_id)


def _history(entry: dict[str, Any]) -> list[str]:
    return [receipt["state"] for receipt in entry["history"]]


def test_a_busy_session_takes_an_entry_into_its_turn(real: Fleet, model: ModelStandin) -> None:
    _agent(real, mode="steer")
    first = real.tell("coder", f"{_bash('sleep 4')}{_bash('sleep 1')}[[say both]]")
    real.wait_for("coder", "seen")
    second = real.tell("coder", "and mind the gap")
    third = real.tell("coder", "and the step")
    real.wait_for("coder", "handled", count=3)
    assert {_entry(real, e)["attempts"] for e in (first, second, third)} == {1}
    assert _history(_entry(real, second)) == ["offered", "seen", "handled"]
    ends = {_entry(real, e)["history"][-1]["ts"] for e in (first, second)}
    assert len(ends) == 1, "the turn that took it in is the one that ended"
    assert _entry(real, second)["history"][1]["ts"] < _entry(real, first)["history"][-1]["ts"]
    assert model.has_seen(f"[FROM operator | message | id={second}]\nand mind the gap")


def test_what_comes_too_late_for_the_turn_has_one_of_its_own(real: Fleet) -> None:
    _agent(real, mode="steer")
    first = real.tell("coder", "[[sleep 3]] no tools")
    real.wait_for("coder", "seen")
    second = real.tell("coder", "late")
    real.wait_for("coder", "handled", count=2)
    assert _history(_entry(real, second)) == ["offered", "seen", "handled"]
    assert _entry(real, second)["history"][1]["ts"] >= _entry(real, first)["history"][-1]["ts"]


def test_what_waits_goes_as_one_turn(real: Fleet, model: ModelStandin) -> None:
    _agent(real, start=False, batch=3)
    told = [real.tell("coder", f"number {n}") for n in range(4)]
    real.run("start", "coder")
    real.wait_for("coder", "handled", count=4)
    ends = [_entry(real, e)["history"][-1]["ts"] for e in told]
    assert ends[0] == ends[1] == ends[2] < ends[3]
    assert {_entry(real, e)["attempts"] for e in told} == {1}
    together = "\n\n".join(
        f"[FROM operator | message | id={e} batch={n + 1}/3]\nnumber {n}" for n, e in enumerate(told[:3])
    )
    assert model.has_seen(together)


def test_a_dead_letter_is_shown_and_tried_again_and_dropped(real: Fleet, model: ModelStandin) -> None:
    _agent(real, start=False)
    one, two = (real.tell("coder", "--ttl=0.1", text) for text in ("one", "two"))
    real.run("start", "coder")
    real.wait_for("coder", "dead", count=2)
    assert _entry(real, one)["history"][-1]["detail"] == "expired"
    assert "2 dead" in real.run("status").stdout
    assert not model.has_seen("id=" + one)
    refused = real.run("inbox", "retry", "coder", one, "0000", code=1)
    assert "cannot retry entry '0000': it is not in the inbox of 'coder'" in refused.stderr
    assert real.states("coder") == ["dead", "dead"], "all of them, or none"
    assert "its runner knows" in real.run("inbox", "retry", "coder", one).stderr
    real.run("inbox", "drop", "coder", two)
    real.wait_for("coder", "handled")
    assert model.has_seen(f"id={one} repeat=retried]")
    assert _history(_entry(real, one)) == ["dead", "queued", "offered", "seen", "handled"]
    assert real.states("coder") == ["handled", "dropped"]
    assert "cannot retry entry" in real.run("inbox", "retry", "coder", one, code=1).stderr
    real.run("stop", "coder")
    assert "does not run" in real.run("inbox", "retry", "coder", two).stderr
    real.run("start", "coder")
    real.wait_for("coder", "handled", count=2)


def test_tell_returns_with_the_last_words(real: Fleet) -> None:
    _agent(real)
    done = real.run("tell", "--wait=handled", "--timeout", "60", "coder", "[[say it is 42]]")
    assert done.stdout == "it is 42\n"
    seen = real.run("tell", "--wait", "coder", "--json", "[[sleep 2]]")
    (entry,) = json.loads(seen.stdout)["entries"]
    assert entry["state"] == "seen"
    assert real.run("wait", "coder", "--for", "handled", entry["id"]).stdout == "done\n"
    assert real.run("wait", "coder", "--timeout", "20").stdout == ""
    failed = real.run("tell", "--wait=handled", "coder", "[[http 400]]", code=1)
    assert "it is failed: the model refused" in failed.stderr


def test_tell_waits_for_an_agent_that_is_stopped(real: Fleet) -> None:
    _agent(real, start=False)
    late = real.run("tell", "coder", "--wait", "--timeout=0.2", "hello", code=1)
    assert "coder does not run: it waits in its inbox" in late.stderr
    assert "queued for coder as" in late.stderr and "not in time; it is queued" in late.stderr
    (entry,) = real.entries("coder")
    waited = real.run("wait", "coder", "--for=handled", str(entry["id"]), "--timeout=0.2", code=1)
    assert "coder does not run: it waits in its inbox" in waited.stderr
    waiting = subprocess.Popen(
        [sys.executable, "-m", "relayfleet", "tell", "--wait=handled", "coder", "[[say here I am]]"],
        env=real.env,
        cwd=real.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(real.entries("coder")) == 2)
    real.run("start", "coder")
    words, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, words) == (0, "here I am\n")
    real.run("wait", "coder", "--for", "stopped", "--timeout", "0.3", code=1)
    real.run("stop", "coder")
    assert "coder is not idle: it is stopped" in real.run("wait", "coder", code=1).stderr
    real.run("wait", "coder", "--for", "stopped")
    assert "it is not in the inbox of 'coder'" in real.run("wait", "coder", "--for=seen", "0000", code=1).stderr


def test_a_model_that_is_not_available_is_tried_again(real: Fleet, model: ModelStandin) -> None:
    _agent(real)
    model.fault = 529
    entry = real.tell("coder", "[[say at last]]")
    until(lambda: "queued" in _history(_entry(real, entry)), within_s=30)
    model.fault = None
    assert real.run("wait", "coder", "--for=handled", entry, "--timeout=60").stdout == "at last\n"
    assert _history(_entry(real, entry)) == ["offered", "seen", "queued", "offered", "seen", "handled"]
    assert model.has_seen(f"id={entry} attempt=2 repeat=model-failed]")


def test_a_canary_tells_where_delivery_fails(real: Fleet) -> None:
    _agent(real)
    good = real.run("doctor", "--canary")
    assert good.stdout.startswith("ok       coder: written ")
    (flight,) = real.json("doctor", "--canary", "coder")["canaries"]
    assert list(flight["after_s"]) == ["written", "offered", "seen", "handled"]
    real.tell("coder", "[[sleep 30]]")
    real.wait_for("coder", "seen")
    bad = real.run("doctor", "--canary", "--timeout", "1", code=1)
    assert "broken   coder: not offered (not in time: it is queued)" in bad.stdout
    assert real.states("coder")[-1] == "dropped"
    inside = {"RELAYFLEET_AGENT": "coder", "RELAYFLEET_ROOT": str(real.root)}
    assert real.run("doctor", "--canary", code=1, env=inside).returncode == 1
    psutil.Process(real.status("coder")["pid"]).kill()
    until(lambda: real.status("coder")["state"] == "failed")
    gone = real.run("doctor", "--canary", "coder", code=1)
    assert "broken   coder: it is failed, so nothing reaches it" in gone.stdout
    real.run("stop", "coder", code=None)

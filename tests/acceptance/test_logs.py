"""`fleet logs`: the ends of logs in words, and what is added to them."""

from __future__ import annotations

import subprocess
import sys

from tests.acceptance.conftest import Fleet
from tests.standins.model import until


def test_the_session_log_is_plain_words(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    assert "there is none yet" in scripted.run("logs", "coder", code=1).stderr
    scripted.run("start", "coder")
    scripted.tell("coder", '[[tool tell {"agent": "coder", "message": "x"}]]')
    scripted.wait_for("coder", "handled", count=2)
    shown = scripted.run("logs", "coder").stdout
    assert "scripted session" in shown
    assert "tool tell" in shown
    assert "\x1b" not in shown
    assert len(scripted.run("logs", "coder", "-n", "1").stdout.splitlines()) == 1


def test_of_a_daemon_that_never_ran_it_says_how_to_start_it(scripted: Fleet) -> None:
    assert "`fleet up`" in scripted.run("logs", "supervisor", code=1).stderr
    assert "`fleet router start`" in scripted.run("logs", "router", code=1).stderr


def test_the_runners_log_tells_every_receipt(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    scripted.run("start", "coder")
    entry_id = scripted.tell("coder", "hello")
    scripted.wait_for("coder", "handled")
    shown = scripted.run("logs", "coder", "--runner").stdout
    for action in ("session.started", "session.ready", "entry.offered", "entry.seen", "entry.handled"):
        assert action in shown
    assert entry_id in shown


def test_follow_prints_what_is_added(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    scripted.run("start", "coder")
    argv = [sys.executable, "-m", "relayfleet", "logs", "coder", "--runner", "-f"]
    shown = scripted.root / "shown.txt"
    with shown.open("wb") as file, subprocess.Popen(argv, env=scripted.env, stdout=file) as follower:
        try:
            until(lambda: "session.ready" in shown.read_text())
            entry_id = scripted.tell("coder", "hello")
            until(lambda: any("entry.handled" in line and entry_id in line for line in shown.read_text().splitlines()))
        finally:
            follower.terminate()

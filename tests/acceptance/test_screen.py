"""`fleet screen` and `fleet logs --transcript`: what was shown and what was said, also of what runs no more."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.model import until


@pytest.fixture
def coder(scripted: Fleet) -> Fleet:
    scripted.run("new-agent", "coder")
    return scripted


def shown(data: bytes, times: int = 1) -> str:
    return f"[[print {times} {base64.b64encode(data).decode()}]]"


def test_the_screen_is_printed_live_and_when_it_runs_no_more(coder: Fleet) -> None:
    assert "it never ran" in coder.run("screen", "coder", code=1).stderr
    coder.run("start", "coder")
    coder.tell("coder", shown(b"\x1b]0;owned\x07\x1b[2J\x1b[3;5H\x1b[31mred\x1b[0m \xe6\xbc\xa2\x1b[10;1H\x1b[?25l"))
    coder.wait_for("coder", "handled")
    until(lambda: "red" in coder.run("screen", "coder").stdout)
    live = coder.json("screen", "coder")
    assert (live["live"], live["age_s"], live["rows"], live["columns"]) == (True, None, 50, 160)
    assert live["lines"][2] == "    red 漢"
    assert live["cursor"] == {"row": 9, "column": 0, "visible": False}
    assert coder.run("screen", "coder").stdout == "\n\n    red 漢\n"
    assert coder.run("screen", "coder", "--ansi").stdout == "\n\n    \x1b[0;38;5;1mred\x1b[0m 漢\n"
    coder.run("stop", "coder")
    stopped = coder.run("screen", "coder")
    assert "is not running; this is the end of its log" in stopped.stderr
    assert "red 漢" in stopped.stdout
    assert coder.json("screen", "coder")["live"] is False


def test_a_screen_that_began_long_ago_is_still_whole(coder: Fleet) -> None:
    coder.run("start", "coder")
    busy = b"\x1b[20;1Hspinning " + b"x" * 200
    coder.tell("coder", shown(b"\x1b[2J\x1b[1;1Hthe first line") + shown(busy, times=5000))
    coder.wait_for("coder", "handled")
    until(lambda: coder.json("screen", "coder")["lines"][19].startswith("spinning"))
    assert coder.json("screen", "coder")["lines"][0] == "the first line"


def test_a_transcript_is_told_in_words_and_followed(coder: Fleet) -> None:
    assert "no conversation yet" in coder.run("logs", "coder", "--transcript", code=1).stderr
    coder.run("start", "coder")
    first = coder.tell("coder", "hello")
    coder.wait_for("coder", "handled")
    assert f"turn of {first}" in coder.run("logs", "coder", "--transcript").stdout
    raw = coder.run("logs", "coder", "--transcript", "--json").stdout.splitlines()
    assert json.loads(raw[0])["type"] == "user"
    (path,) = (coder.root / "agents/coder/state/claude/projects").glob("*/*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"torn\n')
    assert "(a line that cannot be read)" in coder.run("logs", "coder", "--transcript").stdout
    argv = [sys.executable, "-m", "relayfleet", "logs", "coder", "--transcript", "-f"]
    followed = coder.root / "followed.txt"
    with followed.open("wb") as file, subprocess.Popen(argv, env=coder.env, stdout=file) as follower:
        try:
            until(lambda: first in followed.read_text())
            second = coder.tell("coder", "again")
            until(lambda: f"turn of {second}" in followed.read_text())
        finally:
            follower.terminate()


def test_a_former_conversation_is_found_by_its_id(coder: Fleet) -> None:
    coder.run("start", "coder")
    first = coder.tell("coder", "hello")
    coder.wait_for("coder", "handled")
    before = coder.status("coder")["session_id"]
    coder.run("restart", "coder", "--fresh")
    second = coder.tell("coder", "anew")
    coder.wait_for("coder", "handled", count=2)
    assert coder.status("coder")["session_id"] != before
    now = coder.run("logs", "coder", "--transcript").stdout
    assert second in now and first not in now
    assert first in coder.run("logs", "coder", "--transcript", "--session", before[:8]).stdout
    unknown = coder.run("logs", "coder", "--transcript", "--session", "0000", code=1).stderr
    assert "has no transcript" in unknown and before in unknown
    assert "is no id" in coder.run("logs", "coder", "--transcript", "--session", "../*", code=2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--session", "x"), "--session is for --transcript"),
        (("--json",), "--json is for --transcript"),
        (("--runner", "--transcript"), "either"),
        (("-n", "-1"), "no number of lines"),
    ],
)
def test_what_does_not_go_together_is_refused(coder: Fleet, words: tuple[str, ...], said: str) -> None:
    assert said in coder.run("logs", "coder", *words, code=2).stderr

"""`fleet attach` and `fleet screen` on the real `claude`: what a person sees, and what becomes of a draft."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Fleet
from tests.acceptance.tmux import Window, windows
from tests.standins.model import ModelStandin, until

pytestmark = pytest.mark.needs("claude", "tmux")


@pytest.fixture
def coder(real: Fleet) -> Fleet:
    real.run("new-agent", "coder")
    real.run("start", "coder")
    return real


@pytest.fixture
def window(coder: Fleet, tmp_path: Path) -> Iterator[list[Window]]:
    with windows(tmp_path, coder.env) as made:
        yield made


def test_a_draft_survives_holds_deliveries_and_is_never_sent(
    coder: Fleet, model: ModelStandin, window: list[Window]
) -> None:
    window[0].attach("--drive")
    window[0].until("you type")
    window[0].until("❯")
    window[0].write("half a draft")
    window[0].until("❯ half a draft")
    coder.tell("coder", "[[say not yet]]")
    assert coder.states("coder") == ["queued"]
    window[0].type("C-]")
    window[0].until("exit 0")
    until(lambda: "held: a draft in the terminal (since " in coder.status("coder")["detail"])
    assert coder.states("coder") == ["queued"]
    assert "❯ half a draft" in coder.run("screen", "coder").stdout

    # It is still there for the next one, who sends it: then what waited goes.
    window[1].attach("--drive", rows=24, columns=80)
    window[1].until("❯ half a draft")
    window[1].write(" [[say sent by hand]]")
    window[1].type("Enter")
    window[1].until("● sent by hand")
    window[1].write("another one")
    window[1].until("❯ another one")
    window[1].type("C-]")
    window[1].until("exit 0")
    until(lambda: "held: a draft" in coder.status("coder")["detail"])
    assert coder.states("coder") == ["queued"]
    assert coder.json("interrupt", "coder", "--clear")["cleared"] is True
    coder.wait_for("coder", "handled")
    assert model.has_seen("half a draft [[say sent by hand]]")
    assert not model.has_seen("another one")
    assert "not yet" in coder.run("screen", "coder").stdout


def test_an_empty_composer_holds_nothing_and_pasted_lines_are_one_draft(coder: Fleet, window: list[Window]) -> None:
    window[0].attach("--drive")
    window[0].until("you type")
    window[0].until("❯")
    window[0].write("\x1b[200~one\ntwo\x1b[201~")
    window[0].until("two")
    window[0].type("C-]")
    window[0].until("exit 0")
    until(lambda: "held: a draft" in coder.status("coder")["detail"])
    coder.run("interrupt", "coder", "--clear")
    window[1].attach("--drive")
    window[1].until("you type")
    window[1].type("x")
    until(lambda: re.search("❯.x", window[1].shows()))
    window[1].type("BSpace")
    until(lambda: not re.search("❯.x", window[1].shows()))
    window[1].type("C-]")
    window[1].until("exit 0")
    until(lambda: coder.status("coder")["detail"] == "")
    coder.tell("coder", "hello")
    coder.wait_for("coder", "handled")


def test_the_picture_is_right_for_wide_signs_at_any_size_of_the_window(coder: Fleet, window: list[Window]) -> None:
    window[0].attach(rows=30, columns=100)
    coder.tell("coder", "[[say wide 漢字 and 😀 and ❤️ and é| end]]")
    window[0].until("● wide 漢字 and 😀 and ❤")
    assert "| end" in window[0].shows()
    assert "● wide 漢字 and 😀 and ❤" in coder.run("screen", "coder").stdout
    styled = coder.run("screen", "coder", "--ansi").stdout
    assert "\x1b[0;" in styled and "\x1b[?" not in styled
    window[0].resize(20, 60)
    window[0].until("coder | view only")


def test_a_turn_is_interrupted_while_it_works_and_while_it_asks(real: Fleet) -> None:
    coder = real
    coder.edit("fleet.json", lambda c: c["defaults"]["claude"].update(permission_mode="default"))
    coder.run("new-agent", "coder")
    coder.run("start", "coder")
    coder.tell("coder", "[[sleep 60]]")
    coder.wait_for("coder", "seen")
    until(lambda: coder.status("coder")["state"] == "busy")
    assert coder.json("interrupt", "coder") == {"version": 1, "agent": "coder", "interrupted": True}
    (entry,) = coder.wait_for("coder", "failed")
    assert entry["history"][-1]["detail"] == "interrupted"
    coder.tell("coder", '[[tool Bash {"command": "touch x"}]]')
    until(lambda: coder.status("coder")["state"] == "waiting")
    assert "its session asks something" in coder.run("interrupt", "coder", "--clear", code=1).stderr
    coder.run("interrupt", "coder")
    until(lambda: coder.states("coder") == ["failed", "failed"])
    assert coder.entries("coder")[1]["history"][-1]["detail"] == "interrupted"
    assert "no turn is under way" in coder.run("interrupt", "coder", code=1).stderr
    coder.run("stop", "coder")
    assert "it is not running" in coder.run("interrupt", "coder", code=1).stderr
    stopped = coder.run("screen", "coder")
    assert "is not running; this is the end of its log" in stopped.stderr

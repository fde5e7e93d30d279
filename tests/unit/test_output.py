"""What is printed is shown and never obeyed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.cli.output import emit, emit_json, safe, say, table
from relayfleet.harness.screen import SessionLog, plain


@given(st.text())
def test_no_control_survives_but_newline_and_tab(text: str) -> None:
    shown = safe(text)
    assert len(shown) == len(text)
    assert not [c for c in shown if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def test_data_goes_to_stdout_and_talk_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    emit("data\x1b[2J")
    say("talk\x07")
    assert capsys.readouterr() == ("data\ufffd[2J\n", "talk\ufffd\n")


def test_a_table_has_one_line_for_each_row_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    table(("A", "LONGER"), [("1\n2", "\x1b[31mred"), ("x" * 300, None)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].split() == ["A", "LONGER"]
    assert lines[1].startswith("1 2 ")
    assert "x" * 300 in lines[2], "nothing is cut off"


@given(st.text())
def test_json_is_ascii_and_comes_back(text: str) -> None:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        emit_json({"text": text})
    assert out.getvalue().isascii()
    assert json.loads(out.getvalue()) == {"text": text}


# ---- what a session's screen says, as words


@given(st.text(alphabet=st.sampled_from(list("\x1b[]()#;?0123456789mHJKABPX^_\\\x07\x9b\r\n abc")), max_size=80))
def test_no_escape_sequence_survives(text: str) -> None:
    assert not [c for c in plain(text) if ord(c) < 32 and c != "\n"]


def test_a_screen_becomes_lines() -> None:
    screen = "\x1b]0;title\x07\x1b[2J\x1b[1;1HWelcome\x1b[K\x1b[3;5H\x1b[1mDo you trust\x1b[0m it?\r\n\x1b[?25l> 1. Yes"
    assert plain(screen) == "Welcome\nDo you trust it?\n> 1. Yes"


def test_the_log_of_a_session_is_capped_and_keeps_the_end_at_hand(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from relayfleet.harness import screen

    log = SessionLog(tmp_path / "session.log")
    chunk = b"x" * (1 << 20)
    for _ in range(screen.MAX_BYTES // len(chunk) + 1):
        log.write(chunk)
    log.write("the end é".encode()[:-1])
    assert log.tail().endswith("the end \ufffd")
    assert (tmp_path / "session.log").stat().st_size <= screen.MAX_BYTES
    assert (tmp_path / "session.log.1").stat().st_size <= screen.MAX_BYTES
    assert (tmp_path / "session.log").stat().st_mode & 0o077 == 0

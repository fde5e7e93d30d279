"""A transcript in words."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from relayfleet.harness.transcript_view import render

AT = "2026-11-21T15:02:38.123Z"
LOCAL = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1795273358))
FRAME = "[FROM operator | id=0123456789abcdef trust=full]"


def shown(kind: str, content: Any, **fields: Any) -> list[str]:
    return render(json.dumps({"type": kind, "timestamp": AT, "message": {"content": content}, **fields}).encode())


def test_a_turn_says_its_entry_and_local_time() -> None:
    assert shown("user", f"{FRAME}\n> hello") == [
        "",
        f"=== {LOCAL} turn of 0123456789abcdef",
        f"    {FRAME}",
        "    > hello",
    ]
    assert shown("user", [{"type": "text", "text": "<system-reminder>x</system-reminder>by hand"}])[1:] == [
        f"=== {LOCAL} turn",
        "    by hand",
    ]


def test_what_is_said_called_and_answered() -> None:
    assert shown("assistant", [{"type": "text", "text": "done"}]) == [f"{LOCAL} said", "    done"]
    call = {"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}
    assert shown("assistant", [call]) == [f"{LOCAL} called Bash", '    {"command": "ls"}']
    result = {"type": "tool_result", "content": [{"type": "text", "text": "a\nb"}, {"type": "image"}]}
    assert shown("user", [result]) == [f"{LOCAL} tool answered", "    a", "    b", "    (image)"]
    assert shown("user", [{**result, "content": "no", "is_error": True}]) == [f"{LOCAL} tool failed", "    no"]
    assert shown("assistant", [{"type": "text", "text": "x"}], isSidechain=True)[0] == f"{LOCAL} (subagent) said"


def test_long_things_are_bounded_and_escapes_are_gone() -> None:
    lines = shown("user", [{"type": "tool_result", "content": "\x1b]0;owned\x07" + "y" * 5000}])
    assert lines[-1].endswith("more characters") and sum(map(len, lines)) < 2000
    assert not any("\x1b" in line or "owned" in line for line in lines)
    assert "\x1b" not in "".join(shown("assistant", [{"type": "tool_use", "name": "\x1b[2Jx", "input": {}}]))


@pytest.mark.parametrize(
    "line",
    [b"{torn", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"type": "user", "message": {"content": 7}}'],
    ids=["torn", "list", "number", "bytes", "deep", "content"],
)
def test_what_cannot_be_read_is_marked(line: bytes) -> None:
    (mark,) = render(line)
    assert mark.startswith("(a ")


@pytest.mark.parametrize("record", [{"type": "mode"}, {"type": "user", "isMeta": True}, {"type": "attachment"}])
def test_what_is_about_the_session_alone_is_left_out(record: dict[str, Any]) -> None:
    assert render(json.dumps(record).encode()) == []
    assert render(b"") == []


def test_times_and_blocks_of_any_kind_are_survived() -> None:
    for at in (None, 7, "never", "9999-99-99T00:00:00Z"):
        line = json.dumps(
            {"type": "assistant", "timestamp": at, "message": {"content": [{"type": "text", "text": "x"}, 7]}}
        )
        assert render(line.encode()) == ["-" * 19 + " said", "    x"]
    assert shown("assistant", [{"type": {"a": 1}}]) != []

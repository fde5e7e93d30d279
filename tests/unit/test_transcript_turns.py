"""What a transcript tells of its last turn, in lines as Claude Code 2.1.328 writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayfleet.harness.transcript import TranscriptTail, cut_off, cut_turn
from relayfleet.ports.session import Cut, TurnProgress

AT = "2026-11-21T14:43:30.500Z"


def line(kind: str, message: object = None, **more: object) -> bytes:
    record = {"isSidechain": False, "type": kind, "timestamp": AT, **more}
    return json.dumps(record | ({"message": message} if message else {}), separators=(",", ":")).encode() + b"\n"


def prompt(text: str, id: str = "p1", **more: object) -> bytes:
    return line("user", {"role": "user", "content": text}, promptId=id, **more)


def answer(stop_reason: str | None, *blocks: dict[str, Any], **more: object) -> bytes:
    return line("assistant", {"role": "assistant", "content": list(blocks), "stop_reason": stop_reason}, **more)


def asked(**more: object) -> bytes:
    record = {"type": "api-request", "timestamp": AT, "querySource": "repl_main_thread", **more}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


USE = answer("tool_use", {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}})
RESULT = line("user", {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]})
TEXT = answer("end_turn", {"type": "text", "text": "done"})
OVER = line("system", subtype="turn_duration")
INTERRUPTED = line("user", {"role": "user", "content": [{"type": "text", "text": "[Request interrupted by user]"}]})
REFUSED = answer("stop_sequence", {"type": "text", "text": "API Error"}, isApiErrorMessage=True)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [prompt("hi"), TEXT],
        [prompt("hi"), USE, RESULT, TEXT, OVER],
        [prompt("hi"), INTERRUPTED],
        [prompt("hi"), USE, INTERRUPTED],
        [prompt("hi"), REFUSED],
        [prompt("<command-name>/clear</command-name>")],
        [prompt("Caveat: the messages below", isMeta=True)],
        [prompt("of a subagent", isSidechain=True)],
        [asked(), b"\xff\n", b"[]\n", b'{"type":"user","message":null}\n', b'{"type":"user","message":{"role"'],
    ],
)
def test_a_turn_that_came_to_its_end_is_not_cut_off(lines: list[bytes]) -> None:
    assert cut_turn(lines) is None


@pytest.mark.parametrize(
    "lines",
    [
        [prompt("hi")],
        [prompt("hi"), asked(), asked()],
        [prompt("hi"), USE],
        [prompt("hi"), USE, RESULT],
        [prompt("before", id="p0"), TEXT, OVER, prompt("hi"), answer(None, {"type": "text", "text": "I am"})],
        [prompt("hi"), USE, b'{"type":"assistant","mess'],
        [prompt("hi"), prompt("of a subagent", isSidechain=True), USE],
        [prompt("hi"), prompt("<local-command-stdout>x", id="p2")],
    ],
)
def test_a_turn_that_was_cut_off_is_told_with_its_prompt(lines: list[bytes]) -> None:
    assert cut_turn(lines) == Cut(id="p1", prompt="hi")


def test_the_prompt_of_a_long_turn_is_looked_for_further_up(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(prompt("hi") + USE + asked(params="x" * 600_000) + RESULT)
    assert cut_off(path) == Cut(id="p1", prompt="hi")
    path.write_bytes(path.read_bytes() + TEXT)
    assert cut_off(path) is None


# ---- while it grows


def told(tail: TranscriptTail, path: Path) -> TurnProgress:
    progress = tail.read(path)
    assert progress is not None
    return progress


def test_requests_without_an_answer_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(asked() * 5)
    tail = TranscriptTail(path)
    assert told(tail, path) == TurnProgress()
    first = path.stat().st_mtime
    with path.open("ab") as file:
        for added, count in ((prompt("hi"), 0), (asked(), 1), (asked() * 2, 3), (asked(agentId="a"), 3), (TEXT, 0)):
            file.write(added)
            file.flush()
            progress = told(tail, path)
            assert progress.asked == count
            assert not count or first <= progress.asked_since <= progress.at
            assert progress.at == path.stat().st_mtime


def test_the_tool_that_runs_the_longest_is_told(tmp_path: Path) -> None:
    path, tail = tmp_path / "x.jsonl", TranscriptTail(None)
    assert tail.read(None) is None
    path.write_bytes(prompt("hi") + USE[:40])
    assert told(tail, path).tool == ""
    path.write_bytes(prompt("hi") + USE)
    assert (told(tail, path).tool, told(tail, path).tool_since) == ("Bash", path.stat().st_mtime)
    path.write_bytes(prompt("hi") + USE + RESULT)
    assert told(tail, path).tool == ""
    path.write_bytes(prompt("hi") + USE + RESULT + USE + prompt("next", id="p2"))
    assert told(tail, path).tool == "", "what was cut off runs no more"


def test_a_transcript_that_goes_away_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    tail = TranscriptTail(path)
    assert told(tail, path) == TurnProgress()

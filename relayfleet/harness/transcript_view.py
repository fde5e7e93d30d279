"""Claude Code's transcript in words: turns and the entries that they are of, what was said, tool calls and results."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from relayfleet.harness.screen import plain
from relayfleet.model.turn import ids_in_frames

_MOST_INPUT, _MOST_RESULT, _MOST_TEXT = 600, 1200, 20_000
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.S)
_INDENT = "    "


def render(line: bytes) -> list[str]:
    """One line of the transcript as lines to be read; none for what is about the session alone. A line that cannot be
    read is marked."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return ["(a line that cannot be read)"] if line.strip() else []
    if not isinstance(record, dict):
        return ["(a line that is no record)"]
    kind, message = record.get("type"), record.get("message")
    if kind == "system":
        return _system(record)
    if kind not in ("user", "assistant") or record.get("isMeta") is True:
        return []
    # The scripted session has the bare text there.
    content = message.get("content") if isinstance(message, Mapping) else message
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        return ["(a message that cannot be read)"]
    within = "(subagent) " if record.get("isSidechain") is True else ""
    shown: list[str] = []
    for block in blocks:
        if isinstance(block, Mapping):
            shown += _block(block, said_by=kind, at=_local(record.get("timestamp")), within=within)
    return shown


def render_all(lines: Iterable[bytes]) -> Iterator[str]:
    for line in lines:
        yield from render(line)


def _block(block: Mapping[str, Any], *, said_by: str, at: str, within: str) -> list[str]:
    match block.get("type"):
        case "text" if said_by == "user":
            text = _REMINDER.sub("", str(block.get("text", ""))).strip()
            if not text:
                return []
            entries = " ".join(ids_in_frames(text))
            head = f"=== {at} {within}turn" + (f" of {entries}" if entries else "")
            return ["", head, *_indented(text, _MOST_TEXT)]
        case "text":
            text = str(block.get("text", ""))
            return [f"{at} {within}said", *_indented(text, _MOST_TEXT)] if text.strip() else []
        case "thinking":
            text = str(block.get("thinking", ""))
            return [f"{at} {within}thought", *_indented(text, _MOST_RESULT)] if text.strip() else []
        case "tool_use":
            given = json.dumps(block.get("input"), ensure_ascii=False)
            return [f"{at} {within}called {_word(block.get('name'))}", *_indented(given, _MOST_INPUT)]
        case "tool_result":
            how = "failed" if block.get("is_error") is True else "answered"
            return [f"{at} {within}tool {how}", *_indented(_result(block.get("content")), _MOST_RESULT)]
        case other:
            return [f"{at} {within}({_word(other)})"]


def _system(record: Mapping[str, Any]) -> list[str]:
    """Only what went wrong, or was told to the person."""
    words = record.get("content")
    if record.get("subtype") == "api_error":
        words = words or json.dumps(record.get("error"), ensure_ascii=False)
        return [f"{_local(record.get('timestamp'))} the model's endpoint refused", *_indented(str(words), _MOST_INPUT)]
    if isinstance(words, str) and words.strip():
        return [f"{_local(record.get('timestamp'))} note", *_indented(words, _MOST_INPUT)]
    return []


def _result(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return json.dumps(content, ensure_ascii=False)
    parts = [block if isinstance(block, Mapping) else {} for block in content]
    return "\n".join(str(part["text"]) if "text" in part else f"({_word(part.get('type'))})" for part in parts)


def _indented(text: str, most: int) -> list[str]:
    left_out = len(text) - most
    lines = [_INDENT + line for line in plain(text[:most]).split("\n")]
    return [*lines, f"{_INDENT}... {left_out} more characters"] if left_out > 0 else lines


def _word(given: object) -> str:
    return plain(str(given)).replace("\n", " ")[:80] or "?"


def _local(at: object) -> str:
    """An ISO time as local time; blank when there is none."""
    try:
        moment = datetime.fromisoformat(str(at).replace("Z", "+00:00")).timestamp()
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    except (ValueError, OverflowError, OSError):
        return "-" * 19

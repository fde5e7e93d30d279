"""A headless session's words as lines for a person, in place of a terminal's screen. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from relayfleet.model.turn import clean
from relayfleet.wire.stream_json import CLOSING, Asked, Concluded, Message, Retrying, Said

_MOST = 4_000
_MOST_OF_A_RESULT = 600


def readable(said: Said) -> str:
    """Lines that end with a carriage return and a line feed, "" where there is nothing to show."""
    return "".join(f"{line}\r\n" for line in _lines(said))


def _lines(said: Said) -> Iterable[str]:
    match said:
        case Message(speaker, blocks):
            for block in blocks:
                yield from _block(speaker, block)
        case Concluded(words, True, fault, _):
            yield f"! the turn failed: {_one_line(words or fault)}"
        case Concluded():
            yield ""
        case Asked(_, tool, given, _):
            yield f"? may it use {_one_line(tool)}: {_one_line(_as_json(given))}"
        case Retrying(attempt, status, error):
            yield f"! the model's endpoint refuses ({status or _one_line(error)}), attempt {attempt}"


def _block(speaker: str, block: Mapping[str, Any]) -> Iterable[str]:
    match block.get("type"):
        case "text":
            text = str(block.get("text", ""))
            if text != CLOSING:
                mark = ">" if speaker == "user" else "*"
                yield from (f"{mark if first else ' '} {line}" for first, line in _numbered(_cut(text, _MOST)))
        case "tool_use":
            yield f"* {_one_line(block.get('name'))} {_one_line(_as_json(block.get('input')))}"
        case "tool_result":
            text = _text_of(block.get("content"))
            mark = "!" if block.get("is_error") else "="
            yield from (
                f"  {mark if first else ' '} {line}" for first, line in _numbered(_cut(text, _MOST_OF_A_RESULT))
            )


def _numbered(text: str) -> Iterable[tuple[bool, str]]:
    return ((number == 0, line) for number, line in enumerate(text.split("\n")))


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(str(block.get("text", block.get("type", ""))) for block in blocks if isinstance(block, dict))


def _cut(text: str, most: int) -> str:
    shown = clean(text).rstrip()
    return shown if len(shown) <= most else f"{shown[:most]} ... ({len(shown)} characters)"


def _one_line(value: object) -> str:
    return " ".join(_cut(str(value), _MOST_OF_A_RESULT).split())


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

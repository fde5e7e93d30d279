"""What the transcript of a session tells: whether there is a conversation to resume, where it was cut off, and what the
turn under way waits for.

Observed of 2.1.328: a session that is killed early in its first turn leaves a transcript with nothing but lines about
the session (`mode`, `permission-mode`, `queue-operation`, `file-history-snapshot` ...). `--resume` then finds no
conversation; it wants one message that is not a subagent's, whole and with its time. `--session-id` refuses the id as
long as a transcript of it is there, even an empty one. Lines that are torn, or no JSON at all, are passed over by
`--resume`, wherever they stand. Each request to the model is an `api-request` line, retries included; an answer is an
`assistant` line, a refusal one that is marked `isApiErrorMessage`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from relayfleet.ports.session import Cut, TurnProgress

_MESSAGES = frozenset({"user", "assistant", "system", "attachment"})
_ENDS_OF_TURN = frozenset({"end_turn", "stop_sequence", "max_tokens", "refusal"})
_TAIL, _READ, _LINE = 512 * 1024, 1024 * 1024, 4 * 1024 * 1024
# What Claude Code itself writes as if the user had said it.
_NOT_SAID = ("<command-", "<local-command-", "<bash-", "Caveat:")


def holds_conversation(lines: Iterable[bytes]) -> bool:
    """`lines` are those of the transcript; none after the first message is read."""
    return any(map(_is_message, lines))


def _is_message(line: bytes) -> bool:
    record = _record(line)
    return (
        record.get("type") in _MESSAGES
        and isinstance(record.get("timestamp"), str)
        and record.get("isSidechain") is not True
    )


def _record(line: bytes) -> dict[str, Any]:
    """Empty for a line that is torn by a kill, or none of Claude Code's."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def cut_off(path: Path) -> Cut | None:
    """The turn that was under way when the session died; None when the last one came to its end. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        cut = cut_turn(file)
        if cut is None or cut.id or size <= _TAIL:
            return cut
        file.seek(0)  # its prompt stands further up
        return cut_turn(file)


def cut_turn(lines: Iterable[bytes]) -> Cut | None:
    """`Cut.id` is empty when the prompt of the turn is not among `lines`."""
    cut: Cut | None = None
    for line in lines:
        if b'"type":' not in line:
            continue
        record = _record(line)
        if record.get("isSidechain") is True:
            continue
        kind = record.get("type")
        if kind == "user":
            cut = _after_user(record, cut)
        elif kind == "assistant":
            message = record.get("message")
            stopped = message.get("stop_reason") if isinstance(message, dict) else None
            over = record.get("isApiErrorMessage") is True or stopped in _ENDS_OF_TURN
            cut = None if over else cut or Cut(id="", prompt="")
        elif kind == "system" and record.get("subtype") in ("turn_duration", "stop_hook_summary"):
            cut = None
    return cut


def _after_user(record: dict[str, Any], cut: Cut | None) -> Cut | None:
    text, is_result = _said(record)
    if text.startswith("[Request interrupted"):
        return None
    if is_result:
        return cut or Cut(id="", prompt="")
    if record.get("isCompactSummary") is True or text.startswith(_NOT_SAID) or not text:
        return cut
    if record.get("isMeta") is True and not isinstance(record.get("origin"), dict):
        return cut
    return Cut(id=str(record.get("promptId") or record.get("uuid") or ""), prompt=text)


def _said(record: dict[str, Any]) -> tuple[str, bool]:
    """The text of a `user` line, and whether it is the result of a tool call."""
    message = record.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content, False
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    text = "\n".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
    return text, any(block.get("type") == "tool_result" for block in blocks)


class TranscriptTail:
    """Follows a transcript from where it ended when the session was started."""

    def __init__(self, path: Path | None) -> None:
        """`path` is the transcript that a session goes on with, None for one that begins."""
        self.path = path
        self._offset = _size(path) if path is not None else 0
        self._rest = b""
        self._at = 0.0
        self._asked = 0
        self._asked_since = 0.0
        self._tools: dict[str, tuple[str, float]] = {}

    def read(self, path: Path | None) -> TurnProgress | None:
        """`path` is the transcript, None while there is none."""
        if path is None:
            return None
        if path != self.path:
            self.path, self._offset, self._rest = path, 0, b""
        self._take()
        tool, since = min(self._tools.values(), key=lambda one: one[1], default=("", 0.0))
        return TurnProgress(at=self._at, asked=self._asked, asked_since=self._asked_since, tool=tool, tool_since=since)

    def _take(self) -> None:
        """What was written since the last look was written when the file last changed: a look is never long ago."""
        assert self.path is not None
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) == self._offset:
                    return
                file.seek(self._offset)
                grown = file.read(_READ)
                self._at = os.fstat(file.fileno()).st_mtime
        except OSError:
            return
        self._offset += len(grown)
        *lines, self._rest = (self._rest + grown).split(b"\n")
        if len(self._rest) > _LINE:
            self._rest = b""
        for line in lines:
            self._judge(line)

    def _judge(self, line: bytes) -> None:
        if line.startswith(b'{"type":"api-request",'):
            record = _record(line)
            if "agentId" not in record and str(record.get("querySource")).startswith(("repl_main_thread", "sdk")):
                self._asked += 1
                if self._asked == 1:
                    self._asked_since = self._at
        elif b'"type":"assistant"' in line or b'"type":"user"' in line:
            record = _record(line)
            if record.get("type") in ("assistant", "user") and record.get("isSidechain") is not True:
                self._said(record)

    def _said(self, record: dict[str, Any]) -> None:
        self._asked = 0
        message = record.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
        if record["type"] == "user" and not results:
            self._tools.clear()
        for call in results:
            self._tools.pop(call, None)
        for block in blocks:
            if block.get("type") == "tool_use":
                self._tools[str(block.get("id"))] = (str(block.get("name")), self._at)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

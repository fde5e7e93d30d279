"""What a headless Claude Code session and its runner say to each other: one JSON object per line (stream-json).

Observed of Claude Code 2.1.328, `claude -p --input-format stream-json --output-format stream-json --verbose
--permission-prompt-tool stdio`:

    runner -> session   {"type": "user", "message": {"role": "user", "content": [blocks]}, "uuid": U}
                        {"type": "control_request", "request_id": R, "request": {"subtype": "interrupt"}}
                        {"type": "control_response", "response": {"subtype": "success", "request_id": R, "response": D}}
    session -> runner   {"type": "command_lifecycle", "command_uuid": U, "state": "queued|started|completed|cancelled"}
                        {"type": "result", "is_error": B, "result": TEXT, "terminal_reason": W, ...}   before its end
                        {"type": "control_request", "request_id": R, "request": {"subtype": "can_use_tool", ...}}
                        {"type": "control_cancel_request", "request_id": R}
                        {"type": "system", "subtype": "api_retry", "attempt": N, "error_status": S, "error": W}
                        {"type": "assistant" | "user", "message": {"content": [blocks]}}

A line that the session cannot parse ends it, so nothing else is ever written to it. Of a message only the last text
block is read like typed text: an `@path` there opens the file, and a leading slash runs a command. What is said to a
session therefore stands in the first block, and the last one is ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_LINE = 64 * 1024 * 1024
# The block that is read like typed text.
CLOSING = "(end of message)"


class Began(NamedTuple):
    """The session took up the message `uuid`."""

    uuid: str


class Ended(NamedTuple):
    """The turn of the message `uuid` is over; `completed` is False when it was cut off or the model refused."""

    uuid: str
    completed: bool


class Concluded(NamedTuple):
    """What a turn came to: its last words, or why it failed. It is said just before the turn's end. `fault` is the
    API's word for an error (`overloaded_error`), or how the turn was cut off (`aborted_streaming`)."""

    words: str
    is_error: bool
    fault: str
    status: int | None


class Asked(NamedTuple):
    """The session wants to use a tool and may not unasked."""

    request_id: str
    tool: str
    input: Mapping[str, Any]
    suggestions: tuple[Mapping[str, Any], ...]


class Withdrawn(NamedTuple):
    """What was asked needs no answer any more."""

    request_id: str


class Retrying(NamedTuple):
    """The model's endpoint refused a request, and the session tries again."""

    attempt: int
    status: int | None
    error: str


class Message(NamedTuple):
    """A message of the conversation: `speaker` is `user` or `assistant`, `blocks` are the API's content blocks."""

    speaker: str
    blocks: tuple[Mapping[str, Any], ...]


Said = Began | Ended | Concluded | Asked | Withdrawn | Retrying | Message


def encode_user(text: str, uuid: str) -> bytes:
    blocks = [{"type": "text", "text": text}, {"type": "text", "text": CLOSING}]
    return _line({"type": "user", "message": {"role": "user", "content": blocks}, "uuid": uuid})


def encode_interrupt(request_id: str) -> bytes:
    return _line({"type": "control_request", "request_id": request_id, "request": {"subtype": "interrupt"}})


def encode_permission(request_id: str, decision: Mapping[str, Any]) -> bytes:
    """`decision` is {"behavior": "allow", "updatedInput": ...} or {"behavior": "deny", "message": ...}."""
    response = {"subtype": "success", "request_id": request_id, "response": dict(decision)}
    return _line({"type": "control_response", "response": response})


def decode(line: bytes) -> Said | None:
    """What a line says, None when that is nothing of concern here (or it is no line of this protocol)."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    match said.get("type"):
        case "command_lifecycle":
            return _lifecycle(str(said.get("command_uuid")), said.get("state"))
        case "result":
            return _result(said)
        case "control_request":
            return _request(str(said.get("request_id")), said.get("request"))
        case "control_cancel_request":
            return Withdrawn(str(said.get("request_id")))
        case "system" if said.get("subtype") == "api_retry":
            return Retrying(
                _number(said.get("attempt")) or 0, _number(said.get("error_status")), str(said.get("error"))
            )
        case "assistant" | "user" as speaker:
            return _message(speaker, said.get("message"))
    return None


def _lifecycle(uuid: str, state: object) -> Said | None:
    if state == "started":
        return Began(uuid)
    return Ended(uuid, completed=state == "completed") if state in ("completed", "cancelled") else None


def _result(said: Mapping[str, Any]) -> Concluded:
    return Concluded(
        words=str(said.get("result") or ""),
        is_error=bool(said.get("is_error")),
        fault=str(said.get("api_error_type") or said.get("terminal_reason") or ""),
        status=_number(said.get("api_error_status")),
    )


def _request(request_id: str, request: object) -> Asked | None:
    if not isinstance(request, dict) or request.get("subtype") != "can_use_tool":
        return None
    given, suggestions = request.get("input"), request.get("permission_suggestions")
    return Asked(
        request_id,
        str(request.get("tool_name")),
        given if isinstance(given, dict) else {},
        tuple(one for one in suggestions if isinstance(one, dict)) if isinstance(suggestions, list) else (),
    )


def _message(speaker: str, message: object) -> Message | None:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return None
    return Message(speaker, tuple(block for block in content if isinstance(block, dict)))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

"""What a command of the user's is told of: one JSON object, on its standard input. Pure.

    {"version": 1, "event": "approval" | "agent_died" | "agent_unresponsive" | "dead_letter",
     "ts": seconds, "fleet", "agent", "detail", ...}

`approval` has "id", "tool", "input" (as in `fleet approvals --json`, cut) and "entry"; `agent_died` has "reason" and
"hint"; `dead_letter` has "entry". "dropped" counts notices that were left out before this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

NoticeEvent = Literal["approval", "agent_died", "agent_unresponsive", "dead_letter"]
# A pipe takes this much at once, whether its reader reads or not.
MAX_BYTES = 32 * 1024
_MAX_TEXT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The user's command, as an argv; `timeout_s` is how long it may take."""

    command: tuple[str, ...]
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    event: NoticeEvent
    ts: float
    agent: str
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)


def encode_notice(notice: Notice, *, fleet: str, dropped: int = 0) -> bytes:
    """At most MAX_BYTES of ASCII, newline last."""
    record = {
        "version": 1,
        "event": notice.event,
        "ts": notice.ts,
        "fleet": fleet,
        "agent": notice.agent,
        "detail": notice.detail[:_MAX_TEXT],
        "dropped": dropped,
    }
    line = json.dumps({**notice.more, **record}).encode() + b"\n"
    if len(line) <= MAX_BYTES:
        return line
    short = {key: value for key, value in notice.more.items() if key != "input"}
    line = json.dumps({**short, **record}).encode() + b"\n"
    return line if len(line) <= MAX_BYTES else json.dumps(record).encode() + b"\n"

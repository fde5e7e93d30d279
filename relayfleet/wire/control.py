"""What is said on a daemon's control socket: one JSON object per line, a request and its answer.

Requests: {"op": "status"}, {"op": "stop"}; a runner also {"op": "interrupt"} and {"op": "fail", "id": I, "detail": D}.
Answers: {"ok": true, ...} or {"ok": false, "error": E, "hint": H}. A shim says {"op": "shim", "token": T}
and keeps the line open (see `wire/shim.py`), a viewer {"op": "attach", ...} (see `wire/attach.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Said where a daemon is to be reached or to listen on a system that has no unix sockets.
NO_UNIX_SOCKETS = "daemons talk over unix sockets, which this system does not have"
MAX_LINE = 16 * 1024 * 1024


def encode_line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """Raises ValueError when the line is not a JSON object."""
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def refusal(error: str, hint: str = "") -> dict[str, Any]:
    return {"ok": False, "error": error, "hint": hint}

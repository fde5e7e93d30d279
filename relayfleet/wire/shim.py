"""What a runner and its shim say to each other on the runner's control socket, after the shim's first line.

The shim is there once for every agent and holds no JSON decoder: a line's first byte says what it is, and JSON inside
it is carried as it is.

    shim -> runner   {"op": "shim", "token": T, "pid": P, "socket": bool}   first line, the only one in JSON
                     M<json>               a JSON-RPC message of the session
                     A<id> <error>         an offer was written (error empty), or could not be
    runner -> shim   M<json>               a JSON-RPC message for the session
                     O<id> <json>          write this frame to the session's inbox socket
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# The variables that tell a shim where its runner is, and that it may join it.
RUNNER_SOCKET = "RELAYFLEET_SHIM_SOCKET"
RUNNER_TOKEN = "RELAYFLEET_SHIM_TOKEN"  # noqa: S105 - the name of a variable
MESSAGE, OFFER, ANSWER = b"M", b"O", b"A"


def encode_message(message: Mapping[str, Any]) -> bytes:
    return MESSAGE + json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def encode_offer(entry_id: str, content: str, uuid: str, *, steer: bool = False) -> bytes:
    """The frame of Claude Code's inbox socket; `later` gives the entry a turn of its own, `next` takes it into the turn
    that is under way at its next tool call, or gives it one of its own when there is none."""
    priority = "next" if steer else "later"
    frame = {"type": "user", "message": {"role": "user", "content": content}, "uuid": uuid, "priority": priority}
    return OFFER + entry_id.encode() + b" " + json.dumps(frame, separators=(",", ":")).encode() + b"\n"


def decode_answer(line: bytes) -> tuple[str, str]:
    """The entry id and the error, "" when the offer was written."""
    entry_id, _, error = line[1:].partition(b" ")
    return entry_id.decode("ascii", "replace"), error.decode("utf-8", "replace")

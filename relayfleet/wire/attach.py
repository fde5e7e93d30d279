"""What a viewer and a runner say to each other on the runner's control socket, after the viewer's first line.

    viewer -> runner   {"op": "attach", "version": 1, "drive": bool, "take": bool, "who": TEXT}   first line
    runner -> viewer   {"ok": true, "version": 1}   first line, or a refusal, and the end

Then frames both ways: one byte for the kind, four for the length of what follows (big-endian), and that.

    runner -> viewer   O  what the session's terminal printed, as it is
                       S  the state, a JSON object (`State`); it stands before the output that it is about
    viewer -> runner   I  keys for the session; of a driver only
                       Z  the driver's window: rows and columns, two bytes each
                       R  the picture is not whole: have the session paint it anew
                       L  the driver leaves; "empty", "text" or "unknown": what it saw in the composer

A frame of another kind or of more than MAX_FRAME bytes ends the line.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Literal

VERSION = 1
MAX_FRAME = 1 << 16
HEADER = struct.Struct(">cI")
OUTPUT, STATE = b"O", b"S"
KEYS, SIZE, REPAINT, LEAVE = b"I", b"Z", b"R", b"L"
FROM_RUNNER, FROM_VIEWER = (OUTPUT, STATE), (KEYS, SIZE, REPAINT, LEAVE)

# What is to be seen of the line that a person types into: nothing, something, or no such line.
Composer = Literal["empty", "text", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a viewer is told of the session. `fresh`: forget what was shown, the output begins anew; `whole`: and from
    the session's start on. `lost` counts the bytes that were left out because the viewer was slow."""

    rows: int
    columns: int
    up: bool
    drives: bool = False
    driver: str = ""
    viewers: int = 1
    fresh: bool = False
    whole: bool = True
    lost: int = 0
    error: str = ""


def encode_frame(kind: bytes, payload: bytes) -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def encode_output(data: bytes) -> bytes:
    """As many frames as it takes."""
    return b"".join(encode_frame(OUTPUT, data[at : at + MAX_FRAME]) for at in range(0, len(data), MAX_FRAME))


def encode_state(state: State) -> bytes:
    return encode_frame(STATE, json.dumps(asdict(state), separators=(",", ":")).encode())


def decode_state(payload: bytes) -> State:
    """Raises ValueError."""
    try:
        return State(**json.loads(payload))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def encode_size(rows: int, columns: int) -> bytes:
    return encode_frame(SIZE, struct.pack(">HH", min(rows, 0xFFFF), min(columns, 0xFFFF)))


def decode_size(payload: bytes) -> tuple[int, int]:
    """Rows and columns. Raises ValueError."""
    try:
        rows, columns = struct.unpack(">HH", payload)
    except struct.error as error:
        raise ValueError(str(error)) from None
    return rows, columns


def decode_header(header: bytes, *, kinds: tuple[bytes, ...]) -> tuple[bytes, int]:
    """The kind of the frame and how long it is. Raises ValueError for what is no frame of `kinds`."""
    kind, length = HEADER.unpack(header)
    if kind not in kinds:
        raise ValueError(f"no frame begins with {kind!r}")
    if length > MAX_FRAME:
        raise ValueError(f"a frame of {length} bytes is too long")
    return kind, length


class Frames:
    """Takes bytes as they come and gives the frames that are whole."""

    def __init__(self, *, kinds: tuple[bytes, ...]) -> None:
        self._kinds = kinds
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """(kind, payload) of each. Raises ValueError."""
        self._pending += data
        frames, at = [], 0
        while len(self._pending) - at >= HEADER.size:
            kind, length = decode_header(bytes(self._pending[at : at + HEADER.size]), kinds=self._kinds)
            end = at + HEADER.size + length
            if len(self._pending) < end:
                break
            frames.append((kind, bytes(self._pending[at + HEADER.size : end])))
            at = end
        del self._pending[:at]
        return frames

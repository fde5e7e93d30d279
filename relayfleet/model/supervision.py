"""What the supervisor remembers of each daemon that it keeps, and how that is written down. Pure.

The file is {"version": 1, "daemons": {name: {...}}}, an entry for an agent's name or `router`. It outlives the
supervisor, so that delays and holds are kept across its own death.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from relayfleet.model.fault import Reason, as_reason

VERSION = 1
ROUTER = "router"

# `new`: not dealt with yet; `queued`: waits for room; `coming`: launched, not ready yet; `up`: its session is ready;
# `down`: is started again at `next_try_at`; `waiting`: is looked at again then, and started if that has a point;
# `held`: is not started before somebody asks for it.
Phase = Literal["new", "queued", "coming", "up", "down", "waiting", "held"]
_PHASES = frozenset(get_args(Phase))


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is remembered of one daemon. Moments are in seconds since the epoch, UTC.

    `wish` is the moment of the wish that all this belongs to. `starts` are those that the supervisor made after a
    failure and that led to nothing good yet; `tries` is how often its delay was doubled; `launched_at` is when the
    supervisor launched it last. `silent_since` and `unwanted_since` are set while it lives and does not answer, or is
    not wanted. `signature` is what a start depends on, as it was when the last one failed.
    """

    wish: float = 0.0
    phase: Phase = "new"
    since: float = 0.0
    starts: tuple[float, ...] = ()
    tries: int = 0
    next_try_at: float = 0.0
    launched_at: float = 0.0
    silent_since: float | None = None
    unwanted_since: float | None = None
    reason: Reason | None = None
    detail: str = ""
    signature: str = ""


Memory = Mapping[str, Past]


def encode_memory(memory: Memory) -> bytes:
    daemons = {name: dataclasses.asdict(past) for name, past in memory.items()}
    return json.dumps({"version": VERSION, "daemons": daemons}).encode() + b"\n"


def decode_memory(data: bytes) -> dict[str, Past]:
    """Raises ValueError when it is not such a file of a version known here. An entry with faults is left out: then
    nothing is remembered of that daemon."""
    record = json.loads(data)
    if not isinstance(record, dict) or record.get("version") != VERSION or not isinstance(record.get("daemons"), dict):
        version = record.get("version") if isinstance(record, dict) else None
        raise ValueError(f"version {version!r} is not known; this program reads {VERSION}")
    found = {}
    for name, entry in record["daemons"].items():
        try:
            found[str(name)] = _past(entry)
        except (TypeError, ValueError, KeyError, AttributeError):
            continue
    return found


def _past(entry: Mapping[str, Any]) -> Past:
    phase = entry["phase"]
    if phase not in _PHASES:
        raise ValueError(phase)
    return Past(
        wish=float(entry["wish"]),
        phase=phase,
        since=float(entry["since"]),
        starts=tuple(float(at) for at in entry["starts"]),
        tries=int(entry["tries"]),
        next_try_at=float(entry["next_try_at"]),
        launched_at=float(entry["launched_at"]),
        silent_since=_moment(entry.get("silent_since")),
        unwanted_since=_moment(entry.get("unwanted_since")),
        reason=as_reason(entry.get("reason")),
        detail=str(entry["detail"]),
        signature=str(entry["signature"]),
    )


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

"""What the operator wants of a daemon, on disk: {"version": 1, "wanted": "running" | "stopped", "ts": seconds}.

`queued` beside it says what a start waits behind that found no room. The supervisor's own has "down": whether the
whole fleet rests since `ts`. What was asked for before that rests, too, and stays asked for; what was asked for
since then does not.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Literal

from relayfleet.model.wish import Wish
from relayfleet.store.files import make_private_folder, write_atomic

Wanted = Literal["running", "stopped"]


def write_intent(path: Path, wanted: Wanted, *, queued: str = "") -> None:
    """Raises StorageFailed."""
    record = {"version": 1, "wanted": wanted, "ts": time.time()}
    _write(path, {**record, "queued": queued} if queued else record)


def write_fleet_intent(path: Path, wanted: Wanted, *, down: bool) -> None:
    """Of the supervisor: `down` says that the fleet rests from now on. Raises StorageFailed."""
    _write(path, {"version": 1, "wanted": wanted, "ts": time.time(), "down": down})


def read_intent(path: Path) -> Wanted:
    """`stopped` when nothing was ever wanted, or the file cannot be read."""
    return "running" if read_wish(path).wanted else "stopped"


def read_wish(path: Path) -> Wish:
    """As `read_intent`, with when it was said. Intents of older versions have no moment: 0."""
    record = _read(path)
    since, queued = record.get("ts"), record.get("queued")
    return Wish(
        wanted=record.get("wanted") == "running",
        since=float(since) if isinstance(since, int | float) else 0.0,
        queued=queued if isinstance(queued, str) else "",
    )


def down_since(path: Path) -> float | None:
    """Since when the fleet rests, by the supervisor's intent; None when it does not."""
    record = _read(path)
    since = record.get("ts")
    return float(since) if record.get("down") is True and isinstance(since, int | float) else None


def rests(wish: Wish, down: float | None) -> bool:
    """Whether what is wanted rests with the fleet."""
    return down is not None and wish.since <= down


def _write(path: Path, record: dict[str, Any]) -> None:
    make_private_folder(path.parent)
    write_atomic(path, json.dumps(record).encode() + b"\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}

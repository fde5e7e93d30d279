"""Why a daemon gave up: {"version": 1, "ts": seconds, "error": words, "hint": words, "reason": a name of
`model/fault.py`}. Files of older versions have no `reason`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relayfleet.store.files import make_private_folder, write_atomic

if TYPE_CHECKING:
    from relayfleet.model.fault import Reason


def read_failure(path: Path) -> dict[str, Any]:
    """Empty when there is none."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_failure(path: Path, *, ts: float, error: str, hint: str, reason: Reason) -> None:
    """Raises StorageFailed."""
    make_private_folder(path.parent)
    record = {"version": 1, "ts": ts, "error": error, "hint": hint, "reason": reason}
    write_atomic(path, json.dumps(record).encode() + b"\n")

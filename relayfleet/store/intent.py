"""What the operator wants of a daemon, on disk: {"version": 1, "wanted": "running" | "stopped"}."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from relayfleet.store.files import make_private_folder, write_atomic

Wanted = Literal["running", "stopped"]


def write_intent(path: Path, wanted: Wanted) -> None:
    make_private_folder(path.parent)
    write_atomic(path, json.dumps({"version": 1, "wanted": wanted}).encode() + b"\n")


def read_intent(path: Path) -> Wanted:
    """`stopped` when nothing was ever wanted, or the file cannot be read."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return "stopped"
    return "running" if isinstance(record, dict) and record.get("wanted") == "running" else "stopped"

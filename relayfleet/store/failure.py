"""Why a daemon gave up: {"version": 1, "ts": seconds, "error": words, "hint": words}."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_failure(path: Path) -> dict[str, Any]:
    """Empty when there is none."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}

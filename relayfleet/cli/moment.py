"""Moments and durations, as they are written and shown on the command line."""

from __future__ import annotations

import re
import time

from relayfleet.errors import UsageError

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhdw])")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def seconds_of(duration: str, *, doing: str) -> float:
    """`90s`, `15m`, `2h`, `3d`, `1w`. Raises UsageError."""
    found = _DURATION.fullmatch(duration)
    if found is None:
        hint = "a number and s, m, h, d or w: --since 90s, --since 2h, --since 7d"
        raise UsageError(doing, f"{duration!r} is no duration", hint=hint)
    return float(found[1]) * _UNITS_S[found[2]]


def shown(at: float) -> str:
    """A moment in seconds since the epoch, in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))

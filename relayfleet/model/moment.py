"""Moments as GitHub writes them: ISO 8601 in whole seconds, UTC, with a trailing Z. They compare as text."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(seconds: float) -> str:
    """`seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def earlier(moment: str, seconds: float) -> str:
    """So long before; empty, which is before every moment, when there is none."""
    try:
        return moment_of(datetime.fromisoformat(moment).timestamp() - seconds)
    except ValueError:
        return ""

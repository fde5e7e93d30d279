"""What the router says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from relayfleet.model.event import Kind
from relayfleet.ports.source import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStatus:
    """Times are seconds since the epoch, UTC. `items` is how many items are in view."""

    name: str
    kind: Kind
    repo: str
    filter: str
    poll_sec: float
    last_poll: float | None
    next_poll: float | None
    items: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterStatus:
    """`paused` is in force while something keeps every watch from being polled; `reason` says what, and
    `paused_until` until when. `delivered` counts what is still remembered, `held` what trust held back."""

    state: Literal["polling", "paused"]
    reason: str | None
    paused_until: float | None
    cursor_age_s: float | None
    owed: int
    delivered: int
    held: int
    budgets: tuple[Budget, ...]
    watches: tuple[WatchStatus, ...]

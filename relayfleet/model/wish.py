"""What the operator wants of a daemon. Pure, and apart from what is remembered of it: every runner reads its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`since` tells one wish from the next (seconds since the epoch, UTC).

    `queued` says what a start that was asked for waits behind, as long as no supervisor has taken it up.
    """

    wanted: bool = False
    since: float = 0.0
    queued: str = ""

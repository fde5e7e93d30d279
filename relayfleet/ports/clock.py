"""Time, given."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time, given. `now` is seconds since the epoch, UTC; `monotonic` never goes back."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...

"""How long a route is quiet about an item of which it has told. Pure; moments are seconds since the epoch.

What comes while it is quiet waits, and is joined to one entry, after which the route is quiet again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cooling:
    """An entry may go at `moment` (0: at once), and after that the route is quiet `until` then."""

    moment: float
    until: float


def cool(until: float, *, quiet_s: float, now: float) -> Cooling:
    """`until` is what was noted last, 0 when nothing was. No moment is more than `quiet_s` ahead.

    While an entry waits, what was noted is two times ahead: its own, and the quiet after it. What is further ahead was
    noted by a clock that was wrong, and does not count.
    """
    if not now < until <= now + 2 * quiet_s:
        return Cooling(0.0, now + quiet_s)
    if until <= now + quiet_s:
        return Cooling(until, until + quiet_s)
    return Cooling(until - quiet_s, until)

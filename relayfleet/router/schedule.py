"""When to look again. Pure: moments are seconds of a clock that never goes back."""

from __future__ import annotations

from dataclasses import dataclass

from relayfleet.ports.source import Failure

RETRY_S = 1.0
MOST_RETRY_S = 60.0
LIMITED_S = 60.0
MOST_LIMITED_S = 900.0
UNAUTHORISED_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """Nothing is asked before `until`. `tries` counts the failures of this kind in a row."""

    kind: str
    tries: int
    until: float


def last_beat(beat: float, interval_s: float, *, moment: float) -> float:
    """The latest beat up to `moment` of a rhythm of which `beat` is one: what took too long drops beats, and never
    shifts them."""
    return beat + max(0, int((moment - beat) // interval_s)) * interval_s


def back_off(before: BackOff | None, failure: Failure, *, now: float, jitter: float) -> BackOff:
    """How long to stay away. `jitter` is random, in [0, 1): it keeps several fleets from retrying in step.

    What was not reached, or answered nonsense, is asked again from 1 s on, doubling. A limit says itself how long it
    lasts; where it does not, 60 s and doubling, as GitHub asks. A bad token will not mend itself soon.
    """
    tries = before.tries + 1 if before is not None and before.kind == failure.kind else 1
    doubling = 2.0 ** min(tries - 1, 10)
    match failure.kind:
        case "transport" | "server":
            seconds = min(MOST_RETRY_S, RETRY_S * doubling) * (1.0 + jitter / 2)
        case "secondary" | "primary" if failure.wait_s is not None:
            seconds = failure.wait_s
        case "auth":
            seconds = UNAUTHORISED_S
        case _:
            seconds = min(MOST_LIMITED_S, LIMITED_S * doubling)
    return BackOff(kind=failure.kind, tries=tries, until=now + seconds)

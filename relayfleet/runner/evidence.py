"""What was seen of a session, when, and what that says of it. Pure.

A session that is at a turn draws its terminal twice a second, so that output alone proves that it lives, not that it
gets anywhere; what its turn waits for stands in its transcript. One of which nothing at all was seen for long does not
live, whatever its registry says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from relayfleet.model.duration import in_words
from relayfleet.ports.session import TurnProgress

# From when on it is told what a turn waits for: quick enough for a person who looks, too slow for what is usual.
_TOOL_TOLD_S, _RETRY_TOLD_S, _SILENCE_TOLD_S = 60.0, 2.0, 120.0


@dataclass(slots=True)
class Evidence:
    """When each source last said something new, in seconds since the epoch; 0 when it never did."""

    registry: float = 0.0
    hook: float = 0.0
    transcript: float = 0.0
    output: float = 0.0

    def ages(self, now: float) -> dict[str, float | None]:
        """In seconds, None for what never was."""
        times = {name: getattr(self, name) for name in ("registry", "hook", "transcript", "output")}
        return {name: round(max(0.0, now - at), 3) if at else None for name, at in times.items()}

    def newest(self) -> float:
        return max(self.registry, self.hook, self.transcript, self.output)


class Judgement(NamedTuple):
    """`detail` is empty when there is nothing to tell."""

    is_silent: bool
    detail: str


def judge(
    evidence: Evidence, progress: TurnProgress | None, *, since: float, now: float, unresponsive_s: float, draws: bool
) -> Judgement:
    """Of a session that is at a turn since `since`. `draws` says that it draws a terminal while it works: else a tool
    that runs explains why nothing is seen."""
    silent_s = now - max(since, evidence.newest())
    waits = _waits_for(progress, now) if progress is not None else ""
    if silent_s >= unresponsive_s and (draws or progress is None or not progress.tool):
        return Judgement(True, f"nothing was seen of it for {in_words(silent_s)}, while it claims to work")
    return Judgement(False, waits)


def _waits_for(progress: TurnProgress, now: float) -> str:
    if progress.asked:
        waited_s = now - progress.asked_since
        if progress.asked > 1 and waited_s >= _RETRY_TOLD_S:
            return f"the model endpoint does not answer (retrying: attempt {progress.asked} in {in_words(waited_s)})"
        if waited_s >= _SILENCE_TOLD_S:
            return f"no answer from the model for {in_words(waited_s)}"
        return ""
    if progress.tool and (runs_s := now - progress.tool_since) >= _TOOL_TOLD_S:
        return f"in {progress.tool} for {in_words(runs_s)}"
    return ""

"""What is done after a session's process has ended: each kind of death has its own answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from relayfleet.model.fault import Reason

BACK_OFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
# One that was up this long had its start behind it: what ends it is no repetition of what ended those before.
HEALTHY_AFTER_S: Final = 60.0
DEATHS_BEFORE_READY: Final = 3
DEATHS: Final = 10

# `again`: with its history, after a delay. `anew`: the transcript is archived, the same id begins anew.
# `under_another_id`: it begins anew under an id of its own. `give_up`: the runner ends, and the supervisor (or a
# person) decides.
Act = Literal["again", "anew", "under_another_id", "give_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a session ended. `named` is the reason that its own last words gave, None when they gave none; `before` how
    many died before it with no healthy one in between, `refused` how often its history was refused before."""

    code: int
    ready: bool
    in_turn: bool
    resumed: bool
    lived_s: float
    named: Reason | None = None
    wanted: bool = False
    before: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`deaths` is the count with this one, 0 when it does not count."""

    act: Act
    reason: Reason
    deaths: int
    delay_s: float = 0.0


def after(death: Death) -> Verdict:
    """What to do now."""
    if death.wanted:  # the runner ended it itself, to start it anew
        return Verdict(act="again", reason="exited", deaths=0)
    deaths = 1 if death.ready and death.lived_s >= HEALTHY_AFTER_S else death.before + 1
    if not death.ready and death.named == "resume_refused" and death.refused < 2 and deaths < DEATHS:
        act: Act = "anew" if death.resumed else "under_another_id"
        return Verdict(act=act, reason="resume_refused", deaths=deaths)
    reason = death.named or _reason(death)
    limit = DEATHS if death.ready else DEATHS_BEFORE_READY
    if deaths >= limit and reason != "disk_full":
        return Verdict(act="give_up", reason=reason, deaths=deaths)
    return Verdict(act="again", reason=reason, deaths=deaths, delay_s=BACK_OFF_S[min(deaths, len(BACK_OFF_S)) - 1])


def _reason(death: Death) -> Reason:
    if not death.ready:
        return "crashed_before_ready"
    return "crashed_in_turn" if death.in_turn else "exited"


def how(code: int) -> str:
    """An exit code (a signal's number negated) in words."""
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def is_full(reason: str) -> bool:
    """Whether the words of a refused write say that there is no room. Their number did not come this far."""
    return "No space left" in reason or "quota exceeded" in reason

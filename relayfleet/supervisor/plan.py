"""What the supervisor does about what it sees, decided. Pure.

Each daemon goes through the phases of `model/supervision.py`, one table row per function below:

| phase | it is alive | it is not |
|---|---|---|
| new | taken over: `coming` | launched, or `queued` |
| queued | taken over: `coming` | launched when there is room |
| coming | ready: `up`; silent for too long: ended, `down` | `down`, `waiting` or `held`, by the reason |
| up | silent for too long: ended, `down` | `down`, `waiting` or `held`, by the reason |
| down | taken over: `coming` | launched at `next_try_at` |
| waiting | taken over: `coming` | looked at each minute, launched when that has a point |
| held | taken over: `coming` | nothing |

A new wish (`fleet start`) makes any of them `new`; one that is no longer wanted is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from relayfleet.model.fault import Reason, answer_to
from relayfleet.model.fleet import Limits
from relayfleet.model.room import AT_ONCE, Room, queued_behind
from relayfleet.model.status import UP
from relayfleet.model.supervision import ROUTER, Memory, Past
from relayfleet.model.wish import Wish

FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 300.0
# A start is good when its session was ready for that long, and all is forgiven after the second one.
GOOD_AFTER_S, FORGIVEN_AFTER_S = 60.0, 600.0
STORM_STARTS, STORM_WITHIN_S = 5, 600.0
LOOK_AGAIN_S = 60.0
# From the first request that was not answered.
UNRESPONSIVE_AFTER_S = 30.0
# A process that was launched has taken its lock by then. Where it cannot be seen (another supervisor launched it, and
# died), it is given this long before it counts as gone.
LOCKED_WITHIN_S, SETTLES_WITHIN_S = 30.0, 5.0
# Longer than `fleet stop` takes: what it left alive when it was killed itself is ended after that.
UNWANTED_AFTER_S = 30.0
_ASK_COMING_S, _ASK_SILENT_S, _ASK_UP_S = 0.2, 5.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a daemon wrote when it gave up."""

    ts: float
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One daemon as it is at this moment. `alive`: somebody holds its lock.

    `answer` is the state that it answered with, None when it was not asked; `silent`: it was asked and gave no answer.
    `launching`: whether the process that was launched lives and has no lock yet, None when nobody can say. `signature`
    is what its start depends on; `space`: the disk has room.
    """

    name: str
    wish: Wish
    alive: bool
    answer: str | None = None
    silent: bool = False
    launching: bool | None = None
    failure: Failure | None = None
    signature: str = ""
    space: bool = True


Kind = Literal["launch", "adopted", "up", "down", "waiting", "held", "queued", "stopped", "unwanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is told of a daemon. `in_s` is when it is started or looked at again."""

    name: str
    kind: Kind
    detail: str = ""
    reason: Reason | None = None
    in_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`ends` are ended at once, with everything below them; `stops` are asked first. Then `launches` are launched."""

    memory: Mapping[str, Past]
    launches: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Step:
    """What becomes of one daemon, before it is known whether there is room."""

    past: Past | None
    launch: bool = False
    end: bool = False
    stop: bool = False
    change: Change | None = None


def decide(
    sights: Sequence[Sight], memory: Memory, *, limits: Limits, free_mb: int | None, now: float, begun: float
) -> Decision:
    """`begun` is when this supervisor began: an older failure does not keep what is wanted from being started."""
    steps = {sight.name: _step(sight, memory.get(sight.name, Past()), now=now, begun=begun) for sight in sights}
    launches, queued = _launches(sights, steps, limits=limits, free_mb=free_mb, now=now)
    after: dict[str, Past] = {}
    changes = []
    for sight in sights:
        name, step = sight.name, steps[sight.name]
        past, change = queued.get(name, (step.past, step.change))
        if name in launches and past is not None:
            past, change = _launched(past, now=now), Change(name=name, kind="launch", reason=past.reason)
        if past is not None:
            after[name] = past
        if change is not None:
            changes.append(change)
    return Decision(
        memory=after,
        launches=launches,
        ends=tuple(name for name, step in steps.items() if step.end),
        stops=tuple(name for name, step in steps.items() if step.stop),
        changes=tuple(changes),
    )


def ask_every_s(past: Past) -> float:
    """How often a daemon that is alive is asked what it does."""
    if past.phase != "up":
        return _ASK_COMING_S  # it may have its lock and not listen yet
    return _ASK_UP_S if past.silent_since is None else _ASK_SILENT_S


def delay_s(tries: int) -> float:
    """Before the next start, after so many that failed before it."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(tries, 30))


def _launches(
    sights: Sequence[Sight], steps: Mapping[str, _Step], *, limits: Limits, free_mb: int | None, now: float
) -> tuple[tuple[str, ...], dict[str, tuple[Past, Change | None]]]:
    """Who is launched now, and who waits for room: those that have been wanted for longest come first."""
    agents = [s for s in sights if s.name != ROUTER]
    running = sum(1 for s in agents if s.alive or s.launching or _is_coming(steps[s.name]))
    coming = sum(1 for s in agents if _is_coming(steps[s.name]))
    launches: list[str] = []
    queued: dict[str, tuple[Past, Change | None]] = {}
    for sight in sorted(sights, key=lambda s: (s.name != ROUTER, s.wish.since, s.name)):
        past = steps[sight.name].past
        if not steps[sight.name].launch or past is None:
            continue
        if sight.name == ROUTER:
            launches.append(sight.name)
            continue
        lack = Room(limits=limits, running=running, coming=coming, free_mb=free_mb).lack()
        if lack:
            queued[sight.name] = _queued(sight.name, past, lack, ahead=len(queued), now=now)
        elif coming < AT_ONCE:
            launches.append(sight.name)
            running, coming = running + 1, coming + 1
    return tuple(launches), queued


def _is_coming(step: _Step) -> bool:
    return step.past is not None and step.past.phase == "coming"


def _queued(name: str, past: Past, lack: str, *, ahead: int, now: float) -> tuple[Past, Change | None]:
    place = queued_behind(ahead)
    if past.phase == "queued" and past.detail.startswith(place):
        return past, None  # figures that change from look to look are not worth a write each
    after = replace(past, phase="queued", since=past.since if past.phase == "queued" else now, detail=place + lack)
    return after, Change(name=name, kind="queued", detail=after.detail) if past.phase != "queued" else None


def _launched(past: Past, *, now: float) -> Past:
    """Only what is started anew after a failure, in the hope that it was a chance, can be a storm."""
    counts = past.reason is not None and answer_to(past.reason).act == "back_off"
    starts = (*_recent(past.starts, now), now) if counts else past.starts
    return replace(past, phase="coming", since=now, launched_at=now, starts=starts, silent_since=None, detail="")


def _recent(starts: Sequence[float], now: float) -> tuple[float, ...]:
    return tuple(at for at in starts if now - at < STORM_WITHIN_S)


def _step(sight: Sight, past: Past, *, now: float, begun: float) -> _Step:
    if not sight.wish.wanted:
        return _unwanted(sight, past, now=now)
    if past.wish != sight.wish.since:
        past = Past(wish=sight.wish.since, since=now)
    elif past.unwanted_since is not None:
        past = replace(past, unwanted_since=None)
    if sight.alive:
        return _alive(sight, past, now=now)
    return _dead(sight, past, now=now, begun=begun)


def _unwanted(sight: Sight, past: Past, *, now: float) -> _Step:
    if not sight.alive:
        known = past.phase != "new" or past.unwanted_since is not None
        return _Step(past=None, change=Change(name=sight.name, kind="stopped") if known else None)
    if past.unwanted_since is None:
        return _Step(past=replace(past, unwanted_since=now))
    if now - past.unwanted_since < UNWANTED_AFTER_S:
        return _Step(past=past)
    change = Change(name=sight.name, kind="unwanted", detail="it is not wanted, and lives: it is ended")
    return _Step(past=replace(past, unwanted_since=now), stop=True, change=change)


def _alive(sight: Sight, past: Past, *, now: float) -> _Step:
    change = None
    if past.phase not in ("coming", "up"):
        if past.phase == "new":
            change = Change(name=sight.name, kind="adopted")
        past = replace(past, phase="coming", since=now, silent_since=None, detail="")
    if sight.silent:
        return _silent(sight, past, now=now)
    if sight.answer is not None:
        past = replace(past, silent_since=None) if past.silent_since is not None else past
        if past.phase == "coming" and (sight.answer in UP or sight.answer == "running"):
            took = f"ready after {now - past.launched_at:.1f} s" if past.launched_at else ""
            return _Step(
                past=replace(past, phase="up", since=now, detail=""),
                change=Change(name=sight.name, kind="up", detail=took),
            )
    if past.phase == "up":
        if past.starts and now - past.since >= GOOD_AFTER_S:
            past = replace(past, starts=())
        if (past.tries or past.reason) and now - past.since >= FORGIVEN_AFTER_S:
            past = replace(past, tries=0, reason=None)
    return _Step(past=past, change=change)


def _silent(sight: Sight, past: Past, *, now: float) -> _Step:
    if past.silent_since is None:
        return _Step(past=replace(past, silent_since=now))
    silent_s = now - past.silent_since
    if silent_s < UNRESPONSIVE_AFTER_S:
        return _Step(past=past)
    failure = Failure(ts=now, reason="unresponsive", detail=f"it gave no answer for {silent_s:.0f} s, and was ended")
    step = _failed(sight, past, failure, now=now)
    step.end = True
    return step


def _dead(sight: Sight, past: Past, *, now: float, begun: float) -> _Step:
    if past.phase == "new":
        if sight.failure is not None and sight.failure.ts >= max(begun, past.wish):
            return _failed(sight, past, sight.failure, now=now)  # its start has failed while this supervisor looked on
        return _Step(past=past, launch=not sight.launching)
    if past.phase in ("coming", "up"):
        return _gone(sight, past, now=now)
    if past.phase == "held":
        return _Step(past=past)
    if past.phase == "queued":
        return _Step(past=past, launch=True)
    if now < past.next_try_at <= now + LONGEST_DELAY_S:  # further off than any delay: the clock was set back
        return _Step(past=past)
    if past.phase == "waiting" and not _has_point(sight, past):
        return _Step(past=replace(past, next_try_at=now + LOOK_AGAIN_S))
    return _Step(past=past, launch=not sight.launching)


def _gone(sight: Sight, past: Past, *, now: float) -> _Step:
    """It was launched, or was up, and nobody holds its lock."""
    if past.phase == "coming" and sight.failure is None:
        waited = now - past.launched_at
        if sight.launching and waited >= LOCKED_WITHIN_S:
            detail = f"it did not take its lock within {waited:.0f} s, and was ended"
            step = _failed(sight, past, Failure(ts=now, reason="unresponsive", detail=detail), now=now)
            step.end = True
            return step
        if sight.launching or (sight.launching is None and 0 <= waited < SETTLES_WITHIN_S):
            return _Step(past=past)
    failure = sight.failure or Failure(ts=now, reason="killed", detail="it is gone and left no word")
    return _failed(sight, past, failure, now=now)


def _failed(sight: Sight, past: Past, failure: Failure, *, now: float) -> _Step:
    """By the answer to its reason: started again after a delay, looked at each minute, or held."""
    answer = answer_to(failure.reason)
    starts = _recent(past.starts, now)
    past = replace(past, since=now, reason=failure.reason, detail=failure.detail, starts=starts, silent_since=None)
    if answer.act == "back_off" and len(starts) >= STORM_STARTS:
        detail = f"{len(starts)} starts within {now - starts[0]:.0f} s led to nothing good; the last: {failure.detail}"
        past = replace(past, phase="held", reason="storm", detail=detail)
        return _told(sight.name, past, "held")
    if answer.act == "hold":
        return _told(sight.name, replace(past, phase="held"), "held")
    if answer.act == "wait":
        past = replace(past, phase="waiting", signature=sight.signature, next_try_at=now + LOOK_AGAIN_S)
        return _told(sight.name, past, "waiting", in_s=LOOK_AGAIN_S)
    delay = delay_s(past.tries)
    past = replace(past, phase="down", tries=past.tries + 1, next_try_at=now + delay)
    return _told(sight.name, past, "down", in_s=delay)


def _told(name: str, past: Past, kind: Kind, *, in_s: float | None = None) -> _Step:
    return _Step(past=past, change=Change(name=name, kind=kind, detail=past.detail, reason=past.reason, in_s=in_s))


def _has_point(sight: Sight, past: Past) -> bool:
    """Whether what its start waits for has come."""
    until = answer_to(past.reason).until if past.reason is not None else "time"
    if until == "space":
        return sight.space
    return until == "time" or sight.signature != past.signature

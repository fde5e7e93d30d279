"""The life of a session and of the entry that it is working on, decided: `step(state, input, now) -> state, effects`.

Pure: no clock, no I/O. `_STEPS` is the whole table. After each input comes a `Next`: that an entry is offered is a step
of its own, so that one that cannot be recorded undoes nothing else. Inputs and effects are named tuples, which take a
fraction of the time of dataclasses to define: this is imported by every runner. The rules it keeps:

- One unconfirmed offer at a time, and only to an idle session: the end of one turn is what lets the next entry go.
- `seen` and `handled` come from the session's hooks and nothing else. Seen and then idle without the turn's Stop is
  `failed: interrupted`: a person pressed Esc.
- An offer without a receipt is offered again after `seen_timeout_s` of idle time, twice as long each time, and is dead
  after `max_attempts`; while no shim is there to write it, it waits. A copy that arrives late is refused at the hook,
  so that it makes no second turn.
- What was offered to a session that died is offered again; if its turn had begun, the repeat says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from relayfleet.model.agent import Delivery
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import Observed

Phase = Literal["starting", "idle", "busy", "waiting", "down"]

# After Esc the session shows idle; a Stop that is on its way arrives well within this.
INTERRUPT_GRACE_S = 2.0
_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An entry that waits: `attempts` offers were made of it, `repeat` if a turn of it died with its session. The
    higher `priority` goes first."""

    id: EntryId
    attempts: int = 0
    repeat: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The one entry that the session was offered. `prompt_id` is set once it was seen."""

    id: EntryId
    attempt: int
    at: float
    repeat: bool = False
    prompt_id: str | None = None
    seen_at: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`since` is when `phase` began, by the runner's clock. `ended` are the last entries that came to an end."""

    phase: Phase = "starting"
    since: float = 0.0
    linked: bool = False
    queue: tuple[Pending, ...] = ()
    offer: Offer | None = None
    ended: tuple[EntryId, ...] = ()
    policy: Delivery = field(default_factory=Delivery)


# ---- what can happen


class Arrived(NamedTuple):
    """Entries were added to the inbox."""

    entries: tuple[Pending, ...]


class Linked(NamedTuple):
    """The shim joined (or left)."""

    up: bool


class Noticed(NamedTuple):
    """The session's own registry says so; `at` is when its status changed, by the same clock as `now`."""

    phase: Phase
    at: float


class Prompted(NamedTuple):
    """A prompt was submitted; `entry` is the id in its frame."""

    prompt_id: str
    entry: EntryId | None


class Stopped(NamedTuple):
    """A turn came to its end; `error` when the model refused it."""

    prompt_id: str
    error: str = ""


class OfferLost(NamedTuple):
    """An offer could not be written to the session."""

    entry: EntryId
    error: str


class Failed(NamedTuple):
    """The agent (or the operator) gives an entry up."""

    entry: EntryId
    detail: str


class Died(NamedTuple):
    """The session's process is gone."""


class Ticked(NamedTuple):
    """Time went by."""


class Next(NamedTuple):
    """The next entry may go, if the session is free for it."""


Input = Arrived | Linked | Noticed | Prompted | Stopped | OfferLost | Failed | Died | Ticked | Next


# ---- what is to be done


class Record(NamedTuple):
    """Write a receipt, durably, before anything that follows."""

    entry: EntryId
    state: Observed
    attempt: int = 1
    detail: str = ""
    by_tool: bool = False


class Send(NamedTuple):
    """Offer an entry to the session."""

    entry: EntryId
    attempt: int
    repeat: bool


class Refuse(NamedTuple):
    """Block the prompt that was just submitted: it is a late copy."""

    entry: EntryId


Effect = Record | Send | Refuse
Step = tuple[State, list[Effect]]


def step(state: State, given: Input, *, now: float) -> Step:
    """The next state and what is to be done, in order."""
    return _STEPS[type(given)](state, given, now)


def next_tick(state: State, *, now: float) -> float | None:
    """Seconds until time alone can change something, None when it cannot."""
    offer = state.offer
    if offer is None or state.phase != "idle":
        return None
    if offer.prompt_id is None and not state.linked:
        return None
    due = _interrupt_due(state, offer) if offer.prompt_id is not None else _repeat_due(state, offer)
    return max(0.0, due - now)


def _offer_next(state: State, given: Next, now: float) -> Step:
    if state.phase != "idle" or not state.linked or state.offer is not None or not state.queue:
        return state, []
    head, *rest = state.queue
    return _send(replace(state, queue=tuple(rest)), head, now)


def _send(state: State, entry: Pending, now: float) -> Step:
    attempt = entry.attempts + 1
    offer = Offer(id=entry.id, attempt=attempt, at=now, repeat=entry.repeat)
    detail = "again: the session died in this turn" if entry.repeat else ""
    return replace(state, offer=offer), [
        Record(entry.id, "offered", attempt, detail),
        Send(entry.id, attempt, entry.repeat),
    ]


def _end(state: State, entry: EntryId) -> State:
    return replace(state, ended=(*state.ended[-_REMEMBERED:], entry))


def _turn(state: State, phase: Phase, at: float) -> State:
    return state if state.phase == phase else replace(state, phase=phase, since=at)


def _arrived(state: State, given: Arrived, now: float) -> Step:
    # What was offered before stays ahead: nobody knows whether the session saw it.
    queue = sorted(state.queue + given.entries, key=lambda pending: (pending.attempts == 0, -pending.priority))
    return replace(state, queue=tuple(queue)), []


def _linked(state: State, given: Linked, now: float) -> Step:
    return replace(state, linked=given.up), []


def _observed(state: State, given: Noticed, now: float) -> Step:
    # The hooks are quicker than the registry: what it says of a time before the last change is old.
    if given.at < state.since and state.phase not in ("starting", "down"):
        return state, []
    return _turn(state, given.phase, max(given.at, state.since)), []


def _prompted(state: State, given: Prompted, now: float) -> Step:
    offer = state.offer
    if given.entry is not None and offer is not None and given.entry == offer.id and offer.prompt_id is None:
        seen = replace(offer, prompt_id=given.prompt_id, seen_at=now)
        state = replace(_turn(state, "busy", now), offer=seen)
        return state, [Record(offer.id, "seen", offer.attempt)]
    if given.entry is not None and (given.entry in state.ended or (offer is not None and given.entry == offer.id)):
        return state, [Refuse(given.entry)]
    return _turn(state, "busy", now), []


def _stopped(state: State, given: Stopped, now: float) -> Step:
    state = _turn(state, "idle", now)
    offer = state.offer
    if offer is None or offer.prompt_id != given.prompt_id:
        return state, []
    outcome: Observed = "failed" if given.error else "handled"
    state = _end(replace(state, offer=None), offer.id)
    return state, [Record(offer.id, outcome, offer.attempt, given.error)]


def _offer_lost(state: State, given: OfferLost, now: float) -> Step:
    offer = state.offer
    if offer is None or offer.id != given.entry or offer.prompt_id is not None:
        return state, []
    return replace(state, offer=replace(offer, error=given.error)), []


def _failed(state: State, given: Failed, now: float) -> Step:
    offer = state.offer
    if offer is not None and offer.id == given.entry:
        attempt, state = offer.attempt, replace(state, offer=None)
    else:
        waiting = next((p for p in state.queue if p.id == given.entry), None)
        if waiting is None:
            return state, []
        attempt = max(1, waiting.attempts)
        state = replace(state, queue=tuple(p for p in state.queue if p is not waiting))
    return _end(state, given.entry), [Record(given.entry, "failed", attempt, given.detail, by_tool=True)]


def _died(state: State, given: Died, now: float) -> Step:
    offer = state.offer
    state = replace(_turn(state, "down", now), linked=False, offer=None)
    if offer is None:
        return state, []
    if offer.attempt >= state.policy.max_attempts:
        return _end(state, offer.id), [Record(offer.id, "dead", offer.attempt, "the session died each time")]
    again = Pending(id=offer.id, attempts=offer.attempt, repeat=offer.repeat or offer.prompt_id is not None)
    return replace(state, queue=(again, *state.queue)), []


def _repeat_due(state: State, offer: Offer) -> float:
    wait = state.policy.seen_timeout_s * float(2 ** (offer.attempt - 1))
    return max(offer.at, state.since) + wait


def _interrupt_due(state: State, offer: Offer) -> float:
    return max(offer.seen_at, state.since) + INTERRUPT_GRACE_S


def _ticked(state: State, given: Ticked, now: float) -> Step:
    offer = state.offer
    if offer is None or state.phase != "idle":
        return state, []
    if offer.prompt_id is not None:
        if now < _interrupt_due(state, offer):
            return state, []
        state = _end(replace(state, offer=None), offer.id)
        return state, [Record(offer.id, "failed", offer.attempt, "interrupted")]
    if not state.linked or now < _repeat_due(state, offer):
        return state, []
    if offer.attempt >= state.policy.max_attempts:
        detail = offer.error or f"not seen after {offer.attempt} offers"
        return _end(replace(state, offer=None), offer.id), [Record(offer.id, "dead", offer.attempt, detail)]
    again = Pending(id=offer.id, attempts=offer.attempt, repeat=offer.repeat)
    return _send(replace(state, offer=None), again, now)


_STEPS: dict[type, Callable[[State, Any, float], Step]] = {
    Arrived: _arrived,
    Linked: _linked,
    Noticed: _observed,
    Prompted: _prompted,
    Stopped: _stopped,
    OfferLost: _offer_lost,
    Failed: _failed,
    Died: _died,
    Ticked: _ticked,
    Next: _offer_next,
}

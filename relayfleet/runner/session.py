"""The life of a session and of the entries that it is working on, decided: `step(state, input, now) -> state, effects`.

Pure: no clock, no I/O. `_STEPS` is the whole table. After each input comes a `Next`: that entries are offered is a step
of its own, so that an offer that cannot be recorded undoes nothing else. Inputs and effects are named tuples, which
take a fraction of the time of dataclasses to define: this is imported by every runner. The rules it keeps:

- One unconfirmed offer at a time, of one entry or of a batch. Mode `turn` makes it to an idle session only: the end of
  one turn is what lets the next entry go. Mode `steer` makes it to a busy one, too, which takes it into its turn.
- `seen` and `handled` come from the session's hooks and nothing else. Seen and then idle without the turn's Stop is
  `failed: interrupted`: a person pressed Esc.
- An offer without a receipt is offered again after `seen_timeout_s` of idle time, twice as long each time, and is dead
  after `max_attempts`; while no shim is there to write it, it waits. A copy that arrives late is refused at the hook,
  so that it makes no second turn. What was offered before is offered alone: one bad entry takes no others with it.
- What was offered to a session that died is offered again; if its turn had begun, the repeat says so. So does that of
  a turn that the model broke off because it was not available, after a while in which nothing is offered.
- What was not seen in time is dead: expired. The clock may be set back: no wait grows by that.
- While somebody holds the session (a person drives its terminal, its login expired), nothing is offered to it. What is
  observed of what was offered before counts as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Literal, NamedTuple

from relayfleet.model.agent import InboxPolicy
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import EntryState
from relayfleet.model.turn import Repeat

Phase = Literal["starting", "idle", "busy", "waiting", "down"]

# After Esc the session shows idle; a Stop that is on its way arrives well within this.
INTERRUPT_GRACE_S = 2.0
# The session's inbox socket loses without a word what goes beyond 30 messages at once and one every two seconds.
PACE_S, BURST = 2.0, 25
_MODEL_BACK_OFF_S, _MODEL_BACK_OFF_MAX_S = 5.0, 300.0
_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An entry on its way: `attempts` offers were made of it, `repeat` says why a turn of it may have begun before. The
    higher `priority` goes first. `size` is how long its texts are, `expires` when it is dead unless it was seen."""

    id: EntryId
    attempts: int = 0
    repeat: Repeat = ""
    priority: int = 0
    size: int = 0
    expires: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The entries that the session was offered, and did not confirm yet."""

    entries: tuple[Pending, ...]
    at: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The entries that the session saw in one turn: the one that began with them, or that took them in."""

    prompt_id: str
    entries: tuple[Pending, ...]
    seen_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`since` is when `phase` began, by the runner's clock, and `now` when the last input came. `ended` are the last
    entries that came to an end. `holds` is who holds the session, `free_since` when the last of them let go. Nothing is
    offered before `resume_at` (the model was not available) and faster than `paced_until` allows. `expiry` is when the
    next entry may expire."""

    phase: Phase = "starting"
    since: float = 0.0
    now: float = 0.0
    linked: bool = False
    queue: tuple[Pending, ...] = ()
    offer: Offer | None = None
    turns: tuple[Turn, ...] = ()
    ended: tuple[EntryId, ...] = ()
    holds: frozenset[str] = frozenset()
    free_since: float = 0.0
    resume_at: float = 0.0
    paced_until: float = 0.0
    expiry: float = inf
    policy: InboxPolicy = field(default_factory=InboxPolicy)


# ---- what can happen


class Arrived(NamedTuple):
    """Entries were added to the inbox."""

    entries: tuple[Pending, ...]


class Retried(NamedTuple):
    """Entries that had ended are queued again; that is on record."""

    entries: tuple[Pending, ...]


class Dropped(NamedTuple):
    """Entries are not wanted any more; that is on record."""

    entries: tuple[EntryId, ...]


class Linked(NamedTuple):
    """The shim joined (or left)."""

    up: bool


class Held(NamedTuple):
    """Somebody holds the session (or lets go of it): `by` names who or what, such as "driver" or "login". Several may
    at once; saying the same again changes nothing."""

    by: str
    up: bool


class Noticed(NamedTuple):
    """The session's own registry says so; `at` is when its status changed, by the same clock as `now`."""

    phase: Phase
    at: float


class Prompted(NamedTuple):
    """A prompt was submitted, or taken into the turn `prompt_id`; `entries` are the ids in its frames."""

    prompt_id: str
    entries: tuple[EntryId, ...] = ()


class Stopped(NamedTuple):
    """A turn came to its end; `error` when the model refused it, `passing` when it may not the next time."""

    prompt_id: str
    error: str = ""
    passing: bool = False


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
    """The next entries may go, if the session is free for them."""


Input = (
    Arrived
    | Retried
    | Dropped
    | Linked
    | Held
    | Noticed
    | Prompted
    | Stopped
    | OfferLost
    | Failed
    | Died
    | Ticked
    | Next
)


# ---- what is to be done


class Record(NamedTuple):
    """Write a receipt, durably, before anything that follows."""

    entry: EntryId
    state: EntryState
    attempt: int = 1
    detail: str = ""
    by_tool: bool = False


class Send(NamedTuple):
    """Offer entries to the session, together: into the turn that is under way when it is to `steer`."""

    entries: tuple[Pending, ...]
    steer: bool


class Refuse(NamedTuple):
    """Block the prompt that was just submitted: it is a late copy of these."""

    entries: tuple[EntryId, ...]


Effect = Record | Send | Refuse
Step = tuple[State, list[Effect]]


def step(state: State, given: Input, *, now: float) -> Step:
    """The next state and what is to be done, in order."""
    if now < state.now:
        state = _set_back(state, now)
    return _STEPS[type(given)](replace(state, now=now), given, now)


def next_tick(state: State, *, now: float) -> float | None:
    """Seconds until time alone can change something, None when it cannot."""
    due = state.expiry
    if _may_offer(state):
        due = min(due, _offer_due(state))
    if state.phase == "idle":
        due = min([due, *(_interrupt_due(state, turn) for turn in state.turns)])
        if state.offer is not None and state.linked and not state.holds:
            due = min(due, _repeat_due(state, state.offer))
    return None if due == inf else max(0.0, due - now)


def _set_back(state: State, now: float) -> State:
    """The clock was set back: what began, began now at the latest."""
    offer = state.offer
    return replace(
        state,
        since=min(state.since, now),
        free_since=min(state.free_since, now),
        offer=replace(offer, at=min(offer.at, now)) if offer is not None else None,
        turns=tuple(replace(turn, seen_at=min(turn.seen_at, now)) for turn in state.turns),
        resume_at=min(state.resume_at, now + _MODEL_BACK_OFF_MAX_S),
        paced_until=min(state.paced_until, now + BURST * PACE_S),
    )


# ---- offers


def _may_offer(state: State) -> bool:
    """Whether nothing but time keeps the next entries back."""
    if not state.queue or state.offer is not None or not state.linked or state.holds:
        return False
    if state.phase == "busy":
        return state.policy.mode == "steer"
    return state.phase == "idle" and not state.turns


def _offer_due(state: State) -> float:
    return max(state.resume_at, state.paced_until - (BURST - 1) * PACE_S)


def _offer_next(state: State, given: Next, now: float) -> Step:
    if not _may_offer(state) or now < _offer_due(state):
        return state, []
    batch = tuple(replace(entry, attempts=entry.attempts + 1) for entry in _next_batch(state))
    state = replace(
        state,
        queue=state.queue[len(batch) :],
        offer=Offer(entries=batch, at=now),
        paced_until=max(state.paced_until, now) + PACE_S,
    )
    offered: list[Effect] = [Record(e.id, "offered", e.attempts, _AGAIN[e.repeat]) for e in batch]
    return state, [*offered, Send(batch, state.phase == "busy")]


_AGAIN: dict[Repeat, str] = {
    "": "",
    "session-died": "again: the session died in this turn",
    "model-failed": "again: the model was not available in this turn",
    "retried": "",
}


def _next_batch(state: State) -> tuple[Pending, ...]:
    """The head of the queue; what was offered before goes alone, and together they are no longer than one may be."""
    head, *others = state.queue[: state.policy.batch]
    batch, size = [head], head.size
    for entry in others:
        size += entry.size
        if head.attempts or entry.attempts or size > state.policy.max_turn_chars:
            break
        batch.append(entry)
    return tuple(batch)


def _queued(state: State, entries: Iterable[Pending]) -> State:
    # What was offered before stays ahead: nobody knows whether the session saw it.
    queue = sorted((*state.queue, *entries), key=lambda pending: (pending.attempts == 0, -pending.priority))
    return replace(state, queue=tuple(queue), expiry=min([state.expiry, *(entry.expires for entry in entries)]))


def _again(state: State, entries: Iterable[Pending]) -> State:
    """Back to the head of the queue, in their order."""
    back = tuple(entries)
    return replace(state, queue=back + state.queue, expiry=min([state.expiry, *(entry.expires for entry in back)]))


def _end(state: State, *entries: EntryId) -> State:
    return replace(state, ended=(*state.ended, *entries)[-_REMEMBERED:])


def _without(state: State, gone: frozenset[EntryId]) -> State:
    """None of these waits, is offered, or has a turn any more."""

    def rest(entries: tuple[Pending, ...]) -> tuple[Pending, ...]:
        return tuple(entry for entry in entries if entry.id not in gone)

    offer = state.offer
    if offer is not None:
        left = rest(offer.entries)
        offer = replace(offer, entries=left) if left else None
    turns = tuple(replace(turn, entries=left) for turn in state.turns if (left := rest(turn.entries)))
    return replace(state, queue=rest(state.queue), offer=offer, turns=turns)


def _unconfirmed(state: State) -> tuple[Pending, ...]:
    return (*(state.offer.entries if state.offer is not None else ()), *state.queue)


def _expire(state: State, now: float) -> Step:
    if now < state.expiry:
        return state, []
    late = [entry for entry in _unconfirmed(state) if entry.expires <= now]
    state = _without(state, frozenset(entry.id for entry in late))
    expiry = min((entry.expires for entry in _unconfirmed(state)), default=inf)
    state = _end(replace(state, expiry=expiry), *(entry.id for entry in late))
    return state, [Record(entry.id, "dead", max(1, entry.attempts), "expired") for entry in late]


# ---- the table


def _arrived(state: State, given: Arrived, now: float) -> Step:
    return _expire(_queued(state, given.entries), now)


def _retried(state: State, given: Retried, now: float) -> Step:
    ids = frozenset(entry.id for entry in given.entries)
    state = _without(state, ids)
    return _arrived(replace(state, ended=tuple(i for i in state.ended if i not in ids)), Arrived(given.entries), now)


def _dropped(state: State, given: Dropped, now: float) -> Step:
    gone = frozenset(given.entries) & {entry.id for entry in _unconfirmed(state)}
    return _end(_without(state, gone), *gone), []


def _linked(state: State, given: Linked, now: float) -> Step:
    return replace(state, linked=given.up), []


def _held(state: State, given: Held, now: float) -> Step:
    holds = state.holds | {given.by} if given.up else state.holds - {given.by}
    if holds == state.holds:
        return state, []
    return replace(state, holds=holds, free_since=state.free_since if holds else now), []


def _phase(state: State, phase: Phase, at: float) -> State:
    return state if state.phase == phase else replace(state, phase=phase, since=at)


def _observed(state: State, given: Noticed, now: float) -> Step:
    # The hooks are quicker than the registry: what it says of a time before the last change is old.
    if given.at < state.since and state.phase not in ("starting", "down"):
        return state, []
    return _phase(state, given.phase, max(given.at, state.since)), []


def _prompted(state: State, given: Prompted, now: float) -> Step:
    told = frozenset(given.entries)
    offered = {entry.id for entry in state.offer.entries} if state.offer is not None else set()
    seen = tuple(e for e in _unconfirmed(state) if e.id in told and (e.id in offered or e.attempts))
    done = {*state.ended, *(entry.id for turn in state.turns for entry in turn.entries)}
    if told & done or (not seen and told & {entry.id for entry in state.queue}):
        return state, [Refuse(given.entries)]
    state = _phase(_without(state, frozenset(entry.id for entry in seen)), "busy", now)
    if not seen:
        return state, []
    turns = tuple(turn for turn in state.turns if turn.prompt_id != given.prompt_id)
    before = tuple(e for turn in state.turns if turn.prompt_id == given.prompt_id for e in turn.entries)
    turn = Turn(prompt_id=given.prompt_id, entries=before + seen, seen_at=now)
    return replace(state, turns=(*turns, turn)), [Record(e.id, "seen", e.attempts) for e in seen]


def _stopped(state: State, given: Stopped, now: float) -> Step:
    state = _phase(state, "idle", now)
    turn = next((turn for turn in state.turns if turn.prompt_id == given.prompt_id), None)
    if turn is None:
        return state, []
    state = _without(state, frozenset(entry.id for entry in turn.entries))
    back = [e for e in turn.entries if given.error and given.passing and e.attempts < state.policy.max_attempts]
    over = [entry for entry in turn.entries if entry not in back]
    outcome: EntryState = "failed" if given.error else "handled"
    state = _again(_end(state, *(e.id for e in over)), (replace(e, repeat="model-failed", expires=inf) for e in back))
    if given.error and given.passing:
        wait = _MODEL_BACK_OFF_S * 2 ** min(10, max(entry.attempts for entry in turn.entries) - 1)
        state = replace(state, resume_at=now + min(wait, _MODEL_BACK_OFF_MAX_S))
    return state, [
        *(Record(e.id, "queued", e.attempts, f"again: {given.error}") for e in back),
        *(Record(e.id, outcome, e.attempts, given.error) for e in over),
    ]


def _offer_lost(state: State, given: OfferLost, now: float) -> Step:
    offer = state.offer
    if offer is None or all(entry.id != given.entry for entry in offer.entries):
        return state, []
    return replace(state, offer=replace(offer, error=given.error)), []


def _failed(state: State, given: Failed, now: float) -> Step:
    known = (*_unconfirmed(state), *(entry for turn in state.turns for entry in turn.entries))
    found = next((entry for entry in known if entry.id == given.entry), None)
    if found is None:
        return state, []
    state = _end(_without(state, frozenset({found.id})), found.id)
    return state, [Record(found.id, "failed", max(1, found.attempts), given.detail, by_tool=True)]


def _died(state: State, given: Died, now: float) -> Step:
    seen = tuple(replace(e, repeat="session-died", expires=inf) for turn in state.turns for e in turn.entries)
    offered = state.offer.entries if state.offer is not None else ()
    state = replace(_phase(state, "down", now), linked=False, offer=None, turns=(), paced_until=0.0)
    return _offer_again(state, (*seen, *offered), "the session died each time")


def _offer_again(state: State, entries: tuple[Pending, ...], detail: str) -> Step:
    """Those that had all their attempts are dead."""
    dead = [entry for entry in entries if entry.attempts >= state.policy.max_attempts]
    state = _again(state, (entry for entry in entries if entry not in dead))
    return _end(state, *(e.id for e in dead)), [Record(e.id, "dead", e.attempts, detail) for e in dead]


def _repeat_due(state: State, offer: Offer) -> float:
    attempt = max(entry.attempts for entry in offer.entries)
    wait = state.policy.seen_timeout_s * 2.0 ** (attempt - 1)
    return max(offer.at, state.since, state.free_since) + wait


def _interrupt_due(state: State, turn: Turn) -> float:
    return max(turn.seen_at, state.since) + INTERRUPT_GRACE_S


def _ticked(state: State, given: Ticked, now: float) -> Step:
    state, effects = _expire(state, now)
    if state.phase != "idle":
        return state, effects
    broken = [e for turn in state.turns if now >= _interrupt_due(state, turn) for e in turn.entries]
    state = _end(_without(state, frozenset(e.id for e in broken)), *(e.id for e in broken))
    effects += [Record(e.id, "failed", e.attempts, "interrupted") for e in broken]
    offer = state.offer
    if offer is None or not state.linked or state.holds or now < _repeat_due(state, offer):
        return state, effects
    attempts = max(entry.attempts for entry in offer.entries)
    detail = offer.error or f"not seen after {attempts} offers"
    state, dead = _offer_again(replace(state, offer=None), offer.entries, detail)
    return state, effects + dead


_STEPS: dict[type, Callable[[State, Any, float], Step]] = {
    Arrived: _arrived,
    Retried: _retried,
    Dropped: _dropped,
    Linked: _linked,
    Held: _held,
    Noticed: _observed,
    Prompted: _prompted,
    Stopped: _stopped,
    OfferLost: _offer_lost,
    Failed: _failed,
    Died: _died,
    Ticked: _ticked,
    Next: _offer_next,
}

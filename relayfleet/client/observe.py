"""Observes agents: their locks, what their runners answer, and, where nobody answers, their files."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from relayfleet.client.control import ask_all
from relayfleet.config.roster import Member
from relayfleet.model.layout import AgentLayout, FleetLayout
from relayfleet.model.receipt import ENTRY_STATES, states_of
from relayfleet.model.status import AgentState, AgentStatus
from relayfleet.model.wish import Wish
from relayfleet.store.failure import read_failure
from relayfleet.store.inbox import read_entries
from relayfleet.store.intent import down_since, read_wish, rests
from relayfleet.store.lock import LockHolder, holder_of, is_held
from relayfleet.store.receipts import read_receipts
from relayfleet.store.sockets import sockets_of

if TYPE_CHECKING:
    from relayfleet.model.supervision import Past

ANSWER_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keeping:
    """Who keeps the fleet up: since when it rests, whether a supervisor lives, and what it wrote down."""

    down: float | None
    supervised: bool
    memory: Mapping[str, Past]


def observe(
    layout: FleetLayout, fleet_id: str | None, members: Sequence[Member], *, timeout_s: float = ANSWER_WITHIN_S
) -> list[AgentStatus]:
    """The status of each, in order; one deadline for all answers."""
    holders = {m.name: holder_of(layout.agent(m.name).runner_lock) for m in members}
    answers: dict[str, dict[str, Any] | None] = {}
    if fleet_id is not None:
        sockets = sockets_of(fleet_id)
        paths = {str(name): sockets.control(name) for name, holder in holders.items() if holder is not None}
        answers = ask_all(paths, {"op": "status"}, timeout_s=timeout_s)
    keeping = _Keeping(
        down=down_since(layout.supervisor_intent),
        supervised=is_held(str(layout.supervisor_lock)),
        memory=_memory(layout) if None in holders.values() else {},
    )
    found = [_status(m, layout.agent(m.name), holders[m.name], answers.get(m.name), keeping) for m in members]
    return [_with_fault(status, m.fault) if m.fault else status for status, m in zip(found, members, strict=True)]


def _memory(layout: FleetLayout) -> Mapping[str, Past]:
    """What the supervisor wrote down. A fleet without one need not wait for what that takes to import."""
    if not layout.supervisor_memory.exists():
        return {}
    from relayfleet.store.supervision import read_memory

    return read_memory(layout.supervisor_memory)


def _with_fault(status: AgentStatus, fault: str) -> AgentStatus:
    """A running agent goes on with the configuration that it was started with; it could not be started again."""
    return replace(status, detail=f"{fault}; {status.detail}" if status.detail else fault)


def _status(
    member: Member, layout: AgentLayout, holder: LockHolder | None, answer: dict[str, Any] | None, keeping: _Keeping
) -> AgentStatus:
    if holder is None:
        return _without_runner(member, layout, keeping)
    if answer is None:
        return AgentStatus(
            name=member.name,
            role=member.role,
            backend=member.backend,
            state="unresponsive",
            pid=holder.pid,
            session_id=_session_id(layout),
            inbox=count_inbox(layout),
            observed_age_s=None,
            detail="the runner lives and does not answer",
            reason="unresponsive",
        )
    return AgentStatus(
        name=member.name,
        role=member.role,
        backend=member.backend,
        state=answer["state"],
        pid=holder.pid,
        session_id=answer["session_id"],
        inbox=answer["inbox"],
        observed_age_s=answer["observed_age_s"],
        evidence=answer.get("evidence"),
        detail=answer["detail"],
        hint=str(answer.get("hint", "")),
        reason=answer.get("reason"),
        version=answer.get("version"),
    )


def _without_runner(member: Member, layout: AgentLayout, keeping: _Keeping) -> AgentStatus:
    wish = read_wish(layout.intent)
    state, detail, hint, reason, next_try_s = _why_down(str(member.name), layout, wish, keeping)
    return AgentStatus(
        name=member.name,
        role=member.role,
        backend=member.backend,
        state=state,
        pid=None,
        session_id=_session_id(layout),
        inbox=count_inbox(layout),
        observed_age_s=None,
        detail=detail,
        hint=hint,
        reason=reason,
        next_try_s=next_try_s,
    )


_Why = tuple[AgentState, str, str, str | None, float | None]


def _why_down(name: str, layout: AgentLayout, wish: Wish, keeping: _Keeping) -> _Why:
    """State, detail, hint, reason and in how many seconds it is tried again, of an agent without a runner."""
    if not wish.wanted:
        return "stopped", "", "", None, None
    if rests(wish, keeping.down):
        return "stopped", "the fleet is down", "run `fleet up`", None, None
    past = keeping.memory.get(name)
    if past is not None and past.wish != wish.since:
        past = None  # of an earlier wish
    if keeping.supervised and (past is None or past.phase not in ("up", "down", "waiting", "held")):
        if past is not None and past.phase == "queued":
            return "queued", past.detail, "", past.reason, None
        launched = past is not None and past.phase == "coming"
        detail = "it was launched a moment ago" if launched else "the supervisor is about to start it"
        return "starting", detail, "", past.reason if past is not None else None, None
    if wish.queued and not keeping.supervised and not _was_launched_since(layout, wish.since):
        return "queued", wish.queued, "no supervisor runs: `fleet up` starts it when there is room", None, None
    return _why_failed(name, read_failure(layout.failure), past, supervised=keeping.supervised)


def _why_failed(name: str, failure: Mapping[str, Any], past: Past | None, *, supervised: bool) -> _Why:
    """What it wrote when it gave up, unless the supervisor knows more."""
    from relayfleet.model.fault import as_reason, hint_for

    reason = as_reason(failure.get("reason")) if failure else "killed"
    detail, hint = str(failure.get("error", "its runner is gone")), str(failure.get("hint", ""))
    next_try_s = None
    if past is not None and past.reason is not None and (past.phase == "held" or supervised):
        reason, detail = past.reason, past.detail or detail
        hint = hint if failure and reason != "storm" else ""
    if past is not None and supervised and past.phase in ("up", "down", "waiting"):
        # `up`: the supervisor has not looked since it died, and decides within moments.
        next_try_s = round(max(0.0, past.next_try_at - time.time()), 3) if past.phase != "up" else 0.0
    hint = hint or (hint_for(reason, name) if reason else f"see `fleet logs {name} --runner`")
    return "failed", detail, hint, reason, next_try_s


def _was_launched_since(layout: AgentLayout, since: float) -> bool:
    try:
        return layout.launch.stat().st_mtime > since
    except OSError:
        return False


def count_inbox(layout: AgentLayout) -> dict[str, int]:
    """How many entries are in which state, from the files."""
    states = states_of(read_receipts(layout.receipts))
    counts = Counter(states.get(entry.id, "queued") for entry in read_entries(layout.inbox))
    return {state: counts[state] for state in ENTRY_STATES}


def _session_id(layout: AgentLayout) -> str | None:
    try:
        return str(json.loads(layout.session.read_bytes())["session_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

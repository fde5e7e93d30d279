"""Observes agents: their locks, what their runners answer, and, where nobody answers, their files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from relayfleet.client.control import ask_all
from relayfleet.config.roster import Member
from relayfleet.model.layout import AgentLayout, FleetLayout
from relayfleet.model.receipt import ENTRY_STATES, states_of
from relayfleet.model.status import AgentStatus
from relayfleet.store.failure import read_failure
from relayfleet.store.inbox import read_entries
from relayfleet.store.intent import read_intent
from relayfleet.store.lock import LockHolder, holder_of
from relayfleet.store.receipts import read_receipts
from relayfleet.store.sockets import sockets_of

ANSWER_WITHIN_S = 2.0


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
    found = [_status(m, layout.agent(m.name), holders[m.name], answers.get(m.name)) for m in members]
    return [_with_fault(status, m.fault) if m.fault else status for status, m in zip(found, members, strict=True)]


def _with_fault(status: AgentStatus, fault: str) -> AgentStatus:
    """A running agent goes on with the configuration that it was started with; it could not be started again."""
    return replace(status, detail=f"{fault}; {status.detail}" if status.detail else fault)


def _status(
    member: Member, layout: AgentLayout, holder: LockHolder | None, answer: dict[str, Any] | None
) -> AgentStatus:
    if holder is None:
        return _without_runner(member, layout)
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
        detail=answer["detail"],
    )


def _without_runner(member: Member, layout: AgentLayout) -> AgentStatus:
    wanted = read_intent(layout.intent) == "running"
    failure = read_failure(layout.failure) if wanted else {}
    return AgentStatus(
        name=member.name,
        role=member.role,
        backend=member.backend,
        state="failed" if wanted else "stopped",
        pid=None,
        session_id=_session_id(layout),
        inbox=count_inbox(layout),
        observed_age_s=None,
        detail=str(failure.get("error", "its runner is gone")) if wanted else "",
        hint=str(failure.get("hint") or f"see `fleet logs {member.name} --runner`") if wanted else "",
    )


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

"""Asks the runners of a fleet what their sessions wait for, and answers it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from relayfleet.client.control import ask_all
from relayfleet.config.roster import Roster
from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.approval import Behaviour, decided_before
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.approval import Ruling
from relayfleet.store.approvals import read_rulings
from relayfleet.store.lock import holder_of
from relayfleet.store.sockets import sockets_of

_ANSWER_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """`approvals` are as in `fleet approvals --json`, the oldest first; `silent` are agents whose runners gave no
    answer."""

    approvals: tuple[Mapping[str, Any], ...]
    silent: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person decided. `text` answers a question."""

    behaviour: Behaviour
    by: str
    reason: str = ""
    always: bool = False
    text: str | None = None


def waiting(layout: FleetLayout, roster: Roster) -> Waiting:
    answers = _ask(layout, roster, {"op": "approvals"})
    found = [one for answer in answers.values() if answer for one in answer.get("approvals", ())]
    return Waiting(
        approvals=tuple(sorted(found, key=lambda one: (one.get("since", 0), one.get("id", "")))),
        silent=tuple(name for name, answer in answers.items() if answer is None or not answer.get("ok")),
    )


def decide(layout: FleetLayout, roster: Roster, approval_id: str, answer: Answer) -> dict[str, Any]:
    """{"agent", "tool", "always", "note"}. Raises FleetError when nobody waits for this answer any more, was refused
    it, or it cannot be given so."""
    doing = f"{'approve' if answer.behaviour == 'allow' else 'deny'} {approval_id!r}"
    request = {
        "op": "decide",
        "id": approval_id,
        "behaviour": answer.behaviour,
        "by": answer.by,
        "reason": answer.reason,
        "always": answer.always,
        "answer": answer.text,
    }
    answers = _ask(layout, roster, request)
    for said in answers.values():
        if said is not None and said.get("ok"):
            return {key: said.get(key) for key in ("agent", "tool", "always", "note")}
        if said is not None and not said.get("unknown"):
            error = str(said.get("error", ""))
            raise FleetError(doing, error.partition(": ")[2] or error, hint=str(said.get("hint", "")))
    raise FleetError(doing, _why_not(layout, roster, approval_id), hint="see `fleet approvals`")


def _ask(layout: FleetLayout, roster: Roster, request: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    if roster.fleet_id is None:
        return {}
    sockets = sockets_of(roster.fleet_id)
    running = [m.name for m in roster.members if holder_of(layout.agent(m.name).runner_lock) is not None]
    return ask_all({str(name): sockets.control(name) for name in running}, request, timeout_s=_ANSWER_WITHIN_S)


def _why_not(layout: FleetLayout, roster: Roster, approval_id: str) -> str:
    """What the files say of an approval that no runner knows."""
    last = None
    for agent, ruling in _rulings(layout, roster):
        if ruling.id == approval_id:
            last = (agent, ruling)
    if last is None:
        return "there is none of this id"
    agent, ruling = last
    if ruling.state == "decided" and ruling.behaviour is not None:
        return decided_before(ruling.behaviour, ruling.by)
    if ruling.state == "withdrawn":
        return f"nothing of {agent!r} waits for it any more: {ruling.reason}"
    return f"nothing of {agent!r} waits for it any more: its session ended"


def _rulings(layout: FleetLayout, roster: Roster) -> Iterator[tuple[str, Ruling]]:
    for member in roster.members:
        with suppress(StorageFailed):
            for ruling in read_rulings(layout.agent(member.name).approvals):
                yield member.name, ruling

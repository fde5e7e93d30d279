"""Observes the supervisor, and has it look."""

from __future__ import annotations

from typing import Any

from relayfleet.client.control import ask_all
from relayfleet.model.layout import FleetLayout
from relayfleet.store.failure import read_failure
from relayfleet.store.intent import down_since, read_intent
from relayfleet.store.lock import holder_of
from relayfleet.store.sockets import sockets_of

ANSWER_WITHIN_S = 2.0
_LOOKED_WITHIN_S = 10.0  # it may be ending one that does not answer
NAME = "supervisor"


def observe_supervisor(layout: FleetLayout, fleet_id: str | None) -> dict[str, Any]:
    """{"state", "pid", "down", ...}: `running` with what it answers, `stopped`, `failed` (wanted, and gone) with
    "error" and "hint", or `unresponsive`. "down" says whether the fleet rests."""
    holder = holder_of(layout.supervisor_lock)
    down = down_since(layout.supervisor_intent) is not None
    if holder is None:
        if read_intent(layout.supervisor_intent) != "running":
            return {"state": "stopped", "pid": None, "down": down}
        failure = read_failure(layout.supervisor_failure)
        return {
            "state": "failed",
            "pid": None,
            "down": down,
            "error": str(failure.get("error", "the supervisor is gone")),
            "hint": str(failure.get("hint") or "start it with `fleet up`; see `fleet logs supervisor`"),
        }
    answer = _ask(fleet_id, "status")
    if answer is None:
        return {"state": "unresponsive", "pid": holder.pid, "down": down}
    said = {key: value for key, value in answer.items() if key != "ok"}
    return {"state": "running", "pid": holder.pid, "down": down} | said


def call_supervisor(layout: FleetLayout, fleet_id: str | None) -> bool:
    """Has it look at what is wanted now; whether it is there and answered."""
    if holder_of(layout.supervisor_lock) is None:
        return False
    return _ask(fleet_id, "look", within_s=_LOOKED_WITHIN_S) is not None


def stop_supervisor(fleet_id: str | None) -> None:
    """Asks it to end; nobody there is no error."""
    _ask(fleet_id, "stop")


def _ask(fleet_id: str | None, op: str, *, within_s: float = ANSWER_WITHIN_S) -> dict[str, Any] | None:
    if fleet_id is None:
        return None
    path = sockets_of(fleet_id).control(NAME)
    answer = ask_all({NAME: path}, {"op": op}, timeout_s=within_s)[NAME]
    return answer if answer is not None and answer.get("ok") else None

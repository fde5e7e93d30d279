"""What the runner's control socket is asked about approvals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.runner.approvals import Approvals
from relayfleet.wire.control import refusal

Message = Mapping[str, Any]


class ApprovalRequests:
    """`is_agents` tells of a process whether it is inside an agent's session: those may not answer for a person."""

    def __init__(self, approvals: Approvals, *, is_agents: Callable[[int], bool]) -> None:
        self._approvals = approvals
        self._is_agents = is_agents

    def on_list(self, request: Message) -> Message:
        """{"op": "approvals"} -> {"ok": true, "approvals": [...]}"""
        return {"ok": True, "approvals": self._approvals.listed()}

    def on_decide(self, request: Message) -> Message:
        """{"op": "decide", "id", "behaviour", "by", "reason", "always", "answer"} -> {"ok": true, "agent", "tool",
        "always", "note"}; a refusal has "unknown" when no approval of this runner has the id."""
        behaviour, answer = request.get("behaviour"), request.get("answer")
        if behaviour not in ("allow", "deny"):
            return refusal("cannot decide: it is to be allow or deny")
        pid = request.get("caller_pid")
        if isinstance(pid, int) and self._is_agents(pid):
            return refusal("cannot decide: it is for the operator, not for agents", "ask the operator to run it")
        try:
            done = self._approvals.decide(
                str(request.get("id")),
                behaviour,
                by=str(request.get("by") or "somebody")[:200],
                reason=str(request.get("reason") or ""),
                always=request.get("always") is True,
                answer=answer if isinstance(answer, str) else None,
            )
        except FleetError as error:
            return refusal(str(error), error.hint)
        if done is None:
            return {**refusal(f"cannot decide: no approval is called {request.get('id')!r}"), "unknown": True}
        return {"ok": True, **done}

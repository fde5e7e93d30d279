"""What the session's hooks say, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from relayfleet.errors import StorageFailed
from relayfleet.model.approval import FORM, About, Decision, Request
from relayfleet.model.entry import Entry
from relayfleet.model.turn import ids_in_frames
from relayfleet.model.writing import writings_in
from relayfleet.ports.authorship import Writings
from relayfleet.ports.log import Log
from relayfleet.runner import session as s
from relayfleet.runner.approvals import Approvals
from relayfleet.runner.deliveries import Deliveries
from relayfleet.runner.refusals import trouble_of

Payload = Mapping[str, Any]
Answer = Mapping[str, Any]


class HookEvents:
    """One method per event; what is not known is answered with nothing, which lets the session go on."""

    def __init__(
        self,
        deliveries: Deliveries,
        approvals: Approvals,
        *,
        writings: Writings,
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._deliveries = deliveries
        self._approvals = approvals
        self._writings = writings
        self._log = log
        self._clock = clock
        self._by_event: dict[str, Callable[[Payload], Awaitable[Answer]]] = {
            "UserPromptSubmit": self._prompted,
            "Stop": self._stopped,
            "StopFailure": self._refused,
            "PostToolUse": self._used,
            "PreToolUse": self._about_to_use,
            "PermissionRequest": self._asked,
            "Elicitation": self._asked_to_fill_in,
        }

    async def answer(self, payload: Payload) -> Answer:
        """What to say to the session; blocks a prompt that is a late copy."""
        handler = self._by_event.get(str(payload.get("hook_event_name")))
        return {} if handler is None else await handler(payload)

    async def _prompted(self, payload: Payload) -> Answer:
        entries = ids_in_frames(str(payload.get("prompt", "")))
        done = self._deliveries.feed(s.Prompted(_prompt_id(payload), entries))
        if any(isinstance(effect, s.Refuse) for effect in done):
            return {"decision": "block", "reason": "relayfleet: this entry had its turn already"}
        return {}

    async def _stopped(self, payload: Payload) -> Answer:
        words = payload.get("last_assistant_message")
        self._deliveries.conclude(_prompt_id(payload), words=words if isinstance(words, str) else "")
        return {}

    async def _refused(self, payload: Payload) -> Answer:
        kind = str(payload.get("error", "unknown error"))
        words = payload.get("last_assistant_message")
        error = f"the model refused: {kind}{f': {words}' if isinstance(words, str) else ''}"[:500]
        self._deliveries.conclude(_prompt_id(payload), error=error, passing=trouble_of(kind) is not None)
        return {}

    async def _used(self, payload: Payload) -> Answer:
        """Keeps what a tool call of the session wrote on GitHub, for the router."""
        asked, answered = payload.get("tool_input"), payload.get("tool_response")
        command = asked.get("command") if isinstance(asked, Mapping) else None
        if not isinstance(command, str):
            return {}
        printed = (answered.get("stdout"), answered.get("stderr")) if isinstance(answered, Mapping) else (answered,)
        found = writings_in(command, "\n".join(text for text in printed if isinstance(text, str)), at=self._clock())
        try:
            if found:
                self._writings.append(found)
        except StorageFailed as error:
            self._log.warning("writings.lost", str(error), hint=error.hint)
        return {}

    # ---- what is asked. The shapes of the answers: observed of Claude Code 2.1.328

    async def _about_to_use(self, payload: Payload) -> Answer:
        """Comes before Claude Code's own rules: what the policy forbids is forbidden in every mode, and what it asks
        about is asked even where they would let it through."""
        act, rule = self._approvals.before_use(self._request(payload))
        if rule is None or act == "allow":
            return {}
        return {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": act,
                "permissionDecisionReason": f"A rule of the operator's: {rule}.",
            }
        }

    async def _asked(self, payload: Payload) -> Answer:
        decision = await self._approvals.ask(self._request(payload))
        if decision is None:
            return {}
        return {"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": permission(decision)}}

    async def _asked_to_fill_in(self, payload: Payload) -> Answer:
        """An MCP server of the session's asks the user for something."""
        given = {key: payload.get(key) for key in ("mcp_server_name", "message", "mode", "url", "requested_schema")}
        request = Request(
            tool=FORM, input={k: v for k, v in given.items() if v is not None}, about=self._about(payload)
        )
        decision = await self._approvals.ask(request)
        if decision is None:
            return {}
        answer: dict[str, Any] = {"action": "decline"}
        if decision.behaviour == "allow":
            answer = {"action": "accept", "content": dict(decision.input or {})}
        return {"hookSpecificOutput": {"hookEventName": "Elicitation", **answer}}

    def _request(self, payload: Payload) -> Request:
        given, suggested = payload.get("tool_input"), payload.get("permission_suggestions")
        return Request(
            tool=str(payload.get("tool_name", "")),
            input=given if isinstance(given, Mapping) else {},
            about=self._about(payload),
            suggestions=suggested if isinstance(suggested, list) else (),
        )

    def _about(self, payload: Payload) -> About | None:
        return about(self._deliveries.entry_of(_prompt_id(payload)))


def about(entry: Entry | None) -> About | None:
    """What led to a request: the entry whose turn it is."""
    if entry is None:
        return None
    repo, number = entry.metadata.get("repo"), entry.metadata.get("number")
    return About(
        id=entry.id,
        item=f"{repo}#{number}" if repo and number else "",
        title=str(entry.metadata.get("title", ""))[:300],
    )


def permission(decision: Decision) -> Answer:
    if decision.behaviour == "deny":
        return {"behavior": "deny", "message": decision.message}
    answer: dict[str, Any] = {"behavior": "allow"}
    if decision.input is not None:
        answer["updatedInput"] = dict(decision.input)
    if decision.keep:
        answer["updatedPermissions"] = [dict(one) for one in decision.keep]
    return answer


def _prompt_id(payload: Payload) -> str:
    return str(payload.get("prompt_id", ""))

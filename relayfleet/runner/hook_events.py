"""What the session's hooks say, and what is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from relayfleet.errors import StorageFailed
from relayfleet.model.turn import id_in_frame
from relayfleet.model.writing import writings_in
from relayfleet.ports.authorship import Writings
from relayfleet.ports.log import Log
from relayfleet.runner import session as s
from relayfleet.runner.deliveries import Deliveries

Payload = Mapping[str, Any]
Answer = Mapping[str, Any]


class HookEvents:
    """One method per event; what is not known is answered with nothing, which lets the session go on."""

    def __init__(self, deliveries: Deliveries, *, writings: Writings, log: Log, clock: Callable[[], float]) -> None:
        self._deliveries = deliveries
        self._writings = writings
        self._log = log
        self._clock = clock
        self._by_event: dict[str, Callable[[Payload], Awaitable[Answer]]] = {
            "UserPromptSubmit": self._prompted,
            "Stop": self._stopped,
            "StopFailure": self._refused,
            "PostToolUse": self._used,
        }

    async def answer(self, payload: Payload) -> Answer:
        """What to say to the session; blocks a prompt that is a late copy."""
        handler = self._by_event.get(str(payload.get("hook_event_name")))
        return {} if handler is None else await handler(payload)

    async def _prompted(self, payload: Payload) -> Answer:
        entry = id_in_frame(str(payload.get("prompt", "")))
        done = self._deliveries.feed(s.Prompted(_prompt_id(payload), entry))
        if any(isinstance(effect, s.Refuse) for effect in done):
            return {"decision": "block", "reason": "relayfleet: this entry had its turn already"}
        return {}

    async def _stopped(self, payload: Payload) -> Answer:
        self._deliveries.feed(s.Stopped(_prompt_id(payload)))
        return {}

    async def _refused(self, payload: Payload) -> Answer:
        error = f"the model refused: {payload.get('error', 'unknown error')}"[:500]
        self._deliveries.feed(s.Stopped(_prompt_id(payload), error=error))
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


def _prompt_id(payload: Payload) -> str:
    return str(payload.get("prompt_id", ""))

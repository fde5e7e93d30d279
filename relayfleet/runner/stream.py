"""The way into a headless session, and what it says of itself: exact receipts, without hooks.

The session tells of each message when it takes it up and when it is done with it, by the id that it was sent with: that
id is the prompt's, and the ids in the message's frames are the entries'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relayfleet.model.approval import Request
from relayfleet.model.turn import ids_in_frames
from relayfleet.ports.log import Log
from relayfleet.runner import session as s
from relayfleet.runner.approvals import Approvals
from relayfleet.runner.deliveries import Deliveries
from relayfleet.runner.hook_events import about, permission
from relayfleet.runner.refusals import trouble_of
from relayfleet.wire.stream_json import (
    Asked,
    Began,
    Concluded,
    Ended,
    Retrying,
    Said,
    Withdrawn,
    encode_permission,
    encode_user,
)


class Stream:
    """`speak` writes a line to the session that runs. `on_refused` is told the kind of a refusal of the model's (as
    `refusals.py` names them) and its words, `on_accepted` that a turn came to its end. `detail` says what the session
    is stuck at, "" when nothing."""

    name = "stream"

    def __init__(
        self,
        deliveries: Deliveries,
        approvals: Approvals,
        *,
        speak: Callable[[bytes], None],
        on_refused: Callable[[str, str], None],
        on_accepted: Callable[[], None],
        log: Log,
    ) -> None:
        self._deliveries = deliveries
        self._approvals = approvals
        self._speak = speak
        self._on_refused = on_refused
        self._on_accepted = on_accepted
        self._log = log
        self._texts: dict[str, str] = {}
        self._questions: dict[str, asyncio.Task[None]] = {}
        self._prompt_id = ""
        self._conclusion: Concluded | None = None
        self.detail = ""

    def offer(self, entry_id: str, content: str, uuid: str, *, steer: bool = False) -> None:
        self._texts[uuid] = content
        self._speak(encode_user(content, uuid))

    def over(self) -> None:
        """The session's process is gone: nobody waits for an answer any more."""
        for question in self._questions.values():
            question.cancel()
        self._texts.clear()
        self._conclusion, self.detail = None, ""

    def take(self, said: Said) -> None:
        """What the session said."""
        match said:
            case Began(uuid):
                self._prompt_id = uuid
                self._deliveries.feed(s.Prompted(uuid, ids_in_frames(self._texts.get(uuid, ""))))
            case Ended(uuid, completed):
                self._end(uuid, completed=completed)
            case Concluded():
                self._conclusion, self.detail = said, ""
            case Retrying(attempt, status, error):
                self.detail = f"the model's endpoint refuses ({status or error}), attempt {attempt}"
                self._log.warning("model.retried", error, status=status, attempt=attempt)
            case Asked(request_id):
                asking = asyncio.ensure_future(self._ask(said))
                self._questions[request_id] = asking
                asking.add_done_callback(lambda _: self._questions.pop(request_id, None))
            case Withdrawn(request_id) if request_id in self._questions:
                self._questions[request_id].cancel()

    async def _ask(self, asked: Asked) -> None:
        request = Request(
            tool=asked.tool,
            input=asked.input,
            about=about(self._deliveries.entry_of(self._prompt_id)),
            suggestions=asked.suggestions,
        )
        decision = await self._approvals.ask(request)
        if decision is None:
            return
        answer = permission(decision)
        if decision.behaviour == "allow":
            answer = {"updatedInput": dict(asked.input), **answer}  # which has to be there
        self._speak(encode_permission(asked.request_id, answer))

    def _end(self, uuid: str, *, completed: bool) -> None:
        came, self._conclusion = self._conclusion, None
        self._texts.pop(uuid, None)
        if completed:
            self._on_accepted()
            self._deliveries.conclude(uuid, words=came.words if came is not None else "")
        elif came is None or came.fault.startswith("aborted"):
            self._deliveries.conclude(uuid, error="interrupted")
        else:
            kind, words = _kind(came), came.words or came.fault
            self._on_refused(kind, words)  # first: nothing is to be offered at the end of this turn
            error = f"the model refused: {words}"[:500]
            self._deliveries.conclude(uuid, error=error, passing=trouble_of(kind) is not None)


def _kind(came: Concluded) -> str:
    """As `refusals.py` names it. Without a status the endpoint was not reached at all."""
    status = came.status
    if status in (401, 403):
        return "authentication_failed"
    if status == 429:
        return "rate_limit"
    if status is None or status >= 500:
        return "server_error" if came.fault else "unknown"
    return came.fault

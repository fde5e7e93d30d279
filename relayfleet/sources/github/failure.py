"""Telling failures apart. The exit code of `gh` says nothing (1 means almost anything), apart from 4: no token.

The order matters: was there an answer at all, then its status, then the secondary limit, then the primary one, then
the errors inside a GraphQL answer, which come with status 200.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.ports.github import GhAnswer
from relayfleet.ports.source import Budget, Failure
from relayfleet.sources.github.answer import Answer

NO_TOKEN = 4
_MAX_MESSAGE = 300


def failure_of(answer: Answer | None, printed: GhAnswer, *, now: float) -> Failure | None:
    """None when the answer is good as far as HTTP goes. 304 is good. `now` stands in for a missing Date."""
    if answer is None:
        message = _clean(printed.stderr) or f"gh ended with {printed.code} and printed no answer"
        return Failure(kind="auth" if printed.code == NO_TOKEN else "transport", message=message)
    if answer.status < 300 or answer.status == 304:
        return None
    message = _message(answer) or _clean(printed.stderr) or f"HTTP {answer.status}"
    if answer.status == 401:
        return Failure(kind="auth", message=message, status=401)
    if answer.status >= 500:
        return Failure(kind="server", message=message, status=answer.status)
    if "retry-after" in answer.headers or "secondary rate" in message.lower():
        return Failure(
            kind="secondary", message=message, status=answer.status, wait_s=_positive(answer.number("retry-after"))
        )
    if answer.headers.get("x-ratelimit-remaining") == "0" and answer.status in (403, 429):
        return Failure(kind="primary", message=message, status=answer.status, wait_s=_until_reset(answer, now))
    if answer.status == 429:
        return Failure(kind="secondary", message=message, status=429)
    if answer.status in (404, 410, 301, 302, 307, 308):
        return Failure(kind="not_found", message=message, status=answer.status)
    if answer.status in (403, 451):
        return Failure(kind="forbidden", message=message, status=answer.status)
    return Failure(kind="refused", message=message, status=answer.status)


def failure_of_graphql(answer: Answer, body: Any, *, now: float) -> Failure | None:
    """A failure of the whole query, in an answer whose status is good. One bad alias is none."""
    if not isinstance(body, Mapping):
        return Failure(kind="server", message="the answer is not a JSON object", status=answer.status)
    errors = body.get("errors") or ()
    kinds = {error.get("type") for error in errors if isinstance(error, Mapping)}
    message = "; ".join(messages_of(errors))[:_MAX_MESSAGE]
    if "secondary rate" in message.lower():
        wait_s = _positive(answer.number("retry-after"))
        return Failure(kind="secondary", message=message, status=answer.status, wait_s=wait_s)
    if "RATE_LIMITED" in kinds:
        return Failure(kind="primary", message=message, status=answer.status, wait_s=_until_reset(answer, now))
    if isinstance(body.get("data"), Mapping):
        return None
    if "RESOURCE_LIMITS_EXCEEDED" in kinds:
        # The query was too heavy: as with a timeout, a smaller one may do.
        return Failure(kind="server", message=message, status=502)
    return Failure(kind="refused" if errors else "server", message=message or "no data", status=answer.status)


def failure_of_errors(errors: Sequence[Mapping[str, Any]]) -> Failure:
    """Why one alias has no data."""
    kinds = {error.get("type") for error in errors}
    message = "; ".join(messages_of(errors))[:_MAX_MESSAGE] or "no data"
    if "NOT_FOUND" in kinds:
        return Failure(kind="not_found", message=message, status=200)
    if kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"}:
        return Failure(kind="forbidden", message=message, status=200)
    return Failure(kind="server", message=message, status=200)


def failure_of_program(error: FleetError) -> Failure:
    """gh could not be started, or hung."""
    hint = f" ({error.hint})" if error.hint else ""
    return Failure(kind="transport", message=f"{error}{hint}")


def unreadable(answer: Answer) -> Failure:
    """The status is good, the body is not: cut off, or a web page."""
    return Failure(kind="server", message=f"the answer cannot be read ({len(answer.body)} bytes)", status=answer.status)


def budget_of(answer: Answer) -> Budget | None:
    limit, remaining = answer.number("x-ratelimit-limit"), answer.number("x-ratelimit-remaining")
    reset = answer.number("x-ratelimit-reset")
    if limit is None or remaining is None or reset is None:
        return None
    return Budget(
        resource=answer.headers.get("x-ratelimit-resource", "core"),
        limit=int(limit),
        remaining=int(remaining),
        reset_at=reset,
    )


def messages_of(errors: Iterable[Any]) -> list[str]:
    return [str(error.get("message", "")) for error in errors if isinstance(error, Mapping)]


def _message(answer: Answer) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    if not isinstance(body, Mapping):
        return ""
    found = body.get("message") or "; ".join(messages_of(body.get("errors") or ()))
    return _clean(str(found).encode())


def _clean(text: bytes) -> str:
    """One line that can go into a log: no control characters, not long."""
    decoded = " ".join(text.decode("utf-8", "replace").split())
    return "".join(char for char in decoded if char.isprintable())[:_MAX_MESSAGE]


def _until_reset(answer: Answer, now: float) -> float | None:
    """By the server's own clock, and a second more: its limit is to the second."""
    reset = answer.number("x-ratelimit-reset")
    if reset is None:
        return None
    return max(1.0, reset - (answer.date or now) + 1.0)


def _positive(seconds: float | None) -> float | None:
    return seconds if seconds is None or seconds > 0 else 1.0

"""What it means that the model refused a turn, and how long nothing is offered then. Pure.

The kinds are those of Claude Code's `StopFailure` hook (`error`), observed of 2.1.328: a bad or expired login is
`authentication_failed` (401, 403, no login at all), an endpoint that is overloaded, broken or not there `server_error`
(500, 503, 529, a refused connection), 429 is `rate_limit`. For good are `model_not_found`, `invalid_request` and
`unknown` (400): another turn may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Trouble = Literal["login_expired", "endpoint_down"]

_KINDS: Final[dict[str, Trouble]] = {
    "authentication_failed": "login_expired",
    "oauth_org_not_allowed": "login_expired",
    "account_on_hold": "login_expired",
    "verification_required": "login_expired",
    "cloud_credential_error": "login_expired",
    "billing_error": "endpoint_down",
    "overloaded": "endpoint_down",
    "server_error": "endpoint_down",
    "rate_limit": "endpoint_down",
}
# An entry is tried from time to time: an outage ends by itself, and so does now and then what looks like a bad login.
_PAUSES_S: Final[dict[Trouble, tuple[float, ...]]] = {
    "endpoint_down": (15.0, 30.0, 60.0, 120.0, 300.0),
    "login_expired": (600.0, 3600.0),
}


def trouble_of(kind: str) -> Trouble | None:
    """None when it is the turn that is at fault: another one may do."""
    return _KINDS.get(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """`count` turns were refused one after the other, the last with `words`; the next is offered at `until`."""

    trouble: Trouble
    words: str
    count: int
    until: float


def refused(before: Refusal | None, trouble: Trouble, words: str, *, now: float) -> Refusal:
    count = before.count + 1 if before is not None and before.trouble == trouble else 1
    pauses = _PAUSES_S[trouble]
    return Refusal(trouble=trouble, words=words, count=count, until=now + pauses[min(count, len(pauses)) - 1])


def told(refusal: Refusal) -> str:
    """For `fleet status`."""
    what = "the login is refused" if refusal.trouble == "login_expired" else "the model endpoint does not answer"
    return f"{what}: {refusal.words}"

"""Who is trusted: decided on the association that GitHub attests of a text's author, and closed when in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

TrustLevel = Literal["anyone", "contributors", "collaborators", "members", "owner"]
TRUST_LEVELS: tuple[TrustLevel, ...] = get_args(TrustLevel)
Trust = TrustLevel | tuple[str, ...]
TrustLabel = Literal["owner", "member", "collaborator", "contributor", "stranger"]

# FIRST_TIMER, FIRST_TIME_CONTRIBUTOR, MANNEQUIN, NONE, and whatever GitHub may add later, are strangers.
_RANK = {"CONTRIBUTOR": 1, "COLLABORATOR": 2, "MEMBER": 3, "OWNER": 4}
_LABEL: tuple[TrustLabel, ...] = ("stranger", "contributor", "collaborator", "member", "owner")
_NEEDED: dict[TrustLevel, int] = {"anyone": 0, "contributors": 1, "collaborators": 2, "members": 3, "owner": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether a text passes, and why or why not in words."""

    admitted: bool
    reason: str


def label_of(association: str) -> TrustLabel:
    """How far an author is trusted, in one word: what stands in an entry's metadata."""
    return _LABEL[_RANK.get(association, 0)]


def default_trust(*, private: bool) -> TrustLevel:
    """What holds for a route that names no trust."""
    return "anyone" if private else "collaborators"


def admits(trust: Trust | None, *, association: str, author: str, private: bool) -> Admission:
    """Decides on one text. `trust` None is the default; a tuple lists logins, and nobody else passes."""
    wanted = default_trust(private=private) if trust is None else trust
    if isinstance(wanted, tuple):
        if author and author.casefold() in {login.casefold() for login in wanted}:
            return Admission(admitted=True, reason=f"{author!r} is named")
        return Admission(admitted=False, reason=f"{author!r} is not among the logins named")
    if wanted == "anyone":
        why = " (the default of a private repository)" if trust is None else ""
        return Admission(admitted=True, reason=f"anyone is trusted{why}")
    label = label_of(association)
    admitted = _RANK.get(association, 0) >= _NEEDED[wanted]
    why = ", the default of a public repository" if trust is None else ""
    return Admission(
        admitted=admitted,
        reason=f"{author!r} is {label} ({association or 'unknown'}); {wanted} wanted{why}",
    )

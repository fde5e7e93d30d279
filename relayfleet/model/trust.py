"""Who is trusted: decided text by text, on what GitHub attests of its author, and closed when in doubt. Pure.

The texts of an event are the *item's* (all that hangs on it counts as its author's) and each *note's*. A text is
admitted in its author's own right, or, an item's only, through somebody who vouched for it (see `vouch.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

# What GitHub shows in place of an account that is no more. Nobody is trusted in its name.
GHOST = "ghost"

TrustLevel = Literal["anyone", "contributors", "collaborators", "members", "owner"]
TRUST_LEVELS: tuple[TrustLevel, ...] = get_args(TrustLevel)
Trust = TrustLevel | tuple[str, ...]
TrustLabel = Literal["owner", "member", "collaborator", "contributor", "stranger"]
TRUST_LABELS: tuple[TrustLabel, ...] = get_args(TrustLabel)
# GitHub's own words for an author's relation to a repository (`CommentAuthorAssociation`).
ASSOCIATIONS = (
    "OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "FIRST_TIMER", "MANNEQUIN", "NONE",
)  # fmt: skip
# How much of a text goes through. `vouched`, of an item: title, body, labels and branch, as they were vouched for; what
# may be newer than that (the head commit's message, names of checks and workflows) stays withheld.
Standing = Literal["full", "vouched", "withheld"]

# FIRST_TIMER, FIRST_TIME_CONTRIBUTOR, MANNEQUIN, NONE, and whatever GitHub may add later, are strangers.
_RANK = {"CONTRIBUTOR": 1, "COLLABORATOR": 2, "MEMBER": 3, "OWNER": 4}
_LABEL: tuple[TrustLabel, ...] = ("stranger", "contributor", "collaborator", "member", "owner")
_NEEDED: dict[TrustLevel, int] = {"anyone": 0, "contributors": 1, "collaborators": 2, "members": 3, "owner": 4}
# Only people with triage rights can vouch, which is what COLLABORATOR means; of more, GitHub attests nothing.
_VOUCHED = _NEEDED["collaborators"]
_BOT = "[bot]"


class Text(Protocol):
    """What is asked about: an item or a note."""

    @property
    def author(self) -> str: ...
    @property
    def association(self) -> str: ...
    @property
    def bot(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route says of trust. `trust` None is the default, a tuple lists logins, and nobody else passes. `bots` are
    the logins of the bots that pass as authors; no level lets one through. Logins are in lower case; see `rule_of`."""

    trust: Trust | None = None
    bots: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Admission:
    """How much of a text passes, and why, or why nothing does, in words. `vouchers` are those whose word counts."""

    standing: Standing
    reason: str
    vouchers: tuple[str, ...] = ()

    @property
    def admitted(self) -> bool:
        return self.standing != "withheld"


def label_of(association: str) -> TrustLabel:
    """How far an author is trusted, in one word: what stands in an entry's metadata."""
    return _LABEL[_RANK.get(association, 0)]


def default_trust(*, private: bool) -> TrustLevel:
    """What holds for a route that names no trust."""
    return "anyone" if private else "collaborators"


def rule_of(trust: Trust | None, bots: Sequence[str] = ()) -> Rule:
    folded = tuple(map(str.casefold, trust)) if isinstance(trust, tuple) else trust
    return Rule(folded, frozenset(map(str.casefold, bots)))


def admits(rule: Rule, text: Text, *, private: bool) -> Admission:
    """Decides on one text by its author alone."""
    author, login = text.author, text.author.casefold()
    wanted = default_trust(private=private) if rule.trust is None else rule.trust
    named = isinstance(wanted, tuple) and login in wanted
    if text.bot or login.endswith(_BOT):
        if login in rule.bots or named:
            return Admission("full", f"{author!r} is a bot that is named")
        return Admission("withheld", f"{author!r} is a bot, and not named in bots")
    if isinstance(wanted, tuple):
        # Everybody whose account is no more is shown under this one name.
        if named and login and login != GHOST:
            return Admission("full", f"{author!r} is named")
        return Admission("withheld", f"{author!r} is not among the logins named")
    default = rule.trust is None
    if wanted == "anyone":
        return Admission("full", "anyone is trusted" + (", the default of a private repository" if default else ""))
    rank = _RANK.get(text.association, 0)
    why = ", the default of a public repository" if default else ""
    return Admission(
        "full" if rank >= _NEEDED[wanted] else "withheld",
        f"{author!r} is {_LABEL[rank]} ({text.association or 'unknown'}); {wanted} wanted{why}",
    )


def admits_item(rule: Rule, text: Text, vouchers: Sequence[str], *, private: bool) -> Admission:
    """Decides on an item: by its author, else by who vouched for it."""
    own = admits(rule, text, private=private)
    if own.admitted or not vouchers:
        return own
    counting = tuple(one for one in vouchers if _counts(rule, one, private=private))
    if counting:
        return Admission("vouched", f"{counting[0]!r} vouched for it", counting)
    named = ", ".join(map(repr, vouchers))
    return Admission("withheld", f"{own.reason}; that {named} vouched for it does not count on this route")


def _counts(rule: Rule, voucher: str, *, private: bool) -> bool:
    """GitHub attests no association for who vouched: that much of a level is met by its having been possible at all."""
    login = voucher.casefold()
    wanted = default_trust(private=private) if rule.trust is None else rule.trust
    if isinstance(wanted, tuple):
        return login in wanted and login != GHOST
    if _NEEDED[wanted] > _VOUCHED or login == GHOST:
        return False
    return not login.endswith(_BOT) or login in rule.bots

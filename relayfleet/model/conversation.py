"""Which conversation an agent's session goes on with, those before it, and what it is still to be told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from relayfleet.model.names import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A conversation that was given up at `until` (seconds since the epoch), and why (`fresh`, `resume_refused`)."""

    session_id: SessionId
    until: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """`agent` is whose it is, empty where an older version wrote it. `history` says that a turn came to its end in it,
    so that there is something to lose. `brief` are fingerprints of what the session was last started with, by name.
    `unsaid` are lines that the session gets with its next turn. `fresh` is the request that it was begun by."""

    session_id: SessionId
    agent: str = ""
    created: float = 0.0
    history: bool = False
    brief: Mapping[str, str] = field(default_factory=dict)
    unsaid: tuple[str, ...] = ()
    former: tuple[Former, ...] = ()
    fresh: str = ""


def begun_anew(
    conversation: Conversation, session_id: SessionId, *, agent: str, now: float, why: str, fresh: str = ""
) -> Conversation:
    """A new conversation under another id; the one before it is remembered."""
    before = Former(session_id=conversation.session_id, until=now, why=why)
    former = (*conversation.former, before)
    return Conversation(session_id=session_id, agent=agent, created=now, former=former, fresh=fresh)


def without_history(conversation: Conversation, why: str, *, kept_at: str) -> Conversation:
    """The same id, and nothing behind it: the session's next turn is told."""
    where = f" It is kept in {kept_at}." if kept_at else ""
    line = f"The history of this conversation could not be resumed ({why}): it begins anew.{where}"
    return replace(conversation, history=False, unsaid=(*conversation.unsaid, line))


def briefed(conversation: Conversation, brief: Mapping[str, str]) -> tuple[Conversation, tuple[str, ...]]:
    """With the fingerprints of now, and what changed since the last start; nothing did at the first one."""
    known = conversation.brief
    changed = tuple(sorted(n for n in {*known, *brief} if known.get(n) != brief.get(n))) if known else ()
    unsaid = conversation.unsaid
    if changed and conversation.history:
        # Of several changes before its next turn, the session is told of each name once.
        told = {name for line in unsaid if line.startswith(_BRIEF) for name in line[len(_BRIEF) : -1].split(", ")}
        names = ", ".join(sorted({*changed, *told}))
        unsaid = (*(line for line in unsaid if not line.startswith(_BRIEF)), f"{_BRIEF}{names}.")
    return replace(conversation, brief=dict(brief), unsaid=unsaid), changed


_BRIEF = "Your brief changed since your last turn; what you see of it now is what counts: "

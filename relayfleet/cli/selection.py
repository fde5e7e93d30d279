"""Which agents a command line means: names, --all, --role."""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.config.roster import Member, Roster
from relayfleet.errors import UnknownAgent, UsageError


def select(roster: Roster, *, doing: str, names: Sequence[str], everyone: bool, role: str | None) -> list[Member]:
    """In the order given, each once. Raises UsageError when nothing is named, UnknownAgent."""
    if not names and not everyone and role is None:
        raise UsageError(f"{doing} agents", "none is named", hint="name them, or give --all or --role ROLE")
    known = {str(m.name): m for m in roster.members}
    chosen: dict[str, Member] = {}
    for name in names:
        if name not in known:
            raise UnknownAgent(f"{doing} {name!r}", name, known=tuple(known))
        chosen[name] = known[name]
    if everyone or role is not None:
        chosen |= {n: m for n, m in known.items() if everyone or m.role == role}
    return list(chosen.values())

"""A route maps the events that it matches to agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from relayfleet.model.event import Kind
from relayfleet.model.watch import Watch

TrustLevel = Literal["anyone", "contributors", "collaborators", "members", "owner"]
TRUST_LEVELS: tuple[TrustLevel, ...] = get_args(TrustLevel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Every key that is set must match; an absent key is a wildcard. Logins, labels and repositories match without
    regard to case, as on GitHub."""

    watch: str | None = None
    repo: str | None = None
    kind: Kind | None = None
    label: str | None = None
    author: str | None = None
    state: str | None = None
    title_contains: str | None = None

    def is_empty(self) -> bool:
        return self == Match()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`trust` None means the default: collaborators on public repositories, anyone on private ones."""

    match: Match
    to: tuple[str, ...]
    trust: TrustLevel | tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """routes.json, read."""

    watches: tuple[Watch, ...] = ()
    routes: tuple[Route, ...] = ()

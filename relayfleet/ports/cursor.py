"""What the router remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relayfleet.model.entry import Entry
from relayfleet.model.event import Kind
from relayfleet.model.names import EntryId
from relayfleet.model.watch import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An item in a watch's view, as the watch saw it last. `content` is empty when it was only glimpsed."""

    node_id: str
    number: int
    content: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchChange:
    """What one poll changes in what is known of a watch. A `fresh` one replaces everything that was known."""

    watch: str
    fingerprint: str
    progress: Progress
    fresh: bool = False
    entered: tuple[Member, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An entry that an agent is to get. `key` is the event's dedup key."""

    agent: str
    key: str
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What trust held back. Nothing in it is a stranger's text but the login."""

    key: str
    watch: str
    repo: str
    kind: Kind
    number: int
    author: str
    association: str
    agents: tuple[str, ...]
    url: str
    reason: str
    at: float


class Cursor(Protocol):
    """The router's durable memory. Every call is a transaction of its own; all raise StorageFailed."""

    def progress(self, watch: str, fingerprint: str) -> Progress | None:
        """None when the watch was never polled, or looked at something else then."""
        ...

    def members(self, watch: str, node_ids: Sequence[str]) -> Mapping[str, Member]: ...

    def commit(
        self, changes: Sequence[WatchChange], owed: Sequence[Owed], held: Sequence[Held], *, now: float
    ) -> tuple[Owed, ...]:
        """Records a whole round at once; gives the deliveries that are new (an agent gets a key once)."""
        ...

    def owed(self, *, besides: Collection[str] = (), limit: int = 500) -> Sequence[Owed]:
        """What is not delivered yet, oldest first, leaving out these agents."""
        ...

    def settle(self, delivered: Sequence[EntryId], *, now: float) -> None: ...

    def prune(self, *, watches: Sequence[str], now: float) -> None:
        """Forgets watches that are no more, and what was settled or held back long ago."""
        ...

    def counts(self) -> CursorCounts: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorCounts:
    """`items` is by watch; `committed_at` is the time of the last commit, None before the first."""

    items: Mapping[str, int]
    owed: int
    delivered: int
    held: int
    committed_at: float | None

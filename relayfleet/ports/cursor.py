"""What the router remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from relayfleet.model.entry import Entry
from relayfleet.model.item import Kind
from relayfleet.model.names import EntryId
from relayfleet.model.snapshot import Snapshot
from relayfleet.model.watch import Feed, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An entry that an agent is to get. `key` is the event's dedup key, `item` the item's node id. Of what is owed, the
    higher `priority` goes first; nothing is delivered before the moment `not_before` (seconds since the epoch), and
    what is owed to the same agent for the same `item` and waits then is joined to one entry."""

    agent: str
    key: str
    entry: Entry
    item: str = ""
    priority: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFor:
    """What is held back from one agent: the item's own text, and notes by node id. `routes` are indices."""

    agent: str
    routes: tuple[int, ...]
    item: bool
    notes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An event of which something was held back, whole (`event` as model.event.encode_event gives it). `id` is 0 until
    it is stored. `at` is seconds since the epoch."""

    key: str
    watch: str
    event: Mapping[str, Any]
    holds: tuple[HeldFor, ...]
    at: float
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why an event went where it went. `record` is for people and JSON: {"watch", "events", "why", "to": [{"agent",
    "routes", "entry"}], "held": [{"agent", "reason"}], "note"}; nothing in it is a stranger's text but logins. `repo`
    is as model.item.address_of gives it."""

    at: float
    repo: str
    kind: Kind
    number: int
    key: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshWatch:
    """A watch that begins, or begins anew: what was known of its view is replaced by `members`."""

    name: str
    fingerprint: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedChange:
    """What one look changes in what is known of a feed. `entered` and `left` are pairs of watch and node id."""

    feed: Feed
    progress: Mapping[Kind, Progress]
    snapshots: tuple[Snapshot, ...] = ()
    gone: tuple[str, ...] = ()
    entered: tuple[tuple[str, str], ...] = ()
    left: tuple[tuple[str, str], ...] = ()
    fresh: tuple[FreshWatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """A route is quiet about an item until a moment (seconds since the epoch). `route` is its fingerprint."""

    route: str
    item: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How many events in a row a route brought about one item that agents had caused, since when, and whether that was
    too much: then it is open, and nothing more of that kind goes through until it is reset."""

    route: str
    item: str
    count: int
    since: float
    open: bool
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """All that one round comes to."""

    feeds: Sequence[FeedChange] = ()
    owed: Sequence[Owed] = ()
    held: Sequence[Held] = ()
    decisions: Sequence[Decision] = ()
    cooldowns: Sequence[Cooldown] = ()
    breakers: Sequence[Breaker] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorCounts:
    """`items` is by watch; `committed_at` is the time of the last commit, None before the first."""

    items: Mapping[str, int] = field(default_factory=dict)
    owed: int = 0
    delivered: int = 0
    held: int = 0
    committed_at: float | None = None


class Cursor(Protocol):
    """The router's durable memory. Every call is a transaction of its own; all raise StorageFailed."""

    def watches(self) -> Mapping[str, str]:
        """The fingerprints of the watches that have begun, by name."""
        ...

    def progress(self, feed: Feed) -> Mapping[Kind, Progress]: ...

    def snapshots(self, node_ids: Sequence[str]) -> Mapping[str, Snapshot]: ...

    def in_view(self, watch: str, node_ids: Sequence[str]) -> Set[str]:
        """Which of these are in the watch's view."""
        ...

    def members(self, watches: Collection[str]) -> Sequence[str]:
        """The node ids that are in the view of any of these watches."""
        ...

    def open_pulls(self, watches: Collection[str]) -> Sequence[str]:
        """Of the members, the pull requests that are open."""
        ...

    def busy_pulls(self) -> Mapping[str, Sequence[str]]:
        """The node ids of pull requests whose checks were under way, by feed key."""
        ...

    def told(self, agents: Collection[str], *, kind: Kind, node_id: str) -> Set[str]:
        """Which of these agents got something about an item, or are owed it."""
        ...

    def cooldowns(self) -> Sequence[Cooldown]: ...

    def breakers(self) -> Sequence[Breaker]: ...

    def commit(self, batch: Batch, *, now: float) -> tuple[Owed, ...]:
        """Records a whole round at once; gives the deliveries that are new (an agent gets a key once)."""
        ...

    def owed(
        self, *, now: float, ahead_s: float = inf, besides: Collection[str] = (), limit: int = 500
    ) -> Sequence[Owed]:
        """What is to be delivered now and is not yet, by priority, then age, leaving out these agents. What is to wait
        for more than `ahead_s` is to be delivered now, too: its time was noted by a clock that was wrong."""
        ...

    def due_at(self, *, besides: Collection[str] = ()) -> float | None:
        """The first moment at which something owed may be delivered, None when nothing is, leaving out these agents."""
        ...

    def settle(self, delivered: Sequence[EntryId], *, now: float) -> None:
        """Marks deliveries that `owed` gave as made."""
        ...

    def retain(self, *, watches: Collection[str], feeds: Collection[str]) -> None:
        """Forgets all watches and feeds (by key) but these: if one comes back, it begins anew."""
        ...

    def prune(self, *, now: float) -> None:
        """Forgets what was settled or held back long ago."""
        ...

    def newest_held(self, limit: int) -> Sequence[Held]:
        """What was held back last, the newest first, but for what cannot be read."""
        ...

    def counts(self) -> CursorCounts: ...

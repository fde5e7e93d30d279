"""What the router watches, and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relayfleet.model.filter import Filter
from relayfleet.model.item import Item, Kind, Report
from relayfleet.model.snapshot import Snapshot
from relayfleet.model.watch import Feed, Progress

FailureKind = Literal["transport", "server", "secondary", "primary", "auth", "forbidden", "not_found", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why GitHub did not answer. `wait_s` is how long it asked us to stay away, when it did.

    `transport`: it was not reached. `server`: 5xx, or an answer that cannot be read. `secondary` and `primary`: the two
    rate limits. `auth`: no token, or a bad one. `forbidden` and `not_found` concern one repository. `refused`: our
    request is wrong.
    """

    kind: FailureKind
    message: str
    status: int = 0
    wait_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left of a token's hourly allowance. `resource` is `graphql` or `core`; `reset_at` in seconds, UTC."""

    resource: str
    limit: int
    remaining: int
    reset_at: float


Purpose = Literal["viewer", "probe", "listing", "search", "sweep", "details", "runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one request took: `points` of the budget of `resource`, `seconds` of waiting for the answer, and the keys of
    the feeds that it was for."""

    purpose: Purpose
    resource: str
    points: int
    seconds: float
    feeds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A watch on its first look: everything that is in its view now is listed."""

    watch: str
    kind: Kind
    filter: Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A watch whose view only GitHub's search knows. `whole`: everything that it finds is wanted, not only what changed
    lately. `members` tells which of these node ids the watch has in view."""

    watch: str
    filter: Filter
    whole: bool
    members: Callable[[Sequence[str]], Set[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One feed to look at. A kind without `progress` is seen for the first time.

    `known` gives the snapshots of node ids (absent when there is none), `members` the node ids of a kind that are in
    some watch's view. `again` are items to be read even when they seem unchanged; of `sweep` it is to be seen whether
    they are still there, and how their checks stand.
    """

    feed: Feed
    kinds: tuple[Kind, ...]
    progress: Mapping[Kind, Progress]
    known: Callable[[Sequence[str]], Mapping[str, Snapshot]]
    members: Callable[[Kind], Sequence[str]]
    listings: tuple[Listing, ...] = ()
    searches: tuple[Search, ...] = ()
    again: tuple[str, ...] = ()
    sweep: tuple[str, ...] = ()
    needs_viewer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found. With `whole` false, older finds are left out."""

    items: Mapping[str, Item]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a look found: `reports` of the items that may have changed, and the ids of known items that are `gone`.

    `named` is what GitHub calls the repository now (empty for runs). `listed` has, by fresh watch, the items that it
    showed of what the filter may let in; `found`, by watch, what a search found. These are glimpses: of their text,
    labels and people only what the filter asks for is known.
    """

    feed: Feed
    progress: Mapping[Kind, Progress]
    named: str = ""
    reports: tuple[Report, ...] = ()
    gone: tuple[str, ...] = ()
    listed: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)
    found: Mapping[str, Found] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of several looks. A look's feed is in `sights`, or its key in `failures`, or it fell to `failure`,
    which ended the round. A watch in `watch_failures` has a part of its own that failed.

    `viewer` is the login behind `@me`, empty while nobody needs it.
    """

    sights: tuple[Sight, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    watch_failures: Mapping[str, Failure] = field(default_factory=dict)
    failure: Failure | None = None
    budgets: tuple[Budget, ...] = ()
    spent: tuple[Spent, ...] = ()
    viewer: str = ""


class Source(Protocol):
    """Reads feeds. Never raises for what goes wrong outside: that is in the Round."""

    async def look(self, looks: Sequence[Look]) -> Round:
        """Looks at feeds that are all of one lane."""
        ...

"""What the router watches, and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relayfleet.model.event import Item
from relayfleet.model.filter import Filter
from relayfleet.model.watch import Progress, Watch

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
    """What is left of the token's hourly allowance. `resource` is `graphql` or `core`; `reset_at` in seconds, UTC."""

    resource: str
    limit: int
    remaining: int
    reset_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One watch to look at. Without `progress` it is the first look: everything that is there now is read.

    `known` gives the `updated_at` of each of these node ids as the watch saw it last (absent when it has not).
    """

    watch: Watch
    filter: Filter
    progress: Progress | None
    known: Callable[[Sequence[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a look found: the items that may have changed, whole (on a first look: those that are there).

    The watch's filter is not applied yet, apart from what only GitHub's search can decide. On a first look, items whose
    node ids are in `glimpsed` were not read whole, but for what the filter asks for.
    """

    watch: str
    items: tuple[Item, ...]
    progress: Progress
    glimpsed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What came of several looks. A look is in `sights`, or in `failures`, or fell to `failure`, which ended the round.

    `viewer` is the login behind `@me`, empty while nobody needs it.
    """

    sights: tuple[Sight, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    failure: Failure | None = None
    budgets: tuple[Budget, ...] = ()
    viewer: str = ""


class Source(Protocol):
    """Reads what watches look at. Never raises for what goes wrong outside: that is in the Round."""

    async def look(self, looks: Sequence[Look]) -> Round: ...

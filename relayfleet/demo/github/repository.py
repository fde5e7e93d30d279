"""A repository: its things, in the orders that they are listed in, and what GitHub attests of logins in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from relayfleet.demo.github.thing import Thing, ThingKind

OrderedBy = Literal["created", "updated"]


@dataclass(slots=True, kw_only=True, eq=False)
class Repository:
    """`associations` is what GitHub attests of logins; who is not in it is a stranger, and the owner is the owner.

    `deleted` are the numbers of items that were.
    """

    id: int
    full: str
    host: str = "github.com"
    private: bool = False
    things: dict[ThingKind, dict[int, Thing]] = field(default_factory=lambda: {"issues": {}, "pulls": {}, "runs": {}})
    associations: dict[str, str] = field(default_factory=dict)
    last_number: int = 0
    deleted: set[int] = field(default_factory=set)
    _ordered: dict[tuple[ThingKind, OrderedBy, bool], Sequence[Thing]] = field(default_factory=dict, repr=False)

    @property
    def node_id(self) -> str:
        return f"R_{self.id}"

    @property
    def owner(self) -> str:
        return self.full.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full.partition("/")[2]

    @property
    def url(self) -> str:
        return f"https://{self.host}/{self.full}"

    def association_of(self, login: str) -> str:
        if login.casefold() == self.owner.casefold():
            return "OWNER"
        return self.associations.get(login.casefold(), "NONE")

    def item(self, number: int) -> Thing | None:
        """An issue or a pull request: they share their numbers."""
        return self.things["issues"].get(number) or self.things["pulls"].get(number)

    def ordered(self, kind: ThingKind, by: OrderedBy, *, newest_first: bool) -> Sequence[Thing]:
        """Not to be changed: it is remembered until a thing of this kind changes."""
        order = (kind, by, newest_first)
        if order not in self._ordered:
            things = self.things[kind].values()
            self._ordered[order] = sorted(things, key=lambda one: (getattr(one, by), one.id), reverse=newest_first)
        return self._ordered[order]

    def changed(self, kind: ThingKind) -> None:
        """Something of this kind came, went, or has another time."""
        for order in [order for order in self._ordered if order[0] == kind]:
            del self._ordered[order]

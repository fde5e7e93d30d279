"""What the stand-in knows: repositories, their items, and the clocks that can be set wrong."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

ThingKind = Literal["issues", "pulls", "runs"]
HEAD = "0" * 40


def iso(moment: float) -> str:
    """As GitHub prints times: whole seconds, UTC."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, kw_only=True)
class Thing:
    """An issue, a pull request or a run. `past` is what it was, for a search index that is late."""

    id: int
    number: int
    kind: ThingKind
    title: str
    body: str = ""
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    author: str = "octocat"
    comments: int = 0
    created: float
    updated: float
    closed: float | None = None
    merged: bool = False
    draft: bool = False
    base: str = "main"
    branch: str = "main"
    head: str = HEAD
    workflow: str = "CI"
    event: str = "push"
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    fork: bool = False
    past: list[tuple[float, Thing]] = field(default_factory=list, repr=False)

    @property
    def node_id(self) -> str:
        return f"{ {'issues': 'I', 'pulls': 'PR', 'runs': 'WFR'}[self.kind] }_{self.id}"


@dataclass(slots=True, kw_only=True)
class Repository:
    """`associations` is what GitHub attests of logins; who is not in it is a stranger, and the owner is the owner."""

    id: int
    full: str
    private: bool = False
    things: dict[ThingKind, dict[int, Thing]] = field(default_factory=lambda: {"issues": {}, "pulls": {}, "runs": {}})
    associations: dict[str, str] = field(default_factory=dict)
    last_number: int = 0

    def association_of(self, login: str) -> str:
        if login.casefold() == self.full.partition("/")[0].casefold():
            return "OWNER"
        return self.associations.get(login.casefold(), "NONE")


class State:
    """Everything; `clock_skew`, `search_lag` and `latency` are in seconds."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}
        self.viewer = "relaybot"
        self.token: str | None = None
        self.clock_skew = 0.0
        self.search_lag = 0.0
        self.latency = 0.0
        self.log: list[dict[str, Any]] = []
        self.faults: list[dict[str, Any]] = []
        self._last_id = 1000

    def now(self) -> float:
        return time.time() + self.clock_skew

    def repository(self, full: str) -> Repository | None:
        """A renamed one answers to its old name, too."""
        return self.repositories.get(self.moved.get(full.lower(), full).lower())

    def add_repository(self, full: str, *, private: bool = False) -> Repository:
        found = self.repositories.get(full.lower())
        if found is None:
            found = self.repositories[full.lower()] = Repository(id=self._new_id(), full=full)
        found.private = private
        return found

    def put(
        self, full: str, kind: ThingKind, number: int | None = None, *, at: float | None = None, **fields: Any
    ) -> Thing:
        """Creates a thing or changes one; `at` is the time of it. `association` is noted for the author."""
        repository = self.repository(full) or self.add_repository(full)
        association = fields.pop("association", None)
        moment = self.now() if at is None else at
        if number is None:
            number = repository.last_number + 1
        repository.last_number = max(repository.last_number, number)
        things = repository.things[kind]
        thing = things.get(number)
        if thing is None:
            new_id = number if kind == "runs" else self._new_id()
            thing = things[number] = Thing(
                id=new_id, number=number, kind=kind, title=f"{kind} {number}", created=moment, updated=moment
            )
        was = thing.state
        for name, value in fields.items():
            if name not in Thing.__dataclass_fields__:
                raise KeyError(name)
            setattr(thing, name, value)
        thing.updated = moment
        if was != "closed" and thing.state == "closed":
            thing.closed = moment
        if association is not None:
            repository.associations[thing.author.casefold()] = association
        snapshot = copy.copy(thing)
        snapshot.past = []
        thing.past.append((time.time(), snapshot))
        return thing

    def remove(self, full: str, kind: ThingKind, number: int) -> None:
        repository = self.repository(full)
        if repository is not None:
            repository.things[kind].pop(number, None)

    def rename(self, old: str, new: str) -> None:
        repository = self.repositories.pop(old.lower())
        repository.full = new
        self.repositories[new.lower()] = repository
        self.moved[old.lower()] = new

    def seed(self, repositories: int, *, issues: int = 20, pulls: int = 5, runs: int = 5, owner: str = "acme") -> None:
        """Fills repositories <owner>/repo<i> with things of yesterday."""
        start = int(self.now()) - 86_400
        for index in range(repositories):
            full = f"{owner}/repo{index}"
            for turn in range(issues):
                self.put(
                    full,
                    "issues",
                    at=start + turn * 60,
                    title=f"Issue {turn}",
                    assignees=[self.viewer] if turn % 4 == 0 else [],
                    labels=["bug"] if turn % 3 == 0 else ["enhancement"],
                )
            for turn in range(pulls):
                self.put(full, "pulls", at=start + turn * 60, title=f"PR {turn}")
            for turn in range(runs):
                self.put(full, "runs", 90_000 + turn, at=start + turn * 60, status="completed", conclusion="success")

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

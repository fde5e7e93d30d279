"""A route maps the events that it matches to agents.

What a key of a match means is said once, here, in `_VALUES` and `Clause`; `gate_index.py` only makes it fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from relayfleet.model.event import Event
from relayfleet.model.item import Item, address_of, split_address
from relayfleet.model.trust import Trust, label_of
from relayfleet.model.watch import Watch

Key = Literal[
    "watch", "repo", "kind", "label", "author", "association", "assignee", "state", "event", "draft", "base", "branch",
    "workflow", "conclusion", "title_contains", "body_contains",
]  # fmt: skip
KEYS: tuple[Key, ...] = get_args(Key)
# One value, or several of which any will do.
Wanted = str | tuple[str, ...]

# Names of ours and of git's are told apart by case; on GitHub nothing else is.
_EXACT: frozenset[Key] = frozenset({"watch", "base", "branch"})
# In these, a `*` stands for any run of characters.
_WILD: frozenset[Key] = frozenset({"repo", "base", "branch"})
_MANY: frozenset[Key] = frozenset({"label", "assignee", "event"})
_CONTAINS: frozenset[Key] = frozenset({"title_contains", "body_contains"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What may be asked of an event; an absent key asks nothing. docs/routes.md says what each one means."""

    watch: Wanted | None = None
    repo: Wanted | None = None
    kind: Wanted | None = None
    label: Wanted | None = None
    author: Wanted | None = None
    association: Wanted | None = None
    assignee: Wanted | None = None
    state: Wanted | None = None
    event: Wanted | None = None
    draft: bool | None = None
    base: Wanted | None = None
    branch: Wanted | None = None
    workflow: Wanted | None = None
    conclusion: Wanted | None = None
    title_contains: Wanted | None = None
    body_contains: Wanted | None = None

    def given(self) -> dict[Key, Wanted]:
        """The keys that are there; `draft` as `true` or `false`."""
        found = {key: getattr(self, key) for key in KEYS}
        if self.draft is not None:
            found["draft"] = "true" if self.draft else "false"
        return {key: wanted for key, wanted in found.items() if wanted is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Keys):
    """Every key must hold, and of `not_` none may: each of its keys leaves an event out on its
    own."""

    not_: Keys = Keys()

    def is_catch_all(self) -> bool:
        """Whether no key narrows it down, whatever `not_` leaves out."""
        return not self.given()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`trust` None means the default: collaborators on public repositories, anyone on private ones. `bots` are the
    logins of the bots that are let through; no level of trust does that. What is owed with a higher `priority` is
    delivered first. For `cooldown_s` seconds after an entry, further ones about the same item wait, and come as one."""

    match: Match
    to: tuple[str, ...]
    trust: Trust | None = None
    bots: tuple[str, ...] = ()
    priority: int = 0
    cooldown_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """routes.json, read."""

    watches: tuple[Watch, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text in which `*` stands for any run of characters, the empty one and one with slashes included."""

    head: str
    middle: tuple[str, ...]
    tail: str

    def fits(self, value: str) -> bool:
        at, end = len(self.head), len(value) - len(self.tail)
        if at > end or not value.startswith(self.head) or not value.endswith(self.tail):
            return False
        for part in self.middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


@dataclass(frozen=True, slots=True)
class Clause:
    """One key of a match, made ready. It holds when one of the event's values is one of `equal`, fits one of
    `patterns`, or contains one of `parts`; `negated` turns it round."""

    key: Key
    equal: frozenset[str] = frozenset()
    patterns: tuple[Pattern, ...] = ()
    parts: tuple[str, ...] = ()
    negated: bool = False

    def holds(self, facts: Facts) -> bool:
        have = facts[self.key]
        return (
            not self.equal.isdisjoint(have)
            or (bool(self.patterns) and any(one.fits(value) for value in have for one in self.patterns))
            or (bool(self.parts) and any(part in value for value in have for part in self.parts))
        ) is not self.negated


class Facts(dict[Key, tuple[str, ...]]):
    """The values of an event under each key, as they are compared. Each is worked out when it is first asked for: most
    events have no route that asks for their bodies."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    def __missing__(self, key: Key) -> tuple[str, ...]:
        values = _VALUES[key](self.event)
        if key not in _EXACT:
            values = tuple(map(str.casefold, values))
        self[key] = values
        return values


def matches(route: Route, event: Event) -> bool:
    """Whether every key of the route's match holds for the event, and none of what it leaves out."""
    facts = Facts(event)
    return all(clause.holds(facts) for clause in clauses_of(route.match))


def explain(route: Route, event: Event) -> tuple[str, ...]:
    """Every key that failed, as `key: wanted ..., is ...`; empty when the route matches."""
    facts = Facts(event)
    return tuple(_failures(route.match, event, facts))


def clauses_of(match: Match) -> tuple[Clause, ...]:
    """A match, made ready: all must hold."""
    wanted = [_clause(key, values, negated=False) for key, values in match.given().items()]
    return tuple(wanted + [_clause(key, values, negated=True) for key, values in match.not_.given().items()])


def values_of(wanted: Wanted) -> tuple[str, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)


def whole_address(address: str) -> str:
    """A repository with its host, in lower case: as repositories are compared."""
    return "/".join(split_address(address)).casefold()


def _clause(key: Key, wanted: Wanted, *, negated: bool) -> Clause:
    values = values_of(wanted)
    if key == "repo":
        values = tuple(map(whole_address, values))
    elif key not in _EXACT:
        values = tuple(map(str.casefold, values))
    if key in _CONTAINS:
        return Clause(key, parts=values, negated=negated)
    wild = [value for value in values if "*" in value] if key in _WILD else []
    equal = frozenset(values).difference(wild)
    return Clause(key, equal=equal, patterns=tuple(map(_pattern, wild)), negated=negated)


def _pattern(text: str) -> Pattern:
    head, *middle, tail = text.split("*")
    return Pattern(head, tuple(part for part in middle if part), tail)


def _failures(match: Match, event: Event, facts: Facts) -> Iterator[str]:
    for key, wanted in match.given().items():
        if not _clause(key, wanted, negated=False).holds(facts):
            several = "any of " if len(values_of(wanted)) > 1 else ""
            yield f"{key}: wanted {several}{_words(wanted)}, is {_actual(key, event)}"
    for key, wanted in match.not_.given().items():
        if not _clause(key, wanted, negated=True).holds(facts):
            yield f"not.{key}: wanted anything but {_words(wanted)}, is {_actual(key, event)}"


def _words(wanted: Wanted) -> str:
    return ", ".join(map(repr, values_of(wanted)))


def _actual(key: Key, event: Event) -> str:
    if key == "body_contains":
        count = len(event.changes.notes)
        return f"a body of {len(event.item.body)} characters" + (f" and new notes: {count}" if count else "")
    if key == "repo":
        return repr(address_of(event.item.host, event.item.repo))
    values = _VALUES[key](event)
    if key in _MANY:
        return repr(list(values))
    return " and ".join(map(repr, values)) or "nothing"


def _some(*values: str) -> tuple[str, ...]:
    """Those that are there, each once."""
    return tuple(dict.fromkeys(value for value in values if value))


def _associations(item: Item) -> tuple[str, ...]:
    """GitHub's word, and ours where it is another."""
    label = label_of(item.association)
    return (item.association,) if item.association.lower() == label else _some(item.association, label)


def _draft(item: Item) -> tuple[str, ...]:
    """Only a pull request is a draft or is none."""
    return ("true" if item.draft else "false",) if item.kind == "pulls" else ()


def _states(item: Item) -> tuple[str, ...]:
    """A run answers to its status and to its conclusion, as with `gh run list --status`; a merged pull is closed."""
    if item.kind == "runs":
        return _some(item.state, item.conclusion)
    return ("merged", "closed") if item.state == "merged" else (item.state,)


_VALUES: Mapping[Key, Callable[[Event], tuple[str, ...]]] = {
    "watch": lambda event: (event.watch,),
    # After a rename it answers to both names.
    "repo": lambda event: _some(
        f"{event.item.host}/{event.item.repo}",
        whole_address(event.watched_repo) if event.watched_repo else "",
    ),
    "kind": lambda event: (event.item.kind,),
    "label": lambda event: event.item.labels,
    "author": lambda event: (event.item.author,),
    "association": lambda event: _associations(event.item),
    "assignee": lambda event: event.item.assignees,
    "state": lambda event: _states(event.item),
    "event": lambda event: event.names,
    "draft": lambda event: _draft(event.item),
    "base": lambda event: _some(event.item.base),
    "branch": lambda event: _some(event.item.branch),
    "workflow": lambda event: _some(event.item.workflow, event.item.workflow_file),
    "conclusion": lambda event: _some(event.item.conclusion),
    "title_contains": lambda event: (event.item.title,),
    "body_contains": lambda event: (event.item.body, *(note.body for note in event.changes.notes)),
}

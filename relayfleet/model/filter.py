"""A watch's filter: the flags of `gh issue list`, `gh pr list` and `gh run list`, understood when they are read.

What can be decided from an item itself is decided here, exactly and at once. What only GitHub's search can decide
(`mentions:`, `milestone:`, words ...) is kept in `search` and sent there. What is neither is refused with the reason: a
filter that is silently ignored would make a firehose.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.event import Item, Kind

Field = Literal["assignee", "author", "label", "draft", "base", "branch", "workflow", "status", "trigger", "commit"]
ME = "@me"
ANY = "*"
_STATES: dict[Kind, tuple[str, ...]] = {"issues": ("open", "closed"), "pulls": ("open", "closed", "merged"), "runs": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Holds when the item's field is (or, of several, has) any of `values`; `negated` turns it round.

    The value `*` stands for anything that is there, `@me` for the login of the token.
    """

    field: Field
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Every term must hold, the state must be among `states` (empty: any), and `search` must find the item."""

    kind: Kind
    states: frozenset[str] = frozenset()
    terms: tuple[Term, ...] = ()
    search: tuple[str, ...] = ()

    @property
    def needs_viewer(self) -> bool:
        return any(ME in term.values for term in self.terms)


def parse_filter(text: str, kind: Kind) -> Filter:
    """Raises ValueError, in words, for what is not known or can never match."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"the quotes do not match up ({error})") from error
    reading = _Reading(kind)
    flags = _FLAGS[kind]
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            raise ValueError(f"{word!r} is not a flag; words to search for go into --search")
        name, equals, value = word.partition("=")
        flag = _SHORT[kind].get(name, name)
        if flag not in flags:
            raise ValueError(f"flag {name!r} is not known for {kind}{_nearest(name, flags)}")
        read = flags[flag]
        if flag in _BARE and not equals:
            value = "true"
        elif not equals:
            value = next(rest, "")
            if not value:
                raise ValueError(f"flag {name!r} needs a value")
        read(reading, value)
    return reading.result()


def matches_filter(chosen: Filter, item: Item, *, viewer: str) -> bool:
    """Whether the item passes the part of the filter that is decided here. `viewer` is the login behind `@me`."""
    if chosen.states and item.state not in chosen.states:
        return False
    return all(_holds(term, item, viewer) for term in chosen.terms)


def _holds(term: Term, item: Item, viewer: str) -> bool:
    wanted = {viewer.casefold() if value == ME else value.casefold() for value in term.values}
    have = {value.casefold() for value in _VALUES[term.field](item) if value}
    if ANY in wanted:
        found = bool(have)
    elif term.field == "commit":
        found = any(value.startswith(start) for value in have for start in wanted)
    else:
        found = bool(wanted & have)
    return found != term.negated


_VALUES: dict[Field, Callable[[Item], tuple[str, ...]]] = {
    "assignee": lambda item: item.assignees,
    "author": lambda item: (item.author,),
    "label": lambda item: item.labels,
    "draft": lambda item: ("true" if item.draft else "false",),
    "base": lambda item: (item.base,),
    "branch": lambda item: (item.branch,),
    "workflow": lambda item: (item.workflow, item.workflow_file),
    "status": lambda item: (item.state, item.conclusion),
    "trigger": lambda item: (item.trigger,),
    "commit": lambda item: (item.head,),
}


class _Reading:
    """A filter while it is being read."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.states: frozenset[str] | None = None
        self.terms: list[Term] = []
        self.search: list[str] = []

    def restrict(self, states: set[str]) -> None:
        self.states = frozenset(states) if self.states is None else self.states & states
        if not self.states:
            raise ValueError("the states that it names exclude one another, so that nothing can ever match")

    def add(self, field: Field, *values: str, negated: bool = False) -> None:
        self.terms.append(Term(field=field, values=values, negated=negated))

    def result(self) -> Filter:
        states = self.states
        if states is None:
            states = frozenset() if self.kind == "runs" else frozenset({"open"})
        elif states == frozenset(_STATES[self.kind]):
            states = frozenset()
        return Filter(kind=self.kind, states=states, terms=tuple(self.terms), search=tuple(self.search))


Read = Callable[[_Reading, str], None]


def _field(field: Field) -> Read:
    return lambda reading, value: reading.add(field, value)


def _each(field: Field) -> Read:
    def read(reading: _Reading, value: str) -> None:
        for part in value.split(","):
            reading.add(field, part)

    return read


def _sought(qualifier: str) -> Read:
    return lambda reading, value: reading.search.append(f"{qualifier}:{_quoted(value)}")


def _state_flag(reading: _Reading, value: str) -> None:
    if value == "all":
        reading.restrict(set(_STATES[reading.kind]))
    else:
        reading.restrict(_states_named(reading.kind, value))


def _draft_flag(reading: _Reading, value: str) -> None:
    if value not in ("true", "false"):
        raise ValueError(f"--draft takes true or false, not {value!r}")
    reading.add("draft", value)


def _limit(reading: _Reading, value: str) -> None:
    """The router pages for itself, so that a limit has nothing to limit."""
    if not value.isdigit():
        raise ValueError(f"--limit takes a number, not {value!r}")


def _status_flag(reading: _Reading, value: str) -> None:
    if value not in RUN_STATUSES:
        raise ValueError(f"status {value!r} is not known{_nearest(value, RUN_STATUSES)}")
    reading.add("status", value)


def _search_flag(reading: _Reading, value: str) -> None:
    try:
        words = list(_search_words(value))
    except ValueError as error:
        raise ValueError(f"the quotes of --search do not match up ({error})") from error
    plain = [name for name, _, negated in words if not negated]
    for name, text, negated in words:
        _read_qualifier(reading, name, text, negated=negated, repeated=plain.count(name) > 1)


def _search_words(text: str) -> Iterator[tuple[str, str, bool]]:
    """Each as (qualifier or "", text, negated). The quotes are gone."""
    for word in shlex.split(text.replace("'", "\\'")):
        if word in ("AND", "OR", "NOT") or word.startswith("("):
            raise ValueError(f"{word!r} joins parts of a search, which a watch cannot have; make several watches")
        negated = word.startswith("-") and ":" in word
        name, colon, value = word.removeprefix("-").partition(":") if ":" in word else ("", "", word)
        if colon and not value:
            raise ValueError(f"{word!r} has no value")
        yield name.lower(), value, negated


def _read_qualifier(reading: _Reading, name: str, value: str, *, negated: bool, repeated: bool) -> None:
    again = f"{'-' if negated else ''}{name}:{_quoted(value)}"
    pulls = reading.kind == "pulls"
    if not name:
        reading.search.append(_quoted(value))
    elif name in ("repo", "org", "user"):
        raise ValueError(f"{name}: is said by the watch's own `repo`")
    elif name in ("is", "state", "type"):
        _read_is(reading, name, value, negated=negated)
    elif name in ("assignee", "author") and not repeated and not value.startswith("app/"):
        reading.add("assignee" if name == "assignee" else "author", value, negated=negated)
    elif name == "label":
        reading.add("label", *value.split(","), negated=negated)
    elif name == "no" and value in ("assignee", "label"):
        reading.add("assignee" if value == "assignee" else "label", ANY, negated=not negated)
    elif name == "draft" and pulls and value in ("true", "false"):
        reading.add("draft", value, negated=negated)
    elif name == "base" and pulls:
        reading.add("base", value, negated=negated)
    elif name == "sort":
        return  # the router reads by time of change, whatever the order asked for
    elif name in _SEARCHED:
        reading.search.append(again)
    else:
        raise ValueError(f"search qualifier {name!r} is not known{_nearest(name, _SEARCHED | _DECIDED)}")


def _read_is(reading: _Reading, name: str, value: str, *, negated: bool) -> None:
    kind = reading.kind
    own = {"issues": ("issue",), "pulls": ("pr", "pull-request")}[kind]
    if value in ("issue", "pr", "pull-request"):
        if (value in own) == negated:
            raise ValueError(f"{name}:{value} contradicts the watch's kind {kind!r}")
    elif value == "draft" and kind == "pulls":
        reading.add("draft", "true", negated=negated)
    elif value in ("open", "closed", "merged", "unmerged"):
        named = _states_named(kind, value)
        reading.restrict(set(_STATES[kind]) - named if negated else named)
    elif value in ("public", "private", "locked", "unlocked", "queued", "blocked", "blocking"):
        reading.search.append(f"{'-' if negated else ''}is:{value}")
    else:
        raise ValueError(f"{name}:{value} is not known for {kind}")


def _states_named(kind: Kind, word: str) -> set[str]:
    """As `gh` and GitHub's search read the word: a merged pull request is closed, too."""
    if word == "closed" and kind == "pulls":
        return {"closed", "merged"}
    if word == "unmerged" and kind == "pulls":
        return {"open", "closed"}
    if word in _STATES[kind]:
        return {word}
    raise ValueError(f"state {word!r} is not known for {kind}{_nearest(word, (*_STATES[kind], 'all'))}")


def _quoted(value: str) -> str:
    return '"' + value.replace('"', "") + '"' if not value or any(char.isspace() for char in value) else value


def _nearest(word: str, known: object) -> str:
    names = sorted(str(name) for name in known) if isinstance(known, dict | frozenset | set | tuple) else []
    near = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"


RUN_STATUSES = (
    "queued", "in_progress", "completed", "requested", "waiting", "pending",
    "action_required", "cancelled", "failure", "neutral", "skipped", "stale", "startup_failure", "success", "timed_out",
)  # fmt: skip
_DECIDED = frozenset({"is", "state", "type", "assignee", "author", "label", "no", "draft", "base"})
_SEARCHED = frozenset(
    {
        "mentions", "involves", "commenter", "team", "milestone", "in", "linked", "project", "head", "review", "sha",
        "reviewed-by", "review-requested", "user-review-requested", "team-review-requested", "status", "language",
        "created", "updated", "closed", "merged", "comments", "reactions", "interactions", "archived", "reason",
        "assignee", "author", "no", "app",
    }
)  # fmt: skip
_LISTED: dict[str, Read] = {
    "--assignee": _field("assignee"),
    "--author": _field("author"),
    "--label": _each("label"),
    "--state": _state_flag,
    "--search": _search_flag,
    "--limit": _limit,
    "--app": lambda reading, value: reading.search.append(f"author:app/{value}"),
}
_FLAGS: dict[Kind, dict[str, Read]] = {
    "issues": {**_LISTED, "--mention": _sought("mentions"), "--milestone": _sought("milestone")},
    "pulls": {**_LISTED, "--base": _field("base"), "--head": _field("branch"), "--draft": _draft_flag},
    "runs": {
        "--branch": _field("branch"),
        "--workflow": _field("workflow"),
        "--status": _status_flag,
        "--event": _field("trigger"),
        "--user": _field("author"),
        "--commit": _field("commit"),
        "--limit": _limit,
    },
}
_BARE = frozenset({"--draft"})
_SHARED_SHORT = {"-a": "--assignee", "-A": "--author", "-l": "--label", "-s": "--state", "-S": "--search"}
_SHORT: dict[Kind, dict[str, str]] = {
    "issues": {**_SHARED_SHORT, "-m": "--milestone", "-L": "--limit"},
    "pulls": {**_SHARED_SHORT, "-B": "--base", "-H": "--head", "-d": "--draft", "-L": "--limit"},
    "runs": {
        "-b": "--branch", "-w": "--workflow", "-s": "--status", "-e": "--event", "-u": "--user", "-c": "--commit",
        "-L": "--limit",
    },
}  # fmt: skip

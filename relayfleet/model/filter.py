"""A watch's filter: the flags of `gh issue list`, `gh pr list` and `gh run list`, understood when they are read.

What can be decided from an item itself is decided here, exactly and at once. What only GitHub's search can decide
(`mentions:`, `milestone:`, words ...) is kept in `search` and sent there. What is neither, or can never find anything,
is refused with the reason: GitHub's search passes over what it does not know, which would make a firehose. The
qualifiers are those of GitHub's page "Searching issues and pull requests".
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.item import Item, Kind

Field = Literal[
    "assignee", "author", "label", "reviewer", "reason", "draft", "base", "branch", "workflow", "status", "trigger",
    "commit",
]  # fmt: skip
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


def _reviewer(item: Item, reviewer: str) -> str:
    """As GitHub's search names them: a login, or ORG/TEAM. Only teams of the repository's owner are asked."""
    kind, slash, team = reviewer.partition("/")
    return f"{item.repo.partition('/')[0]}/{team}" if slash else kind


_VALUES: dict[Field, Callable[[Item], tuple[str, ...]]] = {
    "assignee": lambda item: item.assignees,
    "author": lambda item: (item.author,),
    "label": lambda item: item.labels,
    "reviewer": lambda item: tuple(_reviewer(item, one) for one in item.reviewers),
    "reason": lambda item: (item.reason,),
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
        self.needed: dict[str, frozenset[str]] = {}

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
        for name, needed in self.needed.items():
            if not states & needed:
                wanted = " or ".join(sorted(needed))
                raise ValueError(
                    f"{name}: finds only items that are {wanted}, and the states asked for leave these out"
                )
        if states == frozenset(_STATES[self.kind]):
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
    if not name:
        reading.search.append(_quoted(value))
        return
    if name in ("repo", "org", "user"):
        raise ValueError(f"{name}: is said by the watch's own `repo`")
    if name not in _QUALIFIERS:
        raise ValueError(f"search qualifier {name!r} is not known{_nearest(name, _QUALIFIERS)}")
    kind = _ONLY_OF.get(f"{name}:{value.lower()}", _ONLY_OF.get(name, reading.kind))
    if kind != reading.kind:
        raise ValueError(f"{name}:{value} finds only {kind}, and the watch is of {reading.kind}")
    allowed = _ALLOWED.get(name)
    for part in value.split(",") if name == "in" else (value,):
        if allowed is not None and part.lower() not in allowed:
            raise ValueError(f"{name}:{part} is not known{_nearest(part, allowed)}")
    if name in _RANGED and not _RANGE[_RANGED[name]].match(value):
        raise ValueError(f"{name}: takes {_RANGED[name]}s such as {_RANGE_SUCH_AS[_RANGED[name]]}, not {value!r}")
    if name in _CLOSED and not negated and value != "reopened":
        reading.needed[name] = _CLOSED[name] & frozenset(_STATES[reading.kind])
    if name in ("is", "state", "type"):
        _read_is(reading, name, value, negated=negated)
    elif name in ("assignee", "author") and not repeated:
        field: Field = "assignee" if name == "assignee" else "author"
        reading.add(field, _app_login(value) if name == "author" else value, negated=negated)
    elif name in ("user-review-requested", "team-review-requested"):
        reading.add("reviewer", value, negated=negated)
    elif name == "label":
        reading.add("label", *value.split(","), negated=negated)
    elif name == "no" and value in ("assignee", "label"):
        reading.add("assignee" if value == "assignee" else "label", ANY, negated=not negated)
    elif name == "no" and negated:
        raise ValueError(f"-no:{value} finds nothing: GitHub's search does not negate no:")
    elif name == "reason":
        reading.add("reason", value.lower().replace(" ", "_"), negated=negated)
    elif name == "draft":
        reading.add("draft", value.lower(), negated=negated)
    elif name == "base":
        reading.add("base", value, negated=negated)
    elif name != "sort":  # the router reads by time of change, whatever the order asked for
        reading.search.append(f"{'-' if negated else ''}{name}:{_quoted(value)}")


def _app_login(value: str) -> str:
    """GitHub's search names an app `app/NAME`; as an author it is `NAME[bot]`."""
    return f"{value.removeprefix('app/')}[bot]" if value.startswith("app/") else value


def _read_is(reading: _Reading, name: str, value: str, *, negated: bool) -> None:
    kind, word = reading.kind, value.lower()
    own = {"issues": ("issue",), "pulls": ("pr", "pull-request")}[kind]
    if word in ("issue", "pr", "pull-request"):
        if (word in own) == negated:
            raise ValueError(f"{name}:{value} contradicts the watch's kind {kind!r}")
    elif name == "type" and kind == "issues":
        reading.search.append(f"{'-' if negated else ''}type:{_quoted(value)}")
    elif name == "type":
        raise ValueError(f"type:{value} finds only issues, and the watch is of {kind}")
    elif name == "is" and word == "draft" and kind == "pulls":
        reading.add("draft", "true", negated=negated)
    elif word in ("open", "closed", "merged", "unmerged"):
        named = _states_named(kind, word)
        reading.restrict(set(_STATES[kind]) - named if negated else named)
    elif name == "is" and word in (*_IS_SEARCHED, *_IS_OF[kind]):
        reading.search.append(f"{'-' if negated else ''}is:{word}")
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


RUN_STATES = ("queued", "in_progress", "completed", "requested", "waiting", "pending")
CONCLUSIONS = (
    "action_required", "cancelled", "failure", "neutral", "skipped", "stale", "startup_failure", "success", "timed_out",
)  # fmt: skip
RUN_STATUSES = (*RUN_STATES, *CONCLUSIONS)
_QUALIFIERS = frozenset(
    {
        "is", "state", "type", "assignee", "author", "label", "no", "draft", "base", "reason", "sort",
        "user-review-requested", "team-review-requested",
        # Whose review is asked for by way of a team, and where in a branch's name a word begins, only GitHub knows.
        "review-requested", "head",
        "mentions", "involves", "commenter", "team", "milestone", "in", "linked", "project", "review", "reviewed-by",
        "sha", "status", "language", "created", "updated", "closed", "merged", "comments", "reactions", "interactions",
        "archived",
    }
)  # fmt: skip
_ONLY_OF: dict[str, Kind] = {
    "linked:pr": "issues",
    "linked:issue": "pulls",
    "reason": "issues",
    **dict.fromkeys(
        (
            "draft", "base", "head", "review", "reviewed-by", "review-requested", "user-review-requested",
            "team-review-requested", "sha", "status", "merged",
        ),
        "pulls",
    ),
}  # fmt: skip
_ALLOWED: dict[str, tuple[str, ...]] = {
    "archived": ("true", "false"),
    "draft": ("true", "false"),
    "in": ("title", "body", "comments"),
    "linked": ("pr", "issue"),
    "no": ("label", "milestone", "assignee", "project"),
    "reason": ("completed", "not planned", "duplicate", "reopened"),
    "review": ("none", "required", "approved", "changes_requested"),
    "status": ("pending", "success", "failure"),
}
_CLOSED: dict[str, frozenset[str]] = {
    "closed": frozenset({"closed", "merged"}),
    "merged": frozenset({"merged"}),
    "reason": frozenset({"closed"}),
}
_RANGED: dict[str, Literal["number", "date"]] = {
    **dict.fromkeys(("comments", "reactions", "interactions"), "number"),
    **dict.fromkeys(("created", "updated", "closed", "merged"), "date"),
}
_DATE = r"(?:\d{4}-\d\d(?:-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?)?|@today(?:[+-]\d+[dwmy])?)"
_RANGE = {
    "number": re.compile(r"(?:[<>]=?)?\d+\Z|\d+\.\.(?:\d+|\*)\Z|\*\.\.\d+\Z"),
    "date": re.compile(rf"(?:[<>]=?)?{_DATE}\Z|{_DATE}\.\.(?:{_DATE}|\*)\Z|\*\.\.{_DATE}\Z"),
}
_RANGE_SUCH_AS = {"number": ">10 or 5..10", "date": ">=2026-01-31 or 2026-01-01..2026-01-31"}
_IS_SEARCHED = ("public", "private", "internal", "locked", "unlocked")
_IS_OF: dict[Kind, tuple[str, ...]] = {"issues": ("blocked", "blocking"), "pulls": ("queued",), "runs": ()}
_LISTED: dict[str, Read] = {
    "--assignee": _field("assignee"),
    "--author": _field("author"),
    "--label": _each("label"),
    "--state": _state_flag,
    "--search": _search_flag,
    "--limit": _limit,
    "--app": lambda reading, value: reading.add("author", _app_login(f"app/{value}")),
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

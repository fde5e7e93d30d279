"""GitHub's search for issues and pull requests: the qualifiers that watches use, on an index that may be late."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable

from relayfleet.demo.github.repository import Repository
from relayfleet.demo.github.state import State
from relayfleet.demo.github.thing import Thing, ThingKind, iso

Test = Callable[[Thing], bool]
_WORD = re.compile(r'(-?)(?:([\w-]+):)?("[^"]*"|\S+)')
_KINDS: dict[str, ThingKind] = {"issue": "issues", "pr": "pulls", "pull-request": "pulls"}
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    ">=": lambda have, wanted: have >= wanted,
    "<=": lambda have, wanted: have <= wanted,
    ">": lambda have, wanted: have > wanted,
    "<": lambda have, wanted: have < wanted,
    "": lambda have, wanted: have.startswith(wanted),
}


def search(state: State, query: str, *, viewer: str) -> list[Thing]:
    """What the index finds, in the order that the query asks for. A qualifier that is not known is a word to look for.

    `viewer` is the login behind `@me`.
    """
    repositories: list[str] = []
    kinds: set[ThingKind] = {"issues", "pulls"}
    tests: list[tuple[bool, Test]] = []
    sort = "created-desc"
    for dash, name, quoted in _WORD.findall(query):
        value = quoted.strip('"')
        if name == "repo":
            repositories.append(value)
        elif name == "sort":
            sort = value
        elif name in ("is", "type", "state") and value in _KINDS:
            kinds &= {_KINDS[value]} if not dash else kinds - {_KINDS[value]}
        else:
            tests.append((dash == "-", _test(name, viewer if value == "@me" else value)))
    found = [
        thing
        for repository in _within(state, repositories)
        for kind in kinds
        for thing in repository.things[kind].values()
        if (seen := _indexed(state, thing)) and all(test(seen) != negated for negated, test in tests)
    ]
    by_update = sort.startswith("updated")
    found.sort(key=lambda thing: (thing.updated if by_update else thing.created, thing.id), reverse=True)
    if sort.endswith("-asc"):
        found.reverse()
    return found


def _within(state: State, names: list[str]) -> Iterable[Repository]:
    if not names:
        return list(state.repositories.values())
    return [found for full in names if (found := state.repository(full)) is not None]


def _indexed(state: State, thing: Thing) -> Thing | None:
    """The thing as the index knows it."""
    if not state.search_lag:
        return thing
    until = time.time() - state.search_lag
    return next((past for moment, past in reversed(thing.past) if moment <= until), None)


def _test(name: str, value: str) -> Test:
    folded = value.casefold()
    several = folded.split(",")
    match name:
        case "is" | "state" if folded in ("open", "closed"):
            return lambda thing: thing.state == folded
        case "is" if folded in ("merged", "unmerged"):
            return lambda thing: thing.kind == "pulls" and thing.merged == (folded == "merged")
        case "is" if folded in ("public", "private"):
            return lambda thing: thing.repository.private == (folded == "private")
        case "is" if folded == "draft":
            return lambda thing: thing.draft
        case "draft" if folded in ("true", "false"):
            return lambda thing: thing.kind == "pulls" and thing.draft == (folded == "true")
        case "reason":
            return lambda thing: (thing.reason or "").casefold() == folded.replace(" ", "_")
        case "mentions":
            return lambda thing: _mentions(thing, folded)
        case "author":
            return lambda thing: thing.author.casefold() == _login(folded)
        case "assignee":
            return lambda thing: _has(thing.assignees, [folded])
        case "commenter":
            return lambda thing: _has(_commenters(thing), [folded])
        case "involves":
            return lambda thing: (
                _has([thing.author, *thing.assignees, *_commenters(thing)], [folded]) or _mentions(thing, folded)
            )
        case "label":
            return lambda thing: _has(thing.labels, several)
        case "milestone":
            return lambda thing: (thing.milestone or "").casefold() == folded
        case "review-requested" | "user-review-requested" | "team-review-requested":
            return lambda thing: _has(thing.reviewers, [folded])
        case "reviewed-by":
            return lambda thing: _has([one.author for one in thing.reviews], [folded])
        case "base" | "head":
            return lambda thing: (
                thing.kind == "pulls" and (thing.base if name == "base" else thing.branch).casefold() == folded
            )
        case "no" if folded in ("assignee", "label", "milestone"):
            return lambda thing: not {"assignee": thing.assignees, "label": thing.labels}.get(folded, thing.milestone)
        case "updated" | "created" | "closed":
            operator = (re.match(r">=|<=|>|<", value) or [""])[0]
            limit = value.removeprefix(operator)
            return lambda thing: _compare(operator, getattr(thing, name), limit)
        case _:
            text = f"{name}:{folded}" if name else folded
            return lambda thing: text in "\n".join((thing.title, thing.body, *_said(thing))).casefold()


def _compare(operator: str, moment: float | None, limit: str) -> bool:
    return moment is not None and _COMPARE[operator](iso(moment), limit)


def _has(names: Iterable[str], wanted: list[str]) -> bool:
    return any(name.casefold() in wanted for name in names)


def _login(name: str) -> str:
    """An app's login is searched for as `app/name`."""
    return f"{name.removeprefix('app/')}[bot]" if name.startswith("app/") else name


def _said(thing: Thing) -> list[str]:
    return [one.body for one in thing.parts()]


def _commenters(thing: Thing) -> list[str]:
    return [one.author for one in thing.comments]


def _mentions(thing: Thing, login: str) -> bool:
    mention = re.compile(rf"(?<![\w-])@{re.escape(login)}(?![\w-])")
    return any(mention.search(text.casefold()) for text in (thing.body, *_said(thing)))

"""GitHub's search for issues and pull requests: the part of it that watches use."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from relayfleet.demo.github.state import Repository, State, Thing, ThingKind, iso

Found = tuple[Repository, Thing]
_WORD = re.compile(r'(-?)(?:([\w-]+):)?("[^"]*"|\S+)')
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    ">=": lambda have, wanted: have >= wanted,
    "<=": lambda have, wanted: have <= wanted,
    ">": lambda have, wanted: have > wanted,
    "<": lambda have, wanted: have < wanted,
    "": lambda have, wanted: have.startswith(wanted),
}


def search(state: State, query: str) -> list[Found]:
    """What a (late) index finds, in the order that the query asks for."""
    repositories: list[str] = []
    kinds: set[ThingKind] = {"issues", "pulls"}
    tests: list[tuple[bool, Callable[[Thing], bool]]] = []
    sort = "created-desc"
    for dash, name, quoted in _WORD.findall(query):
        value = quoted.strip('"')
        if name == "repo":
            repositories.append(value)
        elif name == "sort":
            sort = value
        elif name in ("is", "type", "state") and value in ("issue", "pr"):
            kinds = {"issues"} if value == "issue" else {"pulls"}
        else:
            test = _test(name, state.viewer if value == "@me" else value)
            if test is not None:
                tests.append((dash == "-", test))
    found: list[Found] = []
    for full in repositories or list(state.repositories):
        repository = state.repository(full)
        for kind in kinds if repository else ():
            assert repository is not None
            for thing in repository.things[kind].values():
                seen = _indexed(state, thing)
                if seen is not None and all(test(seen) != negated for negated, test in tests):
                    found.append((repository, thing))
    by_update = sort.startswith("updated")
    found.sort(key=lambda pair: (pair[1].updated if by_update else pair[1].created, pair[1].id), reverse=True)
    if sort.endswith("-asc"):
        found.reverse()
    return found


def _indexed(state: State, thing: Thing) -> Thing | None:
    """The thing as the index knows it."""
    if not state.search_lag:
        return thing
    until = time.time() - state.search_lag
    known = [past for moment, past in thing.past if moment <= until]
    return known[-1] if known else None


def _test(name: str, value: str) -> Callable[[Thing], bool] | None:
    folded = value.casefold()
    match name:
        case "":
            return lambda thing: folded in f"{thing.title}\n{thing.body}".casefold()
        case "mentions":
            mention = re.compile(rf"@{re.escape(folded)}(?![\w-])")
            return lambda thing: bool(mention.search(thing.body.casefold()))
        case "is" | "state" if value in ("open", "closed"):
            return lambda thing: thing.state == value
        case "is" if value == "merged":
            return lambda thing: thing.merged
        case "assignee":
            return lambda thing: folded in {login.casefold() for login in thing.assignees}
        case "author":
            return lambda thing: thing.author.casefold() == folded
        case "label":
            return lambda thing: folded in {label.casefold() for label in thing.labels}
        case "updated" | "created":
            operator = (re.match(r">=|<=|>|<", value) or [""])[0]
            limit = value.removeprefix(operator)
            return lambda thing: _COMPARE[operator](iso(thing.updated if name == "updated" else thing.created), limit)
        case _:
            return None

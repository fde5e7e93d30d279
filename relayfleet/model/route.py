"""A route maps the events that it matches to agents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relayfleet.model.event import Event, Kind
from relayfleet.model.trust import TRUST_LEVELS, Trust, TrustLevel
from relayfleet.model.watch import Watch

__all__ = ["TRUST_LEVELS", "Gate", "Match", "Route", "Trust", "TrustLevel", "explain", "matches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Every key that is set must match; an absent key is a wildcard. Logins, labels and repositories match without
    regard to case, as on GitHub."""

    watch: str | None = None
    repo: str | None = None
    kind: Kind | None = None
    label: str | None = None
    author: str | None = None
    state: str | None = None
    title_contains: str | None = None

    def is_empty(self) -> bool:
        return self == Match()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`trust` None means the default: collaborators on public repositories, anyone on private ones."""

    match: Match
    to: tuple[str, ...]
    trust: Trust | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """routes.json, read."""

    watches: tuple[Watch, ...] = ()
    routes: tuple[Route, ...] = ()


def matches(route: Route, event: Event) -> bool:
    """Whether every key of the route's match holds for the event. An empty match matches everything."""
    return next(_failures(route.match, event), None) is None


def explain(route: Route, event: Event) -> tuple[str, ...]:
    """Every key that failed, as `key: wanted ..., is ...`; empty when the route matches."""
    return tuple(_failures(route.match, event))


def _failures(match: Match, event: Event) -> Iterator[str]:
    item = event.item
    if match.watch is not None and match.watch != event.watch:
        yield _failure("watch", match.watch, event.watch)
    if match.kind is not None and match.kind != item.kind:
        yield _failure("kind", match.kind, item.kind)
    if match.repo is not None and match.repo.casefold() not in (item.repo.casefold(), event.watched_repo.casefold()):
        yield _failure("repo", match.repo, item.repo)
    if match.state is not None and match.state.casefold() not in _states(event):
        yield _failure("state", match.state, item.state)
    if match.author is not None and match.author.casefold() != item.author.casefold():
        yield _failure("author", match.author, item.author)
    if match.label is not None and match.label.casefold() not in {label.casefold() for label in item.labels}:
        yield _failure("label", match.label, list(item.labels))
    if match.title_contains is not None and match.title_contains.casefold() not in item.title.casefold():
        yield _failure("title_contains", match.title_contains, item.title)


def _states(event: Event) -> tuple[str, ...]:
    """A run answers to its status and to its conclusion, as with `gh run list --status`; a merged pull is closed."""
    item = event.item
    if item.kind == "runs":
        return (item.state, item.conclusion)
    return ("merged", "closed") if item.state == "merged" else (item.state,)


def _failure(key: str, wanted: object, actual: object) -> str:
    return f"{key}: wanted {wanted!r}, is {actual!r}"

"""The gate's decision on one event: who gets it, by which route, and from whom trust keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from relayfleet.model.event import Event, Item, key_of
from relayfleet.model.filter import matches_filter, parse_filter
from relayfleet.model.route import Gate, Route, explain, matches
from relayfleet.model.trust import Admission, admits
from relayfleet.model.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """`routes` are the indices (in routes.json, from 0) of the routes that lead to the agent, the first one first."""

    agent: str
    routes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`held` are the agents that a route leads to, but no route that trusts the author; `reason` is the first such
    route's."""

    recipients: tuple[Recipient, ...] = ()
    held: tuple[Recipient, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one route says to an event: the keys that failed, and what trust says when none did."""

    index: int
    route: Route
    failures: tuple[str, ...]
    admission: Admission | None

    @property
    def delivers(self) -> bool:
        return self.admission is not None and self.admission.admitted


def recipients(gate: Gate, event: Event) -> tuple[Recipient, ...]:
    """The union of `to` over the routes that match, each agent once, in the order of the routes. Trust is not asked."""
    return _union(gate, [index for index, route in enumerate(gate.routes) if matches(route, event)])


def admission_of(route: Route, event: Event) -> Admission:
    item = event.item
    return admits(route.trust, association=item.association, author=item.author, private=item.private)


def judge(gate: Gate, event: Event) -> Verdict:
    """Matching and trust together."""
    passing: list[int] = []
    closed: list[int] = []
    reason = ""
    for index, route in enumerate(gate.routes):
        if not matches(route, event):
            continue
        admission = admission_of(route, event)
        (passing if admission.admitted else closed).append(index)
        if not admission.admitted and not reason:
            reason = admission.reason
    getting = _union(gate, passing)
    reached = {recipient.agent for recipient in getting}
    held = tuple(recipient for recipient in _union(gate, closed) if recipient.agent not in reached)
    return Verdict(recipients=getting, held=held, reason=reason if held else "")


def explain_event(gate: Gate, event: Event) -> tuple[Finding, ...]:
    """One finding per route, in order: what `fleet route explain` shows."""
    found = []
    for index, route in enumerate(gate.routes):
        failures = explain(route, event)
        admission = None if failures else admission_of(route, event)
        found.append(Finding(index=index, route=route, failures=failures, admission=admission))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """Whether a watch sees an item, and why not. `event` is what it would make of it; `reason` is then what only
    GitHub's search can confirm, or empty."""

    watch: Watch
    event: Event | None
    reason: str


def seen_by(gate: Gate, item: Item, *, repo: str, viewer: str) -> tuple[Seeing, ...]:
    """What each watch, in order, would make of an item of `repo`. Raises ValueError for a filter that is not known."""
    return tuple(_seeing(watch, item, repo=repo, viewer=viewer) for watch in gate.watches)


def _seeing(watch: Watch, item: Item, *, repo: str, viewer: str) -> Seeing:
    if watch.kind != item.kind:
        return Seeing(watch=watch, event=None, reason=f"it watches {watch.kind}, and this is one of {item.kind}")
    if watch.repo.casefold() not in (item.repo.casefold(), repo.casefold()):
        return Seeing(watch=watch, event=None, reason=f"it watches {watch.repo!r}, and this is in {item.repo!r}")
    chosen = parse_filter(watch.filter, watch.kind)
    if not matches_filter(chosen, item, viewer=viewer):
        return Seeing(watch=watch, event=None, reason=f"its filter {watch.filter or '--state open'!r} leaves it out")
    event = Event(watch=watch.name, name="updated", item=item, key=key_of(item), watched_repo=watch.repo)
    sought = " ".join(chosen.search)
    return Seeing(watch=watch, event=event, reason=f"if GitHub's search finds it by {sought!r}" if sought else "")


def _union(gate: Gate, indices: list[int]) -> tuple[Recipient, ...]:
    leading: dict[str, list[int]] = {}
    for index in indices:
        for agent in gate.routes[index].to:
            routes = leading.setdefault(agent, [])
            if index not in routes:
                routes.append(index)
    return tuple(Recipient(agent=agent, routes=tuple(routes)) for agent, routes in leading.items())

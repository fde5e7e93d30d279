"""The gate's decision on one event: who gets it, by which route, and from whom trust keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from relayfleet.model.event import Event
from relayfleet.model.route import Gate, Route, explain, matches
from relayfleet.model.trust import Admission, admits


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


def _union(gate: Gate, indices: list[int]) -> tuple[Recipient, ...]:
    leading: dict[str, list[int]] = {}
    for index in indices:
        for agent in gate.routes[index].to:
            routes = leading.setdefault(agent, [])
            if index not in routes:
                routes.append(index)
    return tuple(Recipient(agent=agent, routes=tuple(routes)) for agent, routes in leading.items())

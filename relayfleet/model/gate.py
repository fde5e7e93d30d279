"""The gate's decision on one event: who gets it, how much of it, by which routes, and what trust holds back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from relayfleet.model.change import Changes, EventName
from relayfleet.model.event import Event, key_of
from relayfleet.model.filter import matches_filter, parse_filter
from relayfleet.model.gate_index import GateIndex, matching
from relayfleet.model.item import Note, Report, address_of, split_address
from relayfleet.model.route import Gate, Route, explain, whole_address
from relayfleet.model.snapshot import content_of
from relayfleet.model.trust import Admission, Rule, Standing, admits, admits_item, rule_of
from relayfleet.model.vouch import vouchers_of
from relayfleet.model.watch import Watch

# These say that somebody wrote a note, and nothing of the item itself.
_OF_NOTES: frozenset[EventName] = frozenset({"commented", "reviewed"})
_ORDER: tuple[Standing, ...] = ("withheld", "vouched", "full")

# What is made anew for each event is a Struct, which takes a tenth of the time of a frozen dataclass.


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """`routes` are the indices (in routes.json, from 0) of the routes that deliver to the agent, the first one first;
    `priority` is the highest of theirs. `item` is how much the agent gets of the item's own text, `vouchers` are those
    on whose word it does when it is `vouched`, and `notes` are the node ids of the new notes that it gets."""

    agent: str
    routes: tuple[int, ...]
    item: Standing
    notes: tuple[str, ...] = ()
    vouchers: tuple[str, ...] = ()
    priority: int = 0


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What no route lets through to an agent: the item's text, and the notes of these node ids. `routes` are those that
    match and lead to the agent; `reason` is what the first of them says to the first piece."""

    agent: str
    routes: tuple[int, ...]
    item: bool
    notes: tuple[str, ...]
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Agents in the order of the routes that lead to them. One that gets some pieces of an event while others are kept
    from it is in both."""

    recipients: tuple[Recipient, ...] = ()
    held: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one route says to an event: the keys that failed, and when none did what trust says to the item and to each
    new note. `delivers` is whether this route, on its own, brings the event to its agents."""

    index: int
    route: Route
    failures: tuple[str, ...]
    item: Admission | None = None
    notes: tuple[tuple[Note, Admission], ...] = ()
    delivers: bool = False


class _Ruling(msgspec.Struct, frozen=True):
    """What one rule says to an event's pieces. `delivers`: see `Finding`."""

    item: Admission
    notes: tuple[Admission, ...]
    delivers: bool


class _Share(msgspec.Struct, frozen=True):
    """What rules together let through to an agent, and what none of them does."""

    item: Standing
    vouchers: tuple[str, ...]
    notes: tuple[str, ...]
    held_notes: tuple[str, ...]
    reason: str


def judge(
    index: GateIndex, event: Event, *, cut: Collection[int] = frozenset(), told: Collection[str] = frozenset()
) -> Verdict:
    """Matching and trust together. An agent gets the union of what its routes admit, if one of them delivers.

    The routes of the indices `cut` count for nothing. The agents `told` had something of the item before: that it left,
    and why, is no text of anybody's, and they learn it whoever wrote the item.
    """
    routes, rules = index.gate.routes, index.rules
    rulings: dict[int, _Ruling] = {}
    leading: dict[str, dict[int, int]] = {}
    for place in matching(index, event):
        if place in cut:
            continue
        number = index.ruled[place]
        if number not in rulings:
            rulings[number] = _ruling(event, rules[number])
        for agent in routes[place].to:
            leading.setdefault(agent, {})[place] = number
    shares: dict[tuple[int, ...], _Share] = {}
    recipients: list[Recipient] = []
    held: list[Hold] = []
    for agent, numbers in leading.items():
        key = tuple(dict.fromkeys(numbers.values()))
        share = shares.get(key)
        if share is None:
            share = shares[key] = _share(event, [rulings[number] for number in key])
        delivering = tuple([place for place, number in numbers.items() if rulings[number].delivers])
        if not delivering and agent in told and "left" in event.names:
            delivering = tuple(numbers)
        if delivering:
            priority = max([routes[place].priority for place in delivering])
            recipients.append(
                Recipient(
                    agent=agent,
                    routes=delivering,
                    item=share.item,
                    notes=share.notes,
                    vouchers=share.vouchers,
                    priority=priority,
                )
            )
        if share.reason:
            hold = Hold(
                agent=agent,
                routes=tuple(numbers),
                item=share.item == "withheld",
                notes=share.held_notes,
                reason=share.reason,
            )
            held.append(hold)
    # An agent stands where the first route that matches leads to it; the first that delivers may be a later one.
    recipients.sort(key=_first_route)
    return Verdict(recipients=tuple(recipients), held=tuple(held))


def explain_event(gate: Gate, event: Event) -> tuple[Finding, ...]:
    """One finding per route, in order: what `fleet route explain` shows."""
    return tuple(_finding(index, route, event) for index, route in enumerate(gate.routes))


def _finding(index: int, route: Route, event: Event) -> Finding:
    failures = explain(route, event)
    if failures:
        return Finding(index=index, route=route, failures=failures)
    ruling = _ruling(event, rule_of(route.trust, route.bots))
    return Finding(
        index=index,
        route=route,
        failures=(),
        item=ruling.item,
        notes=tuple(zip(event.changes.notes, ruling.notes, strict=True)),
        delivers=ruling.delivers,
    )


def _ruling(event: Event, rule: Rule) -> _Ruling:
    private, new = event.item.private, event.changes.notes
    item = admits_item(rule, event.item, event.vouchers, private=private)
    notes = tuple(admits(rule, note, private=private) for note in new)
    of_item = not new or not _OF_NOTES.issuperset(event.names)
    return _Ruling(item, notes, (of_item and item.admitted) or any(note.admitted for note in notes))


def _share(event: Event, rulings: Sequence[_Ruling]) -> _Share:
    item = max((ruling.item.standing for ruling in rulings), key=_ORDER.index)
    reason = rulings[0].item.reason if item == "withheld" else ""
    vouchers: dict[str, None] = {}
    if item == "vouched":
        vouchers = {one: None for ruling in rulings for one in ruling.item.vouchers}
    admitted: list[str] = []
    held: list[str] = []
    for place, note in enumerate(event.changes.notes):
        if any(ruling.notes[place].admitted for ruling in rulings):
            admitted.append(note.node_id)
        else:
            held.append(note.node_id)
            reason = reason or rulings[0].notes[place].reason
    return _Share(item, tuple(vouchers), tuple(admitted), tuple(held), reason)


def _first_route(recipient: Recipient) -> int:
    return recipient.routes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """Whether a watch sees an item, and why not. `event` is what it would make of it; `reason` is then what only
    GitHub's search can confirm, or empty."""

    watch: Watch
    event: Event | None
    reason: str


def seen_by(gate: Gate, report: Report, *, repo: str, viewer: str) -> tuple[Seeing, ...]:
    """What each watch, in order, would make of an item as it is now, all of its notes being new. `repo` is the
    repository as it was asked for. Raises ValueError for a filter that is not known."""
    return tuple(_seeing(watch, report, repo=repo, viewer=viewer) for watch in gate.watches)


def event_of(report: Report, *, watch: str, watched_repo: str) -> Event:
    """The event that an item would be, seen for the first time, without saying what happened to it."""
    return Event(
        watch=watch,
        names=("updated",),
        item=report.item,
        key=key_of(report.item, content_of(report.item, report.notes)),
        watched_repo=watched_repo,
        changes=Changes(names=frozenset({"updated"}), notes=report.notes),
        vouchers=vouchers_of(report),
    )


def _seeing(watch: Watch, report: Report, *, repo: str, viewer: str) -> Seeing:
    item = report.item
    if watch.kind != item.kind:
        return Seeing(watch=watch, event=None, reason=f"it watches {watch.kind}, and this is one of {item.kind}")
    here, asked = address_of(item.host, item.repo), address_of(item.host, split_address(repo)[1])
    if whole_address(watch.repo) not in (whole_address(here), whole_address(asked)):
        return Seeing(watch=watch, event=None, reason=f"it watches {watch.repo!r}, and this is in {here!r}")
    chosen = parse_filter(watch.filter, watch.kind)
    if not matches_filter(chosen, item, viewer=viewer):
        return Seeing(watch=watch, event=None, reason=f"its filter {watch.filter or '--state open'!r} leaves it out")
    sought = " ".join(chosen.search)
    return Seeing(
        watch=watch,
        event=event_of(report, watch=watch.name, watched_repo=watch.repo),
        reason=f"if GitHub's search finds it by {sought!r}" if sought else "",
    )

"""One round: look at the feeds that are due, see what happened, record it all in one transaction."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import inf

import msgspec

from relayfleet.model.change import EventName
from relayfleet.model.entry import new_entry_ids
from relayfleet.model.event import Event, encode_event
from relayfleet.model.filter import Filter, parse_filter
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.gate import Hold, Recipient, Verdict, judge
from relayfleet.model.gate_index import index_of
from relayfleet.model.item import Kind, Report, address_of
from relayfleet.model.moment import earlier
from relayfleet.model.names import EntryId
from relayfleet.model.route import Gate
from relayfleet.model.snapshot import is_busy
from relayfleet.model.watch import Feed, Watch, feed_of, fingerprint_of
from relayfleet.ports.authorship import Authorship
from relayfleet.ports.cursor import Batch, Breaker, Cooldown, Cursor, Decision, FeedChange, Held, HeldFor, Owed
from relayfleet.ports.log import Log
from relayfleet.ports.source import Failure, Listing, Look, Round, Search, Sight, Source
from relayfleet.router.cooldown import cool
from relayfleet.router.detect import Detection, View, detect
from relayfleet.router.entry import entry_of
from relayfleet.router.loops import Causes, besides_own, causes_of, step_breaker

# Checks change without touching the pull request: those under way are looked at often, the others now and then.
BUSY_S = 60.0
SWEEP_S = 600.0
# GitHub's search index knows by then what happened; how often everything that a search finds is compared.
LATE_S = 600.0
# What may be an agent's own writing waits so long for the record of its `gh` call.
OWN_S = 10.0
_OF_NOTES: frozenset[EventName] = frozenset({"commented", "reviewed"})
# So many ids are asked of the system at a time: it costs no more than one.
_IDS = 100
_BROKEN = "agents answer each other here: the breaker of the route is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What a round came to. `seen` are the feeds, by key, that were read and recorded; the others stay due. `unshown`
    names the items that were read around, by feed."""

    seen: tuple[str, ...]
    failures: Mapping[str, Failure] = field(default_factory=dict)
    watch_failures: Mapping[str, Failure] = field(default_factory=dict)
    unshown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    round: Round


@dataclass(slots=True)
class _Feed:
    """What is watched of one feed, and when parts of it were last looked at (moments of a clock that never goes
    back)."""

    feed: Feed
    watches: list[tuple[Watch, Filter]]
    swept_at: float
    busy_at: float = -inf
    busy: set[str] = field(default_factory=set)
    searched_at: dict[str, float] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(dict.fromkeys(watch.kind for watch, _ in self.watches))

    def names(self, kind: Kind) -> list[str]:
        return [watch.name for watch, _ in self.watches if watch.kind == kind]


@dataclass(slots=True)
class _Outcome:
    """What the events of a round come to, while it is worked out. What was decided within the round counts already.
    By route and key, `moments` are when entries may go, and `broken` is whether a breaker keeps them back."""

    owed: list[Owed] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    cooldowns: dict[tuple[str, str], Cooldown] = field(default_factory=dict)
    breakers: dict[tuple[str, str], Breaker] = field(default_factory=dict)
    moments: dict[tuple[str, str], float] = field(default_factory=dict)
    broken: dict[tuple[str, str], bool] = field(default_factory=dict)
    log: list[Mapping[str, object]] = field(default_factory=list)


class Poller:
    """Polls the feeds of one gate. `moment` is of a clock that never goes back, `now` of the wall's."""

    def __init__(
        self, *, gate: Gate, cursor: Cursor, authorship: Authorship, log: Log, rng: random.Random, moment: float
    ) -> None:
        """Raises ValueError when a watch's filter cannot be understood, StorageFailed."""
        self._cursor = cursor
        self._authorship = authorship
        self._log = log
        self._rng = rng
        self._feeds: dict[str, _Feed] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._cooldowns: dict[tuple[str, str], Cooldown] = {}
        self._ids: list[EntryId] = []
        self.forget_breakers()
        self.take(gate, moment=moment)

    def take(self, gate: Gate, *, moment: float) -> None:
        """Goes over to a gate, which nothing may be polled by meanwhile. Feeds that stay keep their times.

        Raises ValueError when a watch's filter cannot be understood, StorageFailed; then nothing is changed.
        """
        feeds: dict[str, _Feed] = {}
        for watch in gate.watches:
            feed = feed_of(watch)
            if feed.key not in feeds:
                # Spread, so that not all feeds are swept in the first round.
                before = self._feeds.get(feed.key) or _Feed(feed, [], moment - self._rng.random() * SWEEP_S)
                feeds[feed.key] = replace(before, watches=[])
            feeds[feed.key].watches.append((watch, parse_filter(watch.filter, watch.kind)))
        for key, node_ids in self._cursor.busy_pulls().items():
            if key in feeds:
                feeds[key].busy.update(node_ids)
        known, index = self._cursor.watches(), index_of(gate)
        fresh = {watch.name for watch in gate.watches if known.get(watch.name) != fingerprint_of(watch)}
        self._fresh, self._feeds, self._gate, self._index = fresh, feeds, gate, index
        self._routes = [route_fingerprint(route) for route in gate.routes]

    def forget_breakers(self) -> None:
        """They were reset, or pruned with the cooldowns: what is stored counts. Raises StorageFailed."""
        self._breakers = {(one.route, one.item): one for one in self._cursor.breakers()}
        self._cooldowns = {(one.route, one.item): one for one in self._cursor.cooldowns()}

    @property
    def open_breakers(self) -> Sequence[tuple[int | None, Breaker]]:
        """With the index of the route, None when it is no more."""
        index = {fingerprint: place for place, fingerprint in enumerate(self._routes)}
        return [(index.get(one.route), one) for one in self._breakers.values() if one.open]

    @property
    def feeds(self) -> Mapping[str, Sequence[Watch]]:
        """The watches by the key of their feed."""
        return {key: [watch for watch, _ in feed.watches] for key, feed in self._feeds.items()}

    @property
    def fresh(self) -> frozenset[str]:
        """The keys of the feeds that have a watch which is yet to begin."""
        return frozenset(
            key for key, feed in self._feeds.items() if any(watch.name in self._fresh for watch, _ in feed.watches)
        )

    async def poll(self, source: Source, keys: Sequence[str], *, now: float, moment: float) -> Polled:
        """Looks at these feeds, which are all of one lane of `source`. Raises StorageFailed: nothing is recorded."""
        looks = {key: self._look(self._feeds[key], moment=moment) for key in keys}
        found = await source.look(list(looks.values()))
        failures = dict(found.failures)
        watch_failures = dict(found.watch_failures)
        detections: list[Detection] = []
        for sight in found.sights:
            look = looks[sight.feed.key]
            if look.needs_viewer and not found.viewer:
                failures[sight.feed.key] = Failure(kind="server", message="GitHub did not say who @me is")
            else:
                detections.append(self._detect(look, sight, found.viewer))
        self._record(detections, viewer=found.viewer, now=now)
        for detection in detections:
            self._follow(looks[detection.change.feed.key], detection.change, moment=moment)
        seen = tuple(detection.change.feed.key for detection in detections)
        unshown = {one.change.feed.key: self._name_unshown(one.change) for one in detections}
        return Polled(seen=seen, failures=failures, watch_failures=watch_failures, unshown=unshown, round=found)

    def _name_unshown(self, change: FeedChange) -> Sequence[str]:
        node_ids = [node_id for progress in change.progress.values() for node_id in progress.unshown]
        known = self._cursor.snapshots(node_ids) if node_ids else {}
        return [f"#{known[one].number}" if one in known else one for one in node_ids]

    def _look(self, feed: _Feed, *, moment: float) -> Look:
        fresh = [(watch, chosen) for watch, chosen in feed.watches if watch.name in self._fresh]
        sweep: Sequence[str] = ()
        if "pulls" in feed.kinds and moment - feed.swept_at >= SWEEP_S:
            sweep = self._cursor.open_pulls(feed.names("pulls"))
        elif feed.busy and moment - feed.busy_at >= BUSY_S:
            sweep = sorted(feed.busy)
        return Look(
            feed=feed.feed,
            kinds=feed.kinds,
            progress=self._cursor.progress(feed.feed),
            known=self._cursor.snapshots,
            members=lambda kind: self._cursor.members(feed.names(kind)),
            listings=tuple(
                Listing(watch=watch.name, kind=watch.kind, filter=chosen)
                for watch, chosen in fresh
                if not chosen.search
            ),
            searches=tuple(
                Search(
                    watch=watch.name,
                    filter=chosen,
                    whole=watch.name in self._fresh or moment - feed.searched_at.get(watch.name, -inf) >= LATE_S,
                    members=lambda node_ids, name=watch.name: self._cursor.in_view(name, node_ids),  # type: ignore[misc]
                )
                for watch, chosen in feed.watches
                if chosen.search
            ),
            sweep=tuple(sweep),
            needs_viewer=any(chosen.needs_viewer for _, chosen in feed.watches),
        )

    def _detect(self, look: Look, sight: Sight, viewer: str) -> Detection:
        sight = self._without_unsure(sight, viewer)
        feed = self._feeds[look.feed.key]
        concerned = [report.item.node_id for report in sight.reports] + list(sight.gone)
        listed = [item.node_id for items in sight.listed.values() for item in items]
        listed += [node_id for found in sight.found.values() for node_id in found.items]
        views = [self._view(watch, chosen, sight, concerned) for watch, chosen in feed.watches]
        swept = [node_id for view in views for node_id in view.members]
        return detect(
            sight,
            views,
            self._cursor.snapshots(list(dict.fromkeys([*concerned, *listed, *swept]))),
            progress=look.progress,
            viewer=viewer,
        )

    def _view(self, watch: Watch, chosen: Filter, sight: Sight, concerned: Sequence[str]) -> View:
        found = sight.found.get(watch.name)
        fresh = watch.name in self._fresh
        members: Set[str] = frozenset()
        if not fresh:
            whole = found is not None and found.whole
            members = (
                frozenset(self._cursor.members([watch.name])) if whole else self._cursor.in_view(watch.name, concerned)
            )
        progress = sight.progress.get(watch.kind)
        late = earlier(progress.settled_at, LATE_S) if progress and chosen.search else ""
        return View(watch=watch, filter=chosen, fresh=fresh, members=members, late=late)

    def _without_unsure(self, sight: Sight, viewer: str) -> Sight:
        """Leaves out, for the next look, what may be an agent's own writing whose record is still under way."""
        if not any(report.notes for report in sight.reports):
            return sight
        progress = dict(sight.progress)
        sure: list[Report] = []
        for report in sight.reports:
            if not report.notes:
                sure.append(report)
                continue
            kind = report.item.kind
            settled_at = progress[kind].settled_at
            unsure = [
                note.updated_at
                for note in report.notes
                if note.author.casefold() == viewer.casefold()
                and settled_at
                and note.updated_at > earlier(settled_at, OWN_S)
                and not self._authorship.author(note.url, note.author)
            ]
            if unsure:
                progress[kind] = replace(progress[kind], mark=min(progress[kind].mark, earlier(min(unsure), 1.0)))
            else:
                sure.append(report)
        return replace(sight, reports=tuple(sure), progress=progress)

    def _follow(self, look: Look, change: FeedChange, *, moment: float) -> None:
        """Keeps in mind what was looked at, after it was recorded."""
        feed = self._feeds[change.feed.key]
        self._fresh.difference_update(fresh.name for fresh in change.fresh)
        if look.sweep:
            feed.busy_at = moment
        if moment - feed.swept_at >= SWEEP_S:
            feed.swept_at = moment
        for search in look.searches:
            if search.whole:
                feed.searched_at[search.watch] = moment
        for snapshot in change.snapshots:
            (feed.busy.add if is_busy(snapshot) else feed.busy.discard)(snapshot.node_id)
        feed.busy.difference_update(change.gone)

    def _record(self, detections: Sequence[Detection], *, viewer: str, now: float) -> None:
        outcome = _Outcome()
        for detection in detections:
            for fresh in detection.change.fresh:
                self._log.info("router.snapshot", watch=fresh.name, items=len(fresh.members))
            for event in detection.events:
                self._decide(event, outcome, viewer=viewer, now=now)
        if detections:
            batch = Batch(
                feeds=[detection.change for detection in detections],
                owed=outcome.owed,
                held=outcome.held,
                decisions=outcome.decisions,
                cooldowns=list(outcome.cooldowns.values()),
                breakers=list(outcome.breakers.values()),
            )
            self._cursor.commit(batch, now=now)
            self._cooldowns.update(outcome.cooldowns)
            self._breakers.update(outcome.breakers)
            self._log.info_each("router.event", outcome.log)

    def _decide(self, event: Event, outcome: _Outcome, *, viewer: str, now: float) -> None:
        """Who gets an event, who does not, and why."""
        verdict, informed = self._judge(event)
        sent: list[dict[str, object]] = []
        held = [_held_for(hold) for hold in verdict.held]
        notes: list[str] = [] if verdict.recipients or held else ["no route matches"]
        tellings: list[tuple[Recipient, Event]] = []
        for recipient in verdict.recipients:
            told = besides_own(event, recipient.agent, self._authorship, viewer=viewer, now=now)
            mine = _besides(recipient, told)
            if told is None or not _tells(told, mine):
                notes.append(f"{recipient.agent} did it itself")
            else:
                tellings.append((mine, told))
        cut = self._cut_off([mine for mine, _ in tellings], event, outcome, now=now)
        spared = judge(self._index, event, cut=cut, told=informed) if cut else verdict
        by_agent = {one.agent: one for one in spared.recipients}
        for mine, told in tellings:
            through = _besides(by_agent[mine.agent], told) if mine.agent in by_agent else None
            if through is not None and not _tells(told, through):
                through = None
            lost = _lost(mine, through, cut)
            if lost is not None:
                held.append(lost)
            if through is None:
                notes.append(f"{mine.agent} is cut off: {_BROKEN}")
                continue
            entry = entry_of(told, through, entry_id=self._new_id(), now=now)
            not_before = self._cool(through, event, outcome, now=now)
            outcome.owed.append(
                Owed(
                    agent=mine.agent,
                    key=event.key,
                    entry=entry,
                    item=event.item.node_id,
                    priority=through.priority,
                    not_before=not_before,
                )
            )
            sent.append({"agent": mine.agent, "routes": list(through.routes), "entry": entry.id})
        if held:
            outcome.held.append(
                Held(key=event.key, watch=event.watch, event=encode_event(event), holds=tuple(held), at=now)
            )
        record = {
            "watch": event.watch,
            "events": list(event.names),
            "why": event.why,
            "to": sent,
            "held": [{"agent": one.agent, "reason": one.reason} for one in held],
            "note": "; ".join(notes),
        }
        item = event.item
        outcome.decisions.append(
            Decision(
                at=now,
                repo=address_of(item.host, item.repo),
                kind=item.kind,
                number=item.number,
                key=event.key,
                record=record,
            )
        )
        outcome.log.append(
            {
                "watch": event.watch,
                "events": list(event.names),
                "repo": item.repo,
                "kind": item.kind,
                "number": item.number,
                "key": event.key,
                "to": [one["agent"] for one in sent],
                "held_for": [one.agent for one in held],
            }
        )

    def _new_id(self) -> EntryId:
        if not self._ids:
            self._ids = new_entry_ids(_IDS)
        return self._ids.pop()

    def _judge(self, event: Event) -> tuple[Verdict, Set[str]]:
        """The gate's decision, and the agents that learn that an item left because they were told of it."""
        verdict = judge(self._index, event)
        kept = [hold.agent for hold in verdict.held if hold.item] if "left" in event.names else ()
        informed = self._cursor.told(kept, kind=event.item.kind, node_id=event.item.node_id) if kept else frozenset()
        return (judge(self._index, event, told=informed) if informed else verdict), informed

    def _cut_off(
        self, recipients: Sequence[Recipient], event: Event, outcome: _Outcome, *, now: float
    ) -> frozenset[int]:
        """The routes whose breaker keeps the event back. Each counts it once, however many agents it leads to."""
        agents: dict[int, list[str]] = {}
        for recipient in recipients:
            for index in recipient.routes:
                agents.setdefault(index, []).append(recipient.agent)
        causes = causes_of(event, self._authorship)
        if causes.others and not self._breakers and not outcome.breakers:
            return frozenset()
        return frozenset(
            index for index, names in agents.items() if self._is_broken(index, names, event, causes, outcome, now=now)
        )

    def _is_broken(
        self, index: int, agents: Sequence[str], event: Event, causes: Causes, outcome: _Outcome, *, now: float
    ) -> bool:
        route = self._routes[index]
        # Several watches may see the same, and two routes may be the same.
        once = (route, event.key)
        if once in outcome.broken:
            return outcome.broken[once]
        place = (route, event.item.node_id)
        before = outcome.breakers.get(place) or self._breakers.get(place)
        after = step_breaker(before, causes, route=route, event=event, now=now)
        if after is not None and after is not before:
            outcome.breakers[place] = after
        broken = outcome.broken[once] = after is not None and after.open and not causes.others
        if after is not None and broken and not (before and before.open):
            self._log.warning(
                "router.breaker_opened",
                f"agents answered each other {after.count} times on {after.about}; the route is cut off there",
                hint=f"look at the conversation, then `fleet route reset {index}`",
                route=index,
                agents=agents,
            )
        return broken

    def _cool(self, recipient: Recipient, event: Event, outcome: _Outcome, *, now: float) -> float:
        """When the entry may go: once the first of its routes is not quiet about the item any more."""
        return min(self._cool_route(index, event, outcome, now=now) for index in recipient.routes)

    def _cool_route(self, index: int, event: Event, outcome: _Outcome, *, now: float) -> float:
        quiet_s = self._gate.routes[index].cooldown_s
        if not quiet_s:
            return 0.0
        place = (self._routes[index], event.item.node_id)
        # The same for every agent of the route, and for every watch that sees this.
        told = (place[0], event.key)
        if told not in outcome.moments:
            cooldown = outcome.cooldowns.get(place) or self._cooldowns.get(place)
            step = cool(cooldown.until if cooldown else 0.0, quiet_s=quiet_s, now=now)
            outcome.moments[told] = step.moment
            outcome.cooldowns[place] = Cooldown(route=place[0], item=place[1], until=step.until)
        return outcome.moments[told]


def _besides(recipient: Recipient, told: Event | None) -> Recipient:
    """The recipient without the notes that the agent is not told of."""
    if told is None or not recipient.notes:
        return recipient
    kept = {note.node_id for note in told.changes.notes}
    return msgspec.structs.replace(recipient, notes=tuple(note for note in recipient.notes if note in kept))


def _tells(event: Event, recipient: Recipient) -> bool:
    """Whether an entry for the recipient would say anything."""
    if recipient.notes or "left" in event.names:
        return True
    return recipient.item != "withheld" and not _OF_NOTES.issuperset(event.names)


def _lost(mine: Recipient, through: Recipient | None, cut: Set[int]) -> HeldFor | None:
    """The pieces that only routes let through which are cut off."""
    kept = set(through.notes) if through else set()
    item = mine.item != "withheld" and (through is None or through.item == "withheld")
    notes = tuple(note for note in mine.notes if note not in kept)
    if not item and not notes:
        return None
    routes = tuple(index for index in mine.routes if index in cut)
    return HeldFor(agent=mine.agent, routes=routes, item=item, notes=notes, reason=_BROKEN)


def _held_for(hold: Hold) -> HeldFor:
    return HeldFor(agent=hold.agent, routes=hold.routes, item=hold.item, notes=hold.notes, reason=hold.reason)

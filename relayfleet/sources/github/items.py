"""Issues and pull requests: probes that cost little, details for what changed, a listing on the first look.

What makes it miss nothing: a feed's *mark* is the time up to which everything was read after it had settled. GitHub's
times are whole seconds, so an item that changed within the last seconds by the server's clock may change
again under the same time; it stays above the mark and is read again, until it is older. What is remembered of it tells
whether there is news. Pages are read down to the mark, however many there are. The clock is the server's.

What is deleted leaves no trace but a count: when there are fewer items than there must be, the known ones are looked
for one by one. What changes without touching an item's time (the checks of a pull request) is swept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from relayfleet.model.item import Item, Kind, Note, Report
from relayfleet.model.moment import earlier
from relayfleet.model.snapshot import Snapshot
from relayfleet.model.watch import Progress
from relayfleet.ports.source import Failure, Found, Listing, Look, Purpose, Search, Sight
from relayfleet.sources.github.call import Caller, settled_at
from relayfleet.sources.github.decode import (
    Place,
    Stub,
    contexts_of,
    decode_acts,
    decode_check,
    decode_comments,
    decode_item,
    decode_page,
    decode_place,
    decode_report,
    decode_review_comments,
    decode_reviews,
    decode_stub,
    errors_by_alias,
    head_of,
    latest_of,
    login_of,
)
from relayfleet.sources.github.failure import failure_of_errors
from relayfleet.sources.github.query import (
    ACTS,
    CONNECTION,
    DETAILS_AT_ONCE,
    SWEEP_AT_ONCE,
    Question,
    details,
    listing,
    more_acts,
    more_checks,
    more_comments,
    more_review_comments,
    more_reviews,
    probe,
    probe_page,
    search,
    search_text,
    sweep,
    viewer,
)
from relayfleet.sources.github.stuck import Stuck

# The search index is late by seconds to minutes: what it shows below the mark is compared with what is known.
SEARCH_LAG_S = 600.0
# A first look lists this many items at most. What it leaves out is known when it changes.
MOST_LISTED = 1000
MOST_FOUND = 1000
MOST_NOTES = 2000
MOST_ACTS = 2000
MOST_CHECKS = 2000
# An old review may have been edited: so many older pages in a row are read in which nothing is new.
MOST_QUIET_PAGES = 4
MOST_AT_ONCE = 50
# Of questions whose answers are long, fewer go together.
LONG_AT_ONCE = 10
HEAVY_AT_ONCE = 4
DETAILS_TOGETHER = 2
# An item that is no more, or that the token may not see, is left out, and the rest of the answer is good.
_ABSENT = frozenset({"NOT_FOUND", "FORBIDDEN"})
# What a filter may ask for that costs points for every item.
_CONNECTIONS = frozenset({"label", "assignee", "reviewer"})
T = TypeVar("T")
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsRead:
    """What came of several looks: see ports.source.Round."""

    sights: tuple[Sight, ...]
    failures: Mapping[str, Failure]
    watch_failures: Mapping[str, Failure]
    failure: Failure | None


@dataclass(slots=True)
class _Probed:
    """What the probe of one kind showed. The first page's clock counts: what changes while we turn pages jumps to the
    front and is missed now."""

    floor: str
    stubs: dict[str, Stub] = field(default_factory=dict)
    total: int = 0
    date: float = 0.0


@dataclass(slots=True)
class _Reading:
    """A look while it is under way. `open` counts the questions that are not answered to the end."""

    look: Look
    stuck: Stuck
    probed: dict[Kind, _Probed] = field(default_factory=dict)
    listed: dict[str, dict[str, Item]] = field(default_factory=dict)
    found: dict[str, Found] = field(default_factory=dict)
    wanted: dict[str, None] = field(default_factory=dict)
    known: dict[str, Snapshot] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    reports: dict[str, Report] = field(default_factory=dict)
    swept: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    unshown: set[str] = field(default_factory=set)
    named: str = ""
    open: int = 0
    failure: Failure | None = None

    def want(self, node_ids: Sequence[str]) -> None:
        self.wanted.update(dict.fromkeys(node_ids))
        self.learn(node_ids)

    def learn(self, node_ids: Sequence[str]) -> None:
        self.known.update(self.look.known([one for one in node_ids if one not in self.known]))

    def heard_of(self, report: Report) -> str:
        """The time from which on the item's notes may be new."""
        snapshot = self.known.get(report.item.node_id)
        return snapshot.heard if snapshot is not None else self.since(report.item.node_id, report.item.kind)

    def since(self, node_id: str, kind: Kind) -> str:
        """The time up to which an item was read before."""
        progress = self.look.progress.get(kind)
        if progress is None:
            return _mark(self.probed[kind], None)
        return progress.unshown.get(node_id, progress.mark)

    def done_until(self, node_id: str, kind: Kind) -> str:
        """The time up to which it is known what was done to an item."""
        snapshot, since = self.known.get(node_id), self.since(node_id, kind)
        if snapshot is None:
            return since
        return min(since, snapshot.updated_at if snapshot.whole else snapshot.heard)

    def is_unshown(self, node_id: str) -> bool:
        return any(node_id in progress.unshown for progress in self.look.progress.values())

    def rests(self, node_id: str) -> bool:
        """Whether an item is read around at this look."""
        return self.is_unshown(node_id) and self.stuck.rests(node_id)

    def fail_to_show(self, node_id: str, failure: Failure) -> None:
        """GitHub failed at a single item."""
        if self.stuck.fails(node_id) or self.is_unshown(node_id):
            self.unshown.add(node_id)
            self.reports.pop(node_id, None)
        else:
            self.failure = failure


@dataclass(slots=True)
class _Task:
    """One alias to ask, and who takes the answer. `take` gives the next question when there is another page.
    `together` is how many such questions may share a query.

    With `node_ids` (those asked for) an error is one item's, and not the alias's.
    """

    question: Question
    purpose: Purpose
    readings: Sequence[_Reading]
    take: Callable[[Any, float], Question | None]
    fail: Callable[[Failure], None]
    together: int = MOST_AT_ONCE
    node_ids: Sequence[str] = ()


class ItemReader:
    """Never has two queries in flight. Remembers the login of the token and how many aliases GitHub can take."""

    def __init__(self, caller: Caller, now: Callable[[], float]) -> None:
        self._caller = caller
        self._at_once = MOST_AT_ONCE
        self._stuck = Stuck(now)
        self.viewer = ""

    async def look(self, looks: Sequence[Look]) -> ItemsRead:
        """Never raises for what goes wrong outside."""
        readings = [_Reading(look, self._stuck) for look in looks]
        watch_failures: dict[str, Failure] = {}
        tasks: list[_Task] = []
        if not self.viewer and any(look.needs_viewer for look in looks):
            question = viewer()
            tasks.append(_Task(question, "viewer", (), take=self._take_viewer, fail=lambda failure: None))
        tasks += [_probe_task(reading) for reading in readings]
        tasks += [task for reading in readings for task in _listing_tasks(reading)]
        tasks += [task for reading in readings for task in _search_tasks(reading, watch_failures)]
        failure = await self._ask_all(tasks)
        # What came from another repository shows only when it was read, and may make up for what is missing.
        for _ in range(2):
            failure = await self._sweep(_sound(readings), ended_by=failure)
            for reading in _sound(readings):
                _choose(reading)
            failure = await self._read(_sound(readings), ended_by=failure)
        return ItemsRead(
            sights=tuple(map(_conclude, _sound(readings))),
            failures={one.look.feed.key: one.failure for one in readings if one.failure is not None},
            watch_failures=watch_failures,
            failure=failure,
        )

    def _take_viewer(self, data: Any, date: float) -> None:
        self.viewer = login_of(data)[0]

    async def _read(self, readings: Sequence[_Reading], *, ended_by: Failure | None) -> Failure | None:
        """Reads items whole, then what their details left out. An item that is gone is not among the reports."""
        wanted = [(reading, one) for reading in readings for one in reading.wanted if one not in reading.read]
        for reading in readings:
            reading.read.update(reading.wanted)
        size = min(DETAILS_AT_ONCE, max(1, self._at_once // 2))
        more: list[_Task] = []
        tasks = [_details_task(chunk, self._caller.host, more) for chunk in self._cut_up(wanted, size)]
        return await self._ask_with(tasks, more, ended_by=ended_by)

    async def _sweep(self, readings: Sequence[_Reading], *, ended_by: Failure | None) -> Failure | None:
        """Looks for what is to be swept, and, where items are missing, for all that are known."""
        asked = [(reading, one) for reading in readings for one in _asked(reading)]
        lost = [(reading, one) for reading in readings for one in _lost(reading)]
        size = min(SWEEP_AT_ONCE, self._at_once)
        more: list[_Task] = []
        tasks = [_sweep_task(chunk, more, checks=True) for chunk in self._cut_up(asked, size)]
        tasks += [_sweep_task(chunk, more, checks=False) for chunk in self._cut_up(lost, 2 * size)]
        return await self._ask_with(tasks, more, ended_by=ended_by)

    def _cut_up(self, wanted: Sequence[tuple[_Reading, str]], size: int) -> list[Sequence[tuple[_Reading, str]]]:
        """Suspects come last, since they may end the round."""
        lots: dict[int, list[tuple[_Reading, str]]] = {}
        for reading, node_id in wanted:
            lots.setdefault(self._stuck.suspected(node_id), []).append((reading, node_id))
        return [chunk for most, lot in sorted(lots.items()) for chunk in _chunks(lot, min(most or size, size))]

    async def _ask_with(self, tasks: Sequence[_Task], more: list[_Task], *, ended_by: Failure | None) -> Failure | None:
        """As `_ask_all`, and then what the answers add to `more`."""
        while tasks:
            ended_by = await self._ask_all(tasks, ended_by=ended_by)
            tasks, more[:] = list(more), []
        return ended_by

    async def _ask_all(self, tasks: Sequence[_Task], *, ended_by: Failure | None = None) -> Failure | None:
        """Asks until no task is left, one query after another. Stops at a failure that concerns them all, and asks
        nothing when the round was `ended_by` one before; then the readings stay open."""
        waiting = list(tasks)
        for task in waiting:
            for reading in task.readings:
                reading.open += 1
        excused = False
        while waiting and ended_by is None:
            batch, waiting = self._cut(waiting)
            feeds = dict.fromkeys(reading.look.feed.key for task in batch for reading in task.readings)
            replies = await self._caller.ask([task.question for task in batch], batch[0].purpose, tuple(feeds))
            if isinstance(replies, Failure):
                if replies.status in (502, 504):
                    self._at_once = max(1, self._at_once // 2)
                node_ids = [node_id for task in batch for node_id in task.node_ids]
                if replies.status in (502, 504) and len(node_ids) > 1:
                    self._stuck.suspect(node_ids)
                if excused or replies.kind != "server" or not _is_of_one(batch):
                    return replies
                # It may be this item that GitHub fails at, and nothing else.
                excused = True
                batch[0].fail(replies)
                batch[0].readings[0].open -= 1
                continue
            self._at_once = min(MOST_AT_ONCE, self._at_once + 1)
            errors = errors_by_alias(replies.errors)
            for task, alias, data in zip(batch, replies.aliases, replies.data, strict=True):
                following = _take(task, data, errors.get(alias, ()), replies.date)
                if following is None:
                    for reading in task.readings:
                        reading.open -= 1
                else:
                    task.question = following
                    task.together = min(task.together, LONG_AT_ONCE)
                    waiting.append(task)
        return ended_by

    def _cut(self, waiting: list[_Task]) -> tuple[list[_Task], list[_Task]]:
        """The next batch: the first question, and those behind it that may go together with it."""
        first = waiting[0]
        most = 1 if self._is_suspect(first) else min(self._at_once, first.together)
        batch: list[_Task] = []
        for task in waiting:
            if (task.together, task.purpose) != (first.together, first.purpose) or len(batch) == most:
                break
            if batch and self._is_suspect(task):
                break
            batch.append(task)
        return batch, waiting[len(batch) :]

    def _is_suspect(self, task: _Task) -> bool:
        return any(self._stuck.suspected(node_id) for node_id in task.node_ids)


def _take(task: _Task, data: Any, errors: Sequence[Mapping[str, Any]], date: float) -> Question | None:
    """Hands an answer to its task. Gives the question that follows from it."""
    serious = [error for error in errors if error.get("type") not in _ABSENT]
    if data is None or (serious and not task.node_ids):
        task.fail(failure_of_errors(errors))
        return None
    if serious:
        # GitHub failed to show single items: whoever wants them has to ask again.
        task.fail(failure_of_errors(serious))
        return None
    try:
        return task.take(data, date)
    except _UNREADABLE as error:
        task.fail(Failure(kind="server", message=f"an answer has an unknown shape: {error!r}", status=200))
        return None


def _sound(readings: Sequence[_Reading]) -> list[_Reading]:
    return [reading for reading in readings if reading.failure is None and reading.open == 0]


def _failing(reading: _Reading) -> Callable[[Failure], None]:
    def fail(failure: Failure) -> None:
        reading.failure = failure

    return fail


def _probe_task(reading: _Reading) -> _Task:
    look = reading.look
    repo, kinds = look.feed.repo, look.kinds
    # On a first sight one page is enough, to learn where the mark is.
    floors = {kind: look.progress[kind].mark if kind in look.progress else "9" for kind in kinds}
    unread: list[tuple[Kind, str]] = []

    def take(data: Any, date: float) -> Question | None:
        reading.named = str(data["nameWithOwner"])
        for kind in kinds:
            connection = data.get(CONNECTION[kind])
            if connection is None:
                continue
            probed = reading.probed.setdefault(kind, _Probed(floor=floors[kind]))
            if not probed.date:
                probed.date, probed.total = date, int(connection["totalCount"])
            page = decode_page(connection)
            stubs = [decode_stub(node, host=look.feed.host) for node in page.nodes]
            probed.stubs.update((stub.node_id, stub) for stub in stubs)
            if page.cursor and (not stubs or stubs[-1].updated_at > probed.floor):
                unread.append((kind, page.cursor))
        return probe_page(repo, *unread.pop()) if unread else None

    return _Task(probe(repo, kinds), "probe", (reading,), take=take, fail=_failing(reading))


def _listing_tasks(reading: _Reading) -> list[_Task]:
    """One for the watches that want the same."""
    together: dict[tuple[Kind, frozenset[str], bool], list[Listing]] = {}
    for one in reading.look.listings:
        whole = any(term.field in _CONNECTIONS for term in one.filter.terms)
        together.setdefault((one.kind, one.filter.states, whole), []).append(one)
    return [_listing_task(reading, listings, whole=key[2]) for key, listings in together.items()]


def _listing_task(reading: _Reading, listings: Sequence[Listing], *, whole: bool) -> _Task:
    look, first = reading.look, listings[0]
    items: dict[str, Item] = {}
    reading.listed.update((one.watch, items) for one in listings)

    def ask(after: str | None) -> Question:
        return listing(look.feed.repo, first.kind, first.filter.states, whole=whole, after=after)

    def take(data: Any, date: float) -> Question | None:
        page = decode_page(data[CONNECTION[first.kind]])
        shown = (decode_item(node, host=look.feed.host) for node in page.nodes)
        items.update((item.node_id, item) for item in shown)
        return ask(page.cursor) if page.cursor and len(items) < MOST_LISTED else None

    together = HEAVY_AT_ONCE if whole else MOST_AT_ONCE
    return _Task(ask(None), "listing", (reading,), take=take, fail=_failing(reading), together=together)


def _search_tasks(reading: _Reading, failures: dict[str, Failure]) -> list[_Task]:
    return [_search_task(reading, one, failures) for one in reading.look.searches]


def _search_task(reading: _Reading, wanted: Search, failures: dict[str, Failure]) -> _Task:
    look, kind = reading.look, wanted.filter.kind
    text = search_text(look.feed.repo, wanted.filter)
    shown_whole = any(term.field in _CONNECTIONS for term in wanted.filter.terms)
    progress = look.progress.get(kind)
    floor = "" if wanted.whole or progress is None else earlier(progress.mark, SEARCH_LAG_S)
    items: dict[str, Item] = {}

    def ask(after: str | None) -> Question:
        return search(text, kind, whole=shown_whole, after=after)

    def take(data: Any, date: float) -> Question | None:
        page = decode_page(data)
        shown = [decode_item(node, host=look.feed.host) for node in page.nodes]
        items.update((item.node_id, item) for item in shown)
        if page.cursor and len(items) < MOST_FOUND and (not shown or shown[-1].updated_at > floor):
            return ask(page.cursor)
        # GitHub shows no more than that of what it finds.
        reading.found[wanted.watch] = Found(items=items, whole=wanted.whole and len(items) < MOST_FOUND)
        return None

    def fail(failure: Failure) -> None:
        failures[wanted.watch] = failure

    return _Task(ask(None), "search", (reading,), take=take, fail=fail, together=LONG_AT_ONCE)


def _is_of_one(batch: Sequence[_Task]) -> bool:
    return len(batch) == 1 and len(batch[0].node_ids) == 1


def _asked(reading: _Reading) -> list[str]:
    asked = [one for one in dict.fromkeys(reading.look.sweep) if one not in reading.swept and not reading.rests(one)]
    reading.swept.update(asked)
    return asked


def _lost(reading: _Reading) -> list[str]:
    missing = [kind for kind in reading.probed if _has_fewer(reading, kind)]
    lost = [one for kind in missing for one in reading.look.members(kind) if one not in reading.swept]
    lost = [one for one in lost if not reading.rests(one)]
    reading.swept.update(lost)
    return lost


def _has_fewer(reading: _Reading, kind: Kind) -> bool:
    """Whether there are fewer items than there were, and were made since or came from another repository."""
    probed, progress = reading.probed[kind], reading.look.progress.get(kind)
    if progress is None or not progress.settled_at:
        return False
    return probed.total < progress.count + len(_added(reading, kind, progress.settled_at).difference(progress.recent))


def _added(reading: _Reading, kind: Kind, since: str) -> set[str]:
    """The items that were made since then, or came from another repository."""
    made = {one.node_id for one in reading.probed[kind].stubs.values() if one.created_at >= since}
    here = [one for one in reading.reports.values() if one.item.repo.casefold() == reading.named.casefold()]
    # What is remembered of one that came says nothing: the look at where it was may have been recorded before.
    return made | {
        one.item.node_id
        for one in here
        if one.item.kind == kind and any(act.kind == "transferred" and act.at >= since for act in one.acts)
    }


def _sweep_task(wanted: Sequence[tuple[_Reading, str]], more: list[_Task], *, checks: bool) -> _Task:
    """`more` takes the halves of what failed."""
    by_reading: dict[int, tuple[_Reading, list[str]]] = {}
    for reading, node_id in wanted:
        by_reading.setdefault(id(reading), (reading, []))[1].append(node_id)
    readings = [reading for reading, _ in by_reading.values()]

    def take(data: Any, date: float) -> None:
        for reading, ids in by_reading.values():
            reading.learn(ids)
        for (reading, node_id), node in zip(wanted, data, strict=True):
            if not node:
                reading.gone.add(node_id)
            elif _is_news(reading, decode_place(node, host=reading.look.feed.host)):
                reading.want([node_id])

    def fail(failure: Failure) -> None:
        if len(wanted) > 1:
            half = len(wanted) // 2
            more.extend(_sweep_task(part, more, checks=checks) for part in (wanted[:half], wanted[half:]))
        else:
            readings[0].fail_to_show(wanted[0][1], failure)

    ids = [node_id for _, node_id in wanted]
    question = sweep(ids, checks=checks)
    return _Task(question, "sweep", readings, take=take, fail=fail, together=DETAILS_TOGETHER, node_ids=ids)


def _is_news(reading: _Reading, place: Place) -> bool:
    """Whether an item is elsewhere now, or its checks stand otherwise."""
    known = reading.known.get(place.node_id)
    if place.repo.casefold() != reading.named.casefold():
        return True
    return place.checks is not None and (
        known is None
        or known.head != place.head
        or known.checks != {check.name: f"{check.state}@{check.at}" for check in place.checks}
    )


def _choose(reading: _Reading) -> None:
    """What is to be read whole."""
    look = reading.look
    for kind, probed in reading.probed.items():
        progress = look.progress.get(kind)
        # On a first sight, what may yet change under the same time is read at once, so that it is known.
        mark = progress.mark if progress else _mark(probed, None)
        reading.want([stub.node_id for stub in probed.stubs.values() if stub.updated_at > mark])
    for one in look.searches:
        items = reading.found[one.watch].items if one.watch in reading.found else {}
        if one.filter.kind in look.progress and items:
            reading.learn(list(items))
            have = one.members(list(items))
            reading.want([key for key, item in items.items() if key not in have or _is_older(reading.known, item)])
    reading.want([one for progress in look.progress.values() for one in progress.unshown])
    reading.want([one for one in look.again if one not in reading.gone])
    for node_id in [one for one in reading.wanted if reading.rests(one) or one in reading.unshown]:
        del reading.wanted[node_id]


def _is_older(known: Mapping[str, Snapshot], item: Item) -> bool:
    snapshot = known.get(item.node_id)
    return snapshot is None or snapshot.updated_at < item.updated_at


def _details_task(wanted: Sequence[tuple[_Reading, str]], host: str, more: list[_Task]) -> _Task:
    """`more` takes the tasks that follow: notes which the details left out, and the halves of what failed."""
    readings = list({id(reading): reading for reading, _ in wanted}.values())

    def take(data: Any, date: float) -> None:
        for (reading, node_id), node in zip(wanted, data, strict=True):
            if not node and reading.is_unshown(node_id):
                reading.gone.add(node_id)
            elif node:
                report = decode_report(node, host=host)
                heard = reading.heard_of(report)
                reading.reports[report.item.node_id] = _since(report, heard)
                more.extend(_more_notes(reading, report.item.node_id, node, heard, more))
                more.extend(_more_of_item(reading, report, node))

    def fail(failure: Failure) -> None:
        if len(wanted) > 1:
            half = len(wanted) // 2
            more.extend(_details_task(part, host, more) for part in (wanted[:half], wanted[half:]))
        else:
            readings[0].fail_to_show(wanted[0][1], failure)

    ids = [node_id for _, node_id in wanted]
    return _Task(details(ids), "details", readings, take=take, fail=fail, together=DETAILS_TOGETHER, node_ids=ids)


def _since(report: Report, heard: str) -> Report:
    return replace(report, notes=tuple(note for note in report.notes if note.updated_at >= heard))


def _more_notes(reading: _Reading, node_id: str, node: Mapping[str, Any], heard: str, more: list[_Task]) -> list[_Task]:
    """Where a page of notes does not reach back to what was heard. `more` takes the tasks that follow from these."""
    tasks = []
    after = _unheard(node["comments"], heard)
    if after is not None:
        tasks.append(_comments_task(reading, node_id, after, heard))
    reviews = node.get("reviews")
    if reviews:
        tasks += _lines_tasks(reading, node_id, reviews, heard)
        # They come in the order in which they were begun, and an old one may have been edited.
        if reviews["pageInfo"]["hasPreviousPage"]:
            tasks.append(_reviews_task(reading, node_id, reviews["pageInfo"]["startCursor"], heard, more))
    return tasks


def _more_of_item(reading: _Reading, report: Report, node: Mapping[str, Any]) -> list[_Task]:
    """Where a page of acts does not reach back to what is known, or one of checks does not hold them all."""
    item, tasks = report.item, []
    since = reading.done_until(item.node_id, item.kind)
    before = _undone(node[ACTS[item.kind]], since)
    if before is not None:
        tasks.append(_acts_task(reading, item.node_id, item.kind, before, since))
    after = decode_page(contexts_of(node)).cursor if item.kind == "pulls" else None
    if after is not None:
        tasks.append(_checks_task(reading, item.node_id, after))
    return tasks


def _undone(connection: Mapping[str, Any], since: str) -> str | None:
    """Where the page of acts before this one ends, None when it is known: the oldest come first."""
    info, acts = connection["pageInfo"], decode_acts(connection)
    return info["startCursor"] if info["hasPreviousPage"] and (not acts or acts[0].at >= since) else None


def _acts_task(reading: _Reading, node_id: str, kind: Kind, before: str, since: str) -> _Task:
    def take(data: Any, date: float) -> Question | None:
        report, connection = reading.reports.get(node_id), data[ACTS[kind]]
        if report is None:
            return None
        known = {act.node_id for act in report.acts}
        acts = [act for act in decode_acts(connection) if act.node_id not in known]
        reading.reports[node_id] = replace(report, acts=(*acts, *report.acts))
        following = _undone(connection, since) if len(known) + len(acts) < MOST_ACTS else None
        return more_acts(node_id, kind, following) if following is not None else None

    question, fail = more_acts(node_id, kind, before), partial(reading.fail_to_show, node_id)
    return _Task(question, "details", (reading,), take=take, fail=fail, together=LONG_AT_ONCE)


def _checks_task(reading: _Reading, node_id: str, after: str) -> _Task:
    def take(data: Any, date: float) -> Question | None:
        report, page = reading.reports.get(node_id), decode_page(contexts_of(data))
        if report is None:
            return None
        if head_of(data) != report.item.head:
            # These are another commit's, and what was read before may be half of the last one's.
            message = f"{report.item.repo}#{report.item.number} was pushed to while its checks were read"
            reading.failure = Failure(kind="server", message=message)
            return None
        checks = latest_of([*report.item.checks, *map(decode_check, page.nodes)])
        reading.reports[node_id] = replace(report, item=replace(report.item, checks=checks))
        return more_checks(node_id, page.cursor) if page.cursor is not None and len(checks) < MOST_CHECKS else None

    question, fail = more_checks(node_id, after), partial(reading.fail_to_show, node_id)
    return _Task(question, "details", (reading,), take=take, fail=fail, together=LONG_AT_ONCE)


def _unheard(connection: Mapping[str, Any], heard: str) -> str | None:
    """Where the next page of comments begins, None when they were heard already: the last change comes first."""
    page = decode_page(connection)
    return page.cursor if page.nodes and page.nodes[-1]["updatedAt"] >= heard else None


def _comments_task(reading: _Reading, node_id: str, after: str, heard: str) -> _Task:
    def take(data: Any, date: float) -> Question | None:
        room = _add_notes(reading, node_id, decode_comments(data["comments"]), heard)
        following = _unheard(data["comments"], heard)
        return more_comments(node_id, following) if room and following is not None else None

    question, fail = more_comments(node_id, after), partial(reading.fail_to_show, node_id)
    return _Task(question, "details", (reading,), take=take, fail=fail, together=LONG_AT_ONCE)


def _reviews_task(reading: _Reading, node_id: str, before: str, heard: str, more: list[_Task]) -> _Task:
    quiet = 0

    def take(data: Any, date: float) -> Question | None:
        nonlocal quiet
        info, notes = data["reviews"]["pageInfo"], decode_reviews(data["reviews"])
        room = _add_notes(reading, node_id, notes, heard)
        more.extend(_lines_tasks(reading, node_id, data["reviews"], heard))
        quiet = 0 if any(note.updated_at >= heard for note in notes) else quiet + 1
        on = room and quiet < MOST_QUIET_PAGES and info["hasPreviousPage"]
        return more_reviews(node_id, info["startCursor"]) if on else None

    question, fail = more_reviews(node_id, before), partial(reading.fail_to_show, node_id)
    return _Task(question, "details", (reading,), take=take, fail=fail, together=HEAVY_AT_ONCE)


def _lines_tasks(reading: _Reading, node_id: str, reviews: Mapping[str, Any], heard: str) -> list[_Task]:
    """Where a review has more comments on lines than were shown."""
    return [
        _lines_task(reading, node_id, review["id"], review["comments"]["pageInfo"]["endCursor"], heard)
        for review in reviews["nodes"]
        if review and review["comments"]["pageInfo"]["hasNextPage"]
    ]


def _lines_task(reading: _Reading, node_id: str, review_id: str, after: str, heard: str) -> _Task:
    def take(data: Any, date: float) -> Question | None:
        info = data["comments"]["pageInfo"]
        notes = decode_review_comments(data["comments"], handed_in=data["submittedAt"] or "")
        room = _add_notes(reading, node_id, notes, heard)
        return more_review_comments(review_id, info["endCursor"]) if room and info["hasNextPage"] else None

    question, fail = more_review_comments(review_id, after), partial(reading.fail_to_show, node_id)
    return _Task(question, "details", (reading,), take=take, fail=fail, together=LONG_AT_ONCE)


def _add_notes(reading: _Reading, node_id: str, notes: Sequence[Note], heard: str) -> bool:
    """Whether there is room for more."""
    report = reading.reports.get(node_id)
    if report is None:
        return False
    merged = {(note.kind, note.node_id): note for note in (*notes, *report.notes) if note.updated_at >= heard}
    ordered = tuple(sorted(merged.values(), key=lambda note: (note.updated_at, note.created_at)))
    reading.reports[node_id] = replace(report, notes=ordered)
    return len(ordered) < MOST_NOTES


def _conclude(reading: _Reading) -> Sight:
    look = reading.look
    for node_id in (*reading.reports, *reading.gone):
        reading.stuck.shown(node_id)
    progress = dict(look.progress)
    for kind, probed in reading.probed.items():
        settled, before = settled_at(probed.date), look.progress.get(kind)
        progress[kind] = Progress(
            mark=_mark(probed, before),
            settled_at=settled,
            began=before.began if before else settled,
            count=probed.total,
            recent=tuple(sorted(_added(reading, kind, settled))),
            unshown=_unshown(reading, kind),
        )
    return Sight(
        feed=look.feed,
        progress=progress,
        named=reading.named,
        reports=tuple(reading.reports.values()),
        gone=tuple(sorted(reading.gone)),
        listed={watch: tuple(items.values()) for watch, items in reading.listed.items()},
        found=reading.found,
    )


def _unshown(reading: _Reading, kind: Kind) -> Mapping[str, str]:
    """What was read around at this look or before, and was not shown since."""
    progress = reading.look.progress.get(kind)
    before = progress.unshown if progress else {}
    kept = {key: since for key, since in before.items() if key not in reading.reports and key not in reading.gone}
    new = [key for key in reading.unshown if key not in kept and _kind_of(reading, key) == kind]
    return kept | {key: reading.since(key, kind) for key in new}


def _kind_of(reading: _Reading, node_id: str) -> Kind:
    known = reading.known.get(node_id)
    if known is not None:
        return known.kind
    return next((kind for kind, probed in reading.probed.items() if node_id in probed.stubs), reading.look.kinds[0])


def _mark(probed: _Probed, progress: Progress | None) -> str:
    settled = settled_at(probed.date)
    newest = max((stub.updated_at for stub in probed.stubs.values()), default=settled)
    return max(progress.mark if progress else "", min(newest, settled))


def _chunks(whole: Sequence[T], size: int) -> list[Sequence[T]]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]

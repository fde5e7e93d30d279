"""Issues and pull requests: probes that cost little, details for what changed, a listing on the first look.

What makes it miss nothing: a watch's *mark* is the time up to which everything was read after it had settled. GitHub's
times are whole seconds, so an item that changed within the last SETTLE_S seconds by the server's clock may change
again under the same time; it stays above the mark and is read again, until it is older. Its content hash tells whether
there is news. Pages are read down to the mark, however many there are. The clock is the server's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from relayfleet.model.event import Item, Kind
from relayfleet.model.watch import Progress
from relayfleet.ports.source import Failure, Look, Sight
from relayfleet.sources.github.call import Caller
from relayfleet.sources.github.decode import (
    Page,
    Stub,
    connection_in,
    decode_item,
    decode_page,
    decode_stub,
    errors_by_alias,
)
from relayfleet.sources.github.failure import failure_of_errors
from relayfleet.sources.github.query import (
    DETAILS_AT_ONCE,
    Question,
    details,
    listing,
    probe,
    search,
    search_text,
    viewer,
)

SETTLE_S = 2.0
# The search index is late by seconds to minutes: what it shows below the mark is compared with what is known.
SEARCH_LAG_S = 600.0
# A first look lists this many items at most. An older one that changes later is still delivered, as `matched`.
MOST_LISTED = 1000
MOST_AT_ONCE = 50
# Of questions whose answers are long, fewer go together.
LONG_AT_ONCE = 10
HEAVY_AT_ONCE = 5
# An item that is no more, or that the token may not see, is left out, and the rest of the answer is good.
_ABSENT = frozenset({"NOT_FOUND", "FORBIDDEN"})
# What a filter may ask for that costs points for every item.
_CONNECTIONS = frozenset({"label", "assignee"})
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(slots=True)
class _Group:
    """The looks that one run of pages serves: those of one repository and kind, or one search."""

    looks: list[Look]
    ask: Callable[[str | None], Question]
    floor: str
    searched: bool
    stubs: dict[str, Stub] = field(default_factory=dict)
    date: float = 0.0
    failure: Failure | None = None
    done: bool = False


@dataclass(slots=True)
class _Listing:
    """The first look of a watch."""

    look: Look
    whole: bool
    items: dict[str, Item] = field(default_factory=dict)
    failure: Failure | None = None
    done: bool = False


@dataclass(slots=True)
class _Task:
    """One alias to ask, and who takes the answer. `take` gives the next question when there is another page.
    `together` is how many such questions may share a query.

    With `node_ids` (the details of which are asked for) an error is one item's, and not the alias's.
    """

    question: Question
    take: Callable[[Any, float], Question | None]
    fail: Callable[[Failure], None]
    together: int = MOST_AT_ONCE
    node_ids: Sequence[str] = ()


class ItemReader:
    """Never has two queries in flight. Remembers the login of the token and how many aliases GitHub can take."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._at_once = MOST_AT_ONCE
        self.viewer = ""

    async def look(self, looks: Sequence[Look]) -> tuple[list[Sight], dict[str, Failure], Failure | None]:
        """Sights of the looks that were completed, failures of single ones, and the failure that ended it."""
        groups, listings = _grouped(looks)
        tasks = [_page_task(group) for group in groups]
        tasks += [_listing_task(one) for one in listings if not one.look.filter.search]
        if not self.viewer and any(look.filter.needs_viewer for look in looks):
            tasks.insert(0, _Task(question=viewer(), take=self._take_viewer, fail=lambda failure: None))
        failure = await self._ask_all(tasks)
        items: dict[str, Item | Failure] = {}
        if failure is None:
            failure = await self._read(_changed(groups), items)
        sights, failures = _conclude(groups, listings, items, complete=failure is None)
        return sights, failures, failure

    def _take_viewer(self, data: Any, date: float) -> None:
        self.viewer = str(data["login"])

    async def _read(self, node_ids: Sequence[str], items: dict[str, Item | Failure]) -> Failure | None:
        """Reads items whole. One that is gone is not among `items` afterwards; one that cannot be read is a failure of
        the watches that want it."""

        def take(data: Any, date: float) -> None:
            for node in data:
                if node:
                    try:
                        items[node["id"]] = decode_item(node)
                    except _UNREADABLE as error:
                        items[node["id"]] = _unknown_shape(error)

        failures: list[Failure] = []
        size = min(DETAILS_AT_ONCE, 2 * self._at_once)
        chunks = [node_ids[start : start + size] for start in range(0, len(node_ids), size)]
        tasks = [
            _Task(question=details(chunk), take=take, fail=failures.append, together=HEAVY_AT_ONCE, node_ids=chunk)
            for chunk in chunks
        ]
        failure = await self._ask_all(tasks, items)
        return failure or (failures[0] if failures else None)

    async def _ask_all(
        self, tasks: list[_Task], broken: MutableMapping[str, Item | Failure] | None = None
    ) -> Failure | None:
        """Asks until no task is left, one query after another. Stops at a failure that concerns them all.

        `broken` takes the failures of single items.
        """
        waiting = list(tasks)
        while waiting:
            batch, waiting = self._cut(waiting)
            replies = await self._caller.ask([task.question for task in batch])
            if isinstance(replies, Failure):
                if replies.status in (502, 504):
                    self._at_once = max(1, self._at_once // 2)
                return replies
            self._at_once = min(MOST_AT_ONCE, self._at_once + 1)
            errors = errors_by_alias(replies.errors)
            for task, alias, data in zip(batch, replies.aliases, replies.data, strict=True):
                own = errors.get(alias, [])
                serious = [error for error in own if error.get("type") not in _ABSENT]
                if data is None or (serious and not task.node_ids):
                    task.fail(failure_of_errors(own))
                    continue
                if broken is not None:
                    broken.update(_broken(task.node_ids, serious))
                try:
                    following = task.take(data, replies.date)
                except _UNREADABLE as error:
                    task.fail(_unknown_shape(error))
                    continue
                if following is not None:
                    task.question = following
                    task.together = min(task.together, LONG_AT_ONCE)
                    waiting.append(task)
        return None

    def _cut(self, waiting: list[_Task]) -> tuple[list[_Task], list[_Task]]:
        """The next batch: the first question, and those behind it that may go together with it."""
        most = min(self._at_once, waiting[0].together)
        batch: list[_Task] = []
        for task in waiting:
            if task.together != waiting[0].together or len(batch) == most:
                break
            batch.append(task)
        return batch, waiting[len(batch) :]


def _grouped(looks: Sequence[Look]) -> tuple[list[_Group], list[_Listing]]:
    shared: dict[tuple[str, Kind], list[Look]] = {}
    groups: list[_Group] = []
    listings: list[_Listing] = []
    for look in looks:
        if look.progress is None:
            listings.append(_Listing(look, whole=any(term.field in _CONNECTIONS for term in look.filter.terms)))
        if look.filter.search:
            groups.append(_search_group(look))
        else:
            shared.setdefault((look.watch.repo.casefold(), look.watch.kind), []).append(look)
    return [*groups, *(_probe_group(together) for together in shared.values())], listings


def _probe_group(looks: list[Look]) -> _Group:
    """A watch on its first look needs one page only, to learn where its mark is."""
    repo, kind = looks[0].watch.repo, looks[0].watch.kind
    marks = [look.progress.mark for look in looks if look.progress is not None]
    return _Group(
        looks=looks,
        ask=lambda after: probe(repo, kind, after=after),
        floor=min(marks) if marks else "9",
        searched=False,
    )


def _search_group(look: Look) -> _Group:
    text = search_text(look.watch.repo, look.filter)
    floor = "" if look.progress is None else _earlier(look.progress.mark, SEARCH_LAG_S)
    return _Group(looks=[look], ask=lambda after: search(text, after=after), floor=floor, searched=True)


def _page_task(group: _Group) -> _Task:
    def take(data: Any, date: float) -> Question | None:
        page: Page = decode_page(data if group.searched else connection_in(data))
        # What changes while we turn pages jumps to the front and is missed now: the first page's clock counts.
        group.date = group.date or date
        stubs = [decode_stub(node) for node in page.nodes]
        group.stubs.update((stub.node_id, stub) for stub in stubs)
        if page.cursor and (not stubs or stubs[-1].updated_at > group.floor):
            return group.ask(page.cursor)
        group.done = True
        return None

    def fail(failure: Failure) -> None:
        group.failure = failure

    return _Task(question=group.ask(None), take=take, fail=fail)


def _listing_task(one: _Listing) -> _Task:
    look = one.look

    def ask(after: str | None) -> Question:
        return listing(look.watch.repo, look.watch.kind, look.filter.states, whole=one.whole, after=after)

    def take(data: Any, date: float) -> Question | None:
        page = decode_page(connection_in(data))
        one.items.update((item.node_id, item) for item in map(decode_item, page.nodes))
        if page.cursor and len(one.items) < MOST_LISTED:
            return ask(page.cursor)
        one.done = True
        return None

    def fail(failure: Failure) -> None:
        one.failure = failure

    return _Task(question=ask(None), take=take, fail=fail, together=HEAVY_AT_ONCE if one.whole else MOST_AT_ONCE)


def _changed(groups: Sequence[_Group]) -> list[str]:
    """The node ids whose details are wanted, each once."""
    wanted: dict[str, None] = {}
    for group in groups:
        if group.done:
            for look in group.looks:
                wanted.update(dict.fromkeys(_wanted(group, look)))
    return list(wanted)


def _wanted(group: _Group, look: Look) -> list[str]:
    if look.progress is None:
        # What may yet change under the same time is read whole at once, so that its content is known.
        settled = "" if group.searched else _mark(group, look)
        return [stub.node_id for stub in group.stubs.values() if stub.updated_at > settled]
    mark = look.progress.mark
    news = [stub.node_id for stub in group.stubs.values() if stub.updated_at > mark]
    if group.searched:
        older = [stub for stub in group.stubs.values() if stub.updated_at <= mark]
        known = look.known([stub.node_id for stub in older])
        news += [stub.node_id for stub in older if known.get(stub.node_id) != stub.updated_at]
    return news


def _conclude(
    groups: Sequence[_Group], listings: Sequence[_Listing], items: Mapping[str, Item | Failure], *, complete: bool
) -> tuple[list[Sight], dict[str, Failure]]:
    """With `complete` false the details are missing, and only what needs none is concluded."""
    listed = {one.look.watch.name: one for one in listings}
    sights: list[Sight] = []
    failures: dict[str, Failure] = {}
    for group in groups:
        for look in group.looks:
            name = look.watch.name
            first = listed.get(name) if not group.searched else None
            failure = group.failure or (first.failure if first else None)
            if failure is not None:
                failures[name] = failure
                continue
            wanted = _wanted(group, look) if group.done else []
            if not group.done or (first and not first.done) or (wanted and not complete):
                continue
            details = [items[one] for one in wanted if one in items]
            broken = [one for one in details if isinstance(one, Failure)]
            if broken:
                failures[name] = broken[0]
                continue
            read = {one.node_id: one for one in details if isinstance(one, Item)}
            listed_here = first.items if first else {}
            sights.append(
                Sight(
                    watch=name,
                    items=tuple({**listed_here, **read}.values()),
                    progress=Progress(mark=_mark(group, look)),
                    glimpsed=frozenset(listed_here.keys() - read.keys()) if first and not first.whole else frozenset(),
                )
            )
    return sights, failures


def _mark(group: _Group, look: Look) -> str:
    before = look.progress.mark if look.progress else ""
    newest = max((stub.updated_at for stub in group.stubs.values()), default="")
    return max(before, min(newest, _iso(group.date - SETTLE_S)))


def _broken(node_ids: Sequence[str], errors: Sequence[Mapping[str, Any]]) -> dict[str, Failure]:
    """The items that GitHub failed to show: an error's path is the alias, the place among the ids, and so on."""
    return {
        node_ids[error["path"][1]]: failure_of_errors([error])
        for error in errors
        if len(error["path"]) > 1 and isinstance(error["path"][1], int) and error["path"][1] < len(node_ids)
    }


def _unknown_shape(error: Exception) -> Failure:
    return Failure(kind="server", message=f"an answer has an unknown shape: {error!r}", status=200)


def _earlier(mark: str, seconds: float) -> str:
    try:
        moment = datetime.fromisoformat(mark).timestamp()
    except ValueError:
        return ""
    return _iso(moment - seconds)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

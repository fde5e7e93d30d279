"""Workflow runs, over REST: conditional requests, which cost nothing while nothing changed.

The list is ordered by creation, so a re-run of an old run does not come to its front: runs that are in progress are
asked for, too. A run that had not ended, and is not in the list of its status any more, is read by its id. One that was
on the first page and is not, though nothing newer pushed it off, was deleted.

GitHub attests no association for a run's author. What it does attest is where the code came from: a push, a schedule or
a dispatch in the repository itself takes write access, which is what COLLABORATOR means. Everything else (a pull
request, somebody's comment, a fork) can be set off by a stranger, and its author counts as one: only `trust: "anyone"`,
a list of logins, or a private repository lets such a run through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from relayfleet.model.item import Item, Report, id_on
from relayfleet.model.trust import GHOST
from relayfleet.model.watch import Progress
from relayfleet.ports.source import Failure, Look, Sight
from relayfleet.sources.github.answer import Answer
from relayfleet.sources.github.call import Caller, settled_at
from relayfleet.sources.github.failure import unreadable

PER_PAGE = 100
# GitHub lists the runs of a status; those of another one are read by their ids.
_LISTED = frozenset({"in_progress", "queued", "requested", "waiting", "pending"})
MOST_PAGES = 20
MOST_FOLLOWED = 50
AT_ONCE = 4
_WRITERS_ONLY = frozenset({"push", "schedule", "workflow_dispatch", "repository_dispatch"})
# These concern one repository; after any other failure there is no use in asking for the next.
_OF_ONE = frozenset({"not_found", "forbidden", "refused"})


@dataclass(slots=True)
class _Reading:
    """One repository while it is read. `before` is what the ETags are good for: of a first look, nothing."""

    look: Look
    before: Progress
    items: dict[int, Item] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    recent: tuple[str, ...] = ()
    open_runs: dict[int, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    settled_at: str = ""


class RunReader:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def look(self, looks: Sequence[Look]) -> tuple[list[Sight], dict[str, Failure], Failure | None]:
        """Sights of the looks that were completed, failures of single feeds, and the failure that ended it."""
        sights: list[Sight] = []
        failures: dict[str, Failure] = {}
        ended: list[Failure] = []
        slots = asyncio.Semaphore(AT_ONCE)

        async def read(look: Look) -> None:
            reading = _Reading(look, _before(look))
            async with slots:
                if ended:
                    return
                failure = await self._read(reading)
            if failure is None:
                sights.append(_conclude(reading))
            elif failure.kind in _OF_ONE:
                failures[look.feed.key] = failure
            else:
                ended.append(failure)

        async with asyncio.TaskGroup() as tasks:
            for look in looks:
                tasks.create_task(read(look))
        return sights, failures, ended[0] if ended else None

    async def _read(self, reading: _Reading) -> Failure | None:
        base = f"repos/{reading.look.feed.repo}/actions/runs"
        # Pages are read until one reaches behind what was the newest run at the last look.
        first = await self._list(reading, f"{base}?per_page={PER_PAGE}", until=reading.before.mark or "9")
        if isinstance(first, Failure):
            return first
        reading.recent = reading.before.recent
        if first is not None:
            failure = await self._miss(reading, base, first)
            if failure is not None:
                return failure
        unseen = {run_id: state for run_id, state in reading.before.open_runs.items() if run_id not in reading.items}
        unchanged = set()
        for state in sorted(_LISTED.intersection(unseen.values()) | {"in_progress"}):
            listed = await self._list(reading, f"{base}?status={state}&per_page={PER_PAGE}", until="")
            if isinstance(listed, Failure):
                return listed
            if listed is None:
                unchanged.add(state)
        return await self._follow_up(reading, base, unseen, unchanged)

    async def _miss(self, reading: _Reading, base: str, first: Sequence[Item]) -> Failure | None:
        """Looks for runs that the first page should still show."""
        reading.recent = tuple(run.node_id for run in first)
        floor = first[-1].number if len(first) >= PER_PAGE else 0
        listed = {run.node_id for run in reading.items.values()}
        unlisted = [node_id for node_id in reading.before.recent if node_id not in listed]
        missing = [run for run in reading.look.known(unlisted).values() if run.number > floor]
        reading.recent += tuple(run.node_id for run in missing[MOST_FOLLOWED:])
        for run in missing[:MOST_FOLLOWED]:
            failure = await self._follow(reading, f"{base}/{run.number}")
            if failure is not None and failure.kind != "not_found":
                return failure
            if failure is not None:
                reading.gone.append(run.node_id)
        return None

    async def _follow_up(
        self, reading: _Reading, base: str, unseen: Mapping[int, str], unchanged: Set[str]
    ) -> Failure | None:
        """Reads the runs that left the list of their status, and are in none that was read."""
        followed = 0
        for run_id, state in unseen.items():
            if run_id in reading.items:
                continue
            if state in unchanged:
                reading.open_runs[run_id] = state
            elif followed == MOST_FOLLOWED:
                # Its turn is at the next look, whatever the lists say then.
                reading.open_runs[run_id] = ""
            else:
                followed += 1
                failure = await self._follow(reading, f"{base}/{run_id}")
                if failure is not None and failure.kind != "not_found":
                    return failure
        return None

    async def _list(self, reading: _Reading, path: str, *, until: str) -> Sequence[Item] | Failure | None:
        """The runs on the first page, None when it is unchanged. Further pages are read until one reaches behind the
        time `until`."""
        etag = reading.before.etags.get(path, "")
        answer = await self._caller.get(path, etag=etag, feed=reading.look.feed.key)
        if isinstance(answer, Failure):
            return answer
        if not reading.settled_at and answer.date is not None:
            reading.settled_at = settled_at(answer.date)
        reading.etags[path] = answer.headers.get("etag", etag)
        if answer.status == 304:
            return None
        first = page = self._take(reading, answer, listed=True)
        if not until and not isinstance(first, Failure) and len(first) >= PER_PAGE:
            # That the first page is unchanged says nothing of the next one.
            del reading.etags[path]
        for number in range(2, MOST_PAGES + 1):
            # A short page is the last one.
            if isinstance(page, Failure) or len(page) < PER_PAGE or page[-1].created_at <= until:
                break
            answer = await self._caller.get(f"{path}&page={number}", feed=reading.look.feed.key)
            page = answer if isinstance(answer, Failure) else self._take(reading, answer, listed=True)
        return page if isinstance(page, Failure) else first

    async def _follow(self, reading: _Reading, path: str) -> Failure | None:
        answer = await self._caller.get(path, feed=reading.look.feed.key)
        read = answer if isinstance(answer, Failure) else self._take(reading, answer, listed=False)
        return read if isinstance(read, Failure) else None

    def _take(self, reading: _Reading, answer: Answer, *, listed: bool) -> list[Item] | Failure:
        runs = _items(answer, self._caller.host, listed=listed)
        if not isinstance(runs, Failure):
            reading.items.update((run.number, run) for run in runs)
        return runs


def decode_run(run: Mapping[str, Any], *, host: str) -> Item:
    """One workflow run of GitHub's REST API."""
    repository = run["repository"]
    actor = run.get("triggering_actor") or run.get("actor") or {}
    trigger = run.get("event") or ""
    own = (run.get("head_repository") or {}).get("id") == repository["id"]
    commit = run.get("head_commit") or {}
    login = actor.get("login") or GHOST
    return Item(
        host=host,
        repo=repository["full_name"],
        private=bool(repository["private"]),
        kind="runs",
        node_id=id_on(host, run["node_id"]),
        number=int(run["id"]),
        title=run.get("display_title") or run.get("name") or "",
        body=commit.get("message") or "",
        url=run["html_url"],
        author=login,
        bot=actor.get("type") == "Bot" or login.endswith("[bot]"),
        association="COLLABORATOR" if own and trigger in _WRITERS_ONLY else "NONE",
        state=run["status"] or "",
        branch=run.get("head_branch") or "",
        head=run.get("head_sha") or "",
        workflow=run.get("name") or "",
        workflow_file=str(run.get("path") or "").partition("@")[0].rpartition("/")[2],
        trigger=trigger,
        conclusion=run.get("conclusion") or "",
        attempt=int(run.get("run_attempt") or 1),
        created_at=run["created_at"],
        updated_at=run["updated_at"],
    )


def _items(answer: Answer, host: str, *, listed: bool) -> list[Item] | Failure:
    try:
        body = answer.json()
        return [decode_run(run, host=host) for run in (body["workflow_runs"] if listed else [body])]
    except (KeyError, TypeError, ValueError, AttributeError):
        return unreadable(answer)


def _before(look: Look) -> Progress:
    """For a watch on its first look everything is shown again: an unchanged list would not be."""
    progress = look.progress.get("runs", Progress())
    return replace(progress, etags={}) if look.listings else progress


def _conclude(reading: _Reading) -> Sight:
    before, items = reading.before, tuple(reading.items.values())
    open_runs = {run.number: run.state for run in items if run.state != "completed"}
    progress = Progress(
        mark=max(before.mark, min(max((run.created_at for run in items), default="9"), reading.settled_at)),
        settled_at=reading.settled_at,
        recent=reading.recent,
        etags=reading.etags,
        open_runs=reading.open_runs | open_runs,
    )
    return Sight(
        feed=reading.look.feed,
        progress={"runs": progress},
        reports=tuple(Report(item=run) for run in items),
        gone=tuple(reading.gone),
        listed={one.watch: items for one in reading.look.listings},
    )

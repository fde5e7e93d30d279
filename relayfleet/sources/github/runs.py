"""Workflow runs, over REST: conditional requests, which cost nothing while nothing changed.

The list is ordered by creation, so a re-run of an old run does not come to its front: runs that are in progress are
asked for, too, and a run that had not ended is followed by its id until it has. One that was on the first page and is
not, though nothing newer pushed it off, was deleted.

GitHub attests no association for a run's author. What it does attest is where the code came from: a push, a schedule or
a dispatch in the repository itself takes write access, which is what COLLABORATOR means. Everything else (a pull
request, somebody's comment, a fork) can be set off by a stranger, and its author counts as one: only `trust: "anyone"`,
a list of logins, or a private repository lets such a run through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from relayfleet.model.item import GHOST, Item, Report, id_on
from relayfleet.model.watch import Progress
from relayfleet.ports.source import Failure, Look, Sight
from relayfleet.sources.github.answer import Answer
from relayfleet.sources.github.call import Caller, settled_at
from relayfleet.sources.github.failure import unreadable

PER_PAGE = 100
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
    ended: set[int] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    oldest: str = ""
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
        front = f"{base}?per_page={PER_PAGE}"
        failure = await self._list(reading, front, conditional=True)
        first = tuple(reading.items.values())
        if failure is None and reading.before.mark:
            # Pages are read until one reaches behind what was the newest run at the last look.
            for page in range(2, MOST_PAGES + 1):
                if failure is not None or not reading.oldest or reading.oldest <= reading.before.mark:
                    break
                reading.oldest = ""
                failure = await self._list(reading, f"{base}?per_page={PER_PAGE}&page={page}", conditional=False)
        reading.recent = reading.before.recent
        if failure is None and reading.etags[front] != reading.before.etags.get(front):
            failure = await self._miss(reading, base, first)
        running = f"{base}?status=in_progress&per_page={PER_PAGE}"
        failure = failure or await self._list(reading, running, conditional=True)
        if failure is not None or reading.etags.get(running) == reading.before.etags.get(running):
            # While the same runs are in progress in the same way, none of them has ended.
            return failure
        for run_id in reading.before.open_runs:
            if run_id not in reading.items:
                followed = await self._follow(reading, f"{base}/{run_id}")
                if followed is not None and followed.kind not in _OF_ONE:
                    return followed
                if followed is not None:
                    reading.ended.add(run_id)
        return None

    async def _miss(self, reading: _Reading, base: str, first: Sequence[Item]) -> Failure | None:
        """Looks for runs that the first page should still show."""
        reading.recent = tuple(run.node_id for run in first)
        floor = first[-1].number if len(first) >= PER_PAGE else 0
        listed = {run.node_id for run in reading.items.values()}
        unlisted = [node_id for node_id in reading.before.recent if node_id not in listed]
        missing = [run for run in reading.look.known(unlisted).values() if run.number > floor]
        reading.recent += tuple(run.node_id for run in missing[MOST_FOLLOWED:])
        for run in missing[:MOST_FOLLOWED]:
            followed = await self._follow(reading, f"{base}/{run.number}")
            if followed is not None and followed.kind != "not_found":
                return followed
            if followed is not None:
                reading.gone.append(run.node_id)
                reading.ended.add(run.number)
        return None

    async def _list(self, reading: _Reading, path: str, *, conditional: bool) -> Failure | None:
        etag = reading.before.etags.get(path, "") if conditional else ""
        answer = await self._caller.get(path, etag=etag, feed=reading.look.feed.key)
        if isinstance(answer, Failure):
            return answer
        if not reading.settled_at and answer.date is not None:
            reading.settled_at = settled_at(answer.date)
        if conditional:
            reading.etags[path] = answer.headers.get("etag", etag)
        if answer.status == 304:
            return None
        runs = _items(answer, self._caller.host, listed=True)
        if isinstance(runs, Failure):
            return runs
        reading.items.update((run.number, run) for run in runs)
        # A short page is the last one.
        reading.oldest = runs[-1].created_at if len(runs) >= PER_PAGE else ""
        return None

    async def _follow(self, reading: _Reading, path: str) -> Failure | None:
        answer = await self._caller.get(path, feed=reading.look.feed.key)
        if isinstance(answer, Failure):
            return answer
        runs = _items(answer, self._caller.host, listed=False)
        if isinstance(runs, Failure):
            return runs
        reading.items.update((run.number, run) for run in runs)
        return None


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
    unchanged = set(before.open_runs) - set(reading.items) - reading.ended
    running = {run.number for run in items if run.state != "completed"} | unchanged
    progress = Progress(
        mark=max(before.mark, min(max((run.created_at for run in items), default="9"), reading.settled_at)),
        settled_at=reading.settled_at,
        recent=reading.recent,
        etags=reading.etags,
        open_runs=tuple(sorted(running, reverse=True)[:MOST_FOLLOWED]),
    )
    return Sight(
        feed=reading.look.feed,
        progress={"runs": progress},
        reports=tuple(Report(item=run) for run in items),
        gone=tuple(reading.gone),
        listed={one.watch: items for one in reading.look.listings},
    )

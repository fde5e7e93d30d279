"""Workflow runs, over REST: conditional requests, which cost nothing while nothing changed.

The list is ordered by creation, so a re-run of an old run does not come to its front: runs that are in progress are
asked for, too, and a run that had not ended is followed by its id until it has.

GitHub attests no association for a run's author. What it does attest is where the code came from: a push, a schedule or
a dispatch in the repository itself takes write access, which is what COLLABORATOR means. Everything else (a pull
request, somebody's comment, a fork) can be set off by a stranger, and its author counts as one: only `trust: "anyone"`,
a list of logins, or a private repository lets such a run through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relayfleet.model.event import Item
from relayfleet.model.watch import Progress
from relayfleet.ports.source import Failure, Look, Sight
from relayfleet.sources.github.answer import Answer
from relayfleet.sources.github.call import Caller
from relayfleet.sources.github.decode import GHOST
from relayfleet.sources.github.failure import unreadable

PER_PAGE = 30
MOST_PAGES = 20
MOST_FOLLOWED = 50
AT_ONCE = 4
_WRITERS_ONLY = frozenset({"push", "schedule", "workflow_dispatch", "repository_dispatch"})
# These concern one repository; after any other failure there is no use in asking for the next.
_OF_ONE = frozenset({"not_found", "forbidden", "refused"})


@dataclass(slots=True)
class _Reading:
    """One repository, read for the looks that had read equally far."""

    looks: list[Look]
    progress: Progress | None
    items: dict[int, Item] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    oldest: str = ""


class RunReader:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def look(self, looks: Sequence[Look]) -> tuple[list[Sight], dict[str, Failure], Failure | None]:
        """Sights of the looks that were completed, failures of single ones, and the failure that ended it."""
        sights: list[Sight] = []
        failures: dict[str, Failure] = {}
        ended: list[Failure] = []
        slots = asyncio.Semaphore(AT_ONCE)

        async def read(reading: _Reading) -> None:
            async with slots:
                if ended:
                    return
                failure = await self._read(reading)
            if failure is None:
                progress = _progress(reading)
                items = tuple(reading.items.values())
                sights.extend(Sight(watch=look.watch.name, items=items, progress=progress) for look in reading.looks)
            elif failure.kind in _OF_ONE:
                failures.update((look.watch.name, failure) for look in reading.looks)
            else:
                ended.append(failure)

        async with asyncio.TaskGroup() as tasks:
            for reading in _readings(looks):
                tasks.create_task(read(reading))
        return sights, failures, ended[0] if ended else None

    async def _read(self, reading: _Reading) -> Failure | None:
        base = f"repos/{reading.looks[0].watch.repo}/actions/runs"
        before = reading.progress or Progress()
        failure = await self._list(reading, f"{base}?per_page={PER_PAGE}", before)
        if failure is None and reading.progress is not None:
            # Pages are read until one reaches behind what was the newest run at the last look.
            for page in range(2, MOST_PAGES + 1):
                if failure is not None or not reading.oldest or reading.oldest <= before.mark:
                    break
                reading.oldest = ""
                failure = await self._list(reading, f"{base}?per_page={PER_PAGE}&page={page}", None)
        running = f"{base}?status=in_progress&per_page={PER_PAGE}"
        failure = failure or await self._list(reading, running, before)
        if failure is not None or reading.etags.get(running) == before.etags.get(running):
            # While the same runs are in progress in the same way, none of them has ended.
            return failure
        for run_id in before.open_runs:
            if run_id not in reading.items:
                followed = await self._follow(reading, f"{base}/{run_id}")
                if followed is not None and followed.kind not in _OF_ONE:
                    return followed
                if followed is not None:
                    reading.gone.add(run_id)
        return None

    async def _list(self, reading: _Reading, path: str, before: Progress | None) -> Failure | None:
        """`before` gives the ETag; None reads unconditionally."""
        etag = before.etags.get(path, "") if before else ""
        answer = await self._caller.get(path, etag=etag)
        if isinstance(answer, Failure):
            return answer
        if before is not None:
            reading.etags[path] = answer.headers.get("etag", etag)
        if answer.status == 304:
            return None
        runs = _items(answer, listed=True)
        if isinstance(runs, Failure):
            return runs
        reading.items.update((run.number, run) for run in runs)
        # A short page is the last one.
        reading.oldest = runs[-1].created_at if len(runs) >= PER_PAGE else ""
        return None

    async def _follow(self, reading: _Reading, path: str) -> Failure | None:
        answer = await self._caller.get(path)
        if isinstance(answer, Failure):
            return answer
        runs = _items(answer, listed=False)
        if isinstance(runs, Failure):
            return runs
        reading.items.update((run.number, run) for run in runs)
        return None


def decode_run(run: Mapping[str, Any]) -> Item:
    """One workflow run of GitHub's REST API."""
    repository = run["repository"]
    actor = run.get("triggering_actor") or run.get("actor") or {}
    trigger = run.get("event") or ""
    own = (run.get("head_repository") or {}).get("id") == repository["id"]
    commit = run.get("head_commit") or {}
    return Item(
        repo=repository["full_name"],
        private=bool(repository["private"]),
        kind="runs",
        node_id=run["node_id"],
        number=int(run["id"]),
        title=run.get("display_title") or run.get("name") or "",
        body=commit.get("message") or "",
        url=run["html_url"],
        author=actor.get("login") or GHOST,
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


def _items(answer: Answer, *, listed: bool) -> list[Item] | Failure:
    try:
        body = answer.json()
        return [decode_run(run) for run in (body["workflow_runs"] if listed else [body])]
    except (KeyError, TypeError, ValueError, AttributeError):
        return unreadable(answer)


def _readings(looks: Sequence[Look]) -> list[_Reading]:
    """Watches of one repository are read together when they have read equally far: an ETag is only good for them."""
    found: list[_Reading] = []
    for look in looks:
        repo = look.watch.repo.casefold()
        for reading in found:
            if reading.looks[0].watch.repo.casefold() == repo and reading.progress == look.progress:
                reading.looks.append(look)
                break
        else:
            found.append(_Reading(looks=[look], progress=look.progress))
    return found


def _progress(reading: _Reading) -> Progress:
    before = reading.progress or Progress()
    unchanged = set(before.open_runs) - set(reading.items) - reading.gone
    running = {run.number for run in reading.items.values() if run.state != "completed"} | unchanged
    return Progress(
        mark=max(before.mark, max((run.created_at for run in reading.items.values()), default="")),
        etags=reading.etags,
        open_runs=tuple(sorted(running, reverse=True)[:MOST_FOLLOWED]),
    )

"""The router: what a quiet round of a thousand repositories costs, how much goes through it, how much it remembers.

Run alone: the last figures are of a database of a million keys, which takes a minute to write.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from bench.figure import Figure, median
from relayfleet.client.control import ask_all
from relayfleet.demo.parts import GitHubProcess
from relayfleet.model.entry import Entry, encode_entry, new_entry_id
from relayfleet.model.item import Report
from relayfleet.model.layout import FleetLayout
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.snapshot import snapshot_of
from relayfleet.model.watch import Feed, Progress, Watch
from relayfleet.ports.cursor import Batch, FeedChange, FreshWatch, Owed
from relayfleet.ports.source import Look, Round, Sight
from relayfleet.router.deliver import Deliverer
from relayfleet.router.govern import RESOURCE_OF
from relayfleet.router.poll import Poller
from relayfleet.sources.clock import SystemClock
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.authorship import FileAuthorship
from relayfleet.store.inbox import read_entries
from relayfleet.store.lines import append_lines
from relayfleet.store.log import open_log
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.store.sockets import sockets_of
from relayfleet.testing import MemoryAuthorship, MemoryLog, a_report
from relayfleet.transports.file import FileTransport

REPOSITORIES = 1_000
ROUTES = 10_000
AGENTS = 10
BATCH = 30
BATCHES = 200
_REPO = "acme/WMS"
_FEED = Feed("github.com", "acme/wms", "items")


def run() -> list[Figure]:
    with _folder() as folder:
        return [*_through(folder)]


# ------------------------------------------------------------------------------------------------------- throughput


class _Changing:
    """A source that shows each of its batches once, as items that changed."""

    def __init__(self, batches: Sequence[Sequence[Report]]) -> None:
        self._batches = iter(batches)

    async def look(self, looks: Sequence[Look]) -> Round:
        [look] = looks
        reports = tuple(next(self._batches))
        progress = {"issues": Progress(mark=reports[-1].item.updated_at, settled_at=reports[-1].item.updated_at)}
        look.known([report.item.node_id for report in reports])
        return Round(sights=(Sight(feed=look.feed, progress=progress, named=_REPO, reports=reports),))


def _items(count: int) -> list[Report]:
    rng = random.Random(7)
    text = "When it rains the label printer burns and the pump hums. " * 10
    return [
        a_report(
            number,
            node_id=f"I_{number}",
            repo=_REPO,
            body=f"{number} {text}",
            labels=(f"area-{rng.randrange(ROUTES - 100)}", "bug"),
            assignees=("ann",),
            updated_at="2026-01-01T00:00:00Z",
        )
        for number in range(count)
    ]


def _gate() -> Gate:
    """Every item matches one of the routes."""
    routes = [Route(match=Match(label=f"area-{n}", repo=_REPO), to=(f"a{n % AGENTS}",)) for n in range(ROUTES - 100)]
    routes += [Route(match=Match(title_contains=f"nothing of the kind {n}"), to=("a0",)) for n in range(100)]
    return Gate(watches=(Watch(name="w", kind="issues", repo=_REPO),), routes=tuple(routes))


def _changed(items: Sequence[Report], *, turn: int) -> list[Report]:
    at = datetime.fromtimestamp(1_800_000_000 + turn, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [replace(one, item=replace(one.item, body=f"{turn} {one.item.body}", updated_at=at, edited_at=at)) for one in items]


async def _play(layout: FleetLayout, batches: Sequence[Sequence[Report]]) -> float:
    """Items per second, from the report to the synced inbox, looking and delivering at once as the router does."""
    cursor, log, clock = SqliteCursor(layout.router_db), open_log(layout.router_log), SystemClock()
    rng = random.Random(1)
    poller = Poller(gate=_gate(), cursor=cursor, authorship=FileAuthorship(layout), log=log, rng=rng, moment=0.0)
    transport = FileTransport(layout, lambda agent: None)
    deliverer = Deliverer(cursor=cursor, transport=transport, log=log, clock=clock, rng=rng)
    source, owing, looked = _Changing(batches), asyncio.Event(), False

    async def look() -> None:
        nonlocal looked
        for number in range(len(batches)):
            polled = await poller.poll(source, [_FEED.key], now=time.time(), moment=float(number))
            assert polled.seen
            owing.set()
            await asyncio.sleep(0)
        looked = True
        owing.set()

    async def deliver() -> None:
        while not looked:
            await owing.wait()
            owing.clear()
            await deliverer.deliver()
        await deliverer.deliver()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look())
        tasks.create_task(deliver())
    took = time.perf_counter() - begin
    assert cursor.counts().owed == 0
    cursor.close()
    return sum(map(len, batches)) / took


def _bare(folder: Path, batches: Sequence[Sequence[Report]]) -> float:
    """Items per second of one SQLite transaction and synced appends for each batch: no matching, no model."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE seen (key TEXT PRIMARY KEY);")
    begin = time.perf_counter()
    for turn, batch in enumerate(batches):
        lines: dict[str, list[bytes]] = {}
        for report in batch:
            agent = f"a{int(report.item.labels[0].partition('-')[2]) % AGENTS}"
            entry = Entry(id=new_entry_id(), ts=0.0, source="github", body=report.item.body)
            lines.setdefault(agent, []).append(encode_entry(entry))
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO seen VALUES (?)", [(f"{turn} {report.item.node_id}",) for report in batch])
        db.execute("COMMIT")
        for agent, some in lines.items():
            append_lines(folder / f"{agent}.jsonl", some)
    took = time.perf_counter() - begin
    db.close()
    return sum(map(len, batches)) / took


def _prepare(folder: Path, items: Sequence[Report]) -> FleetLayout:
    layout = FleetLayout(folder)
    for number in range(AGENTS):
        agent = layout.agent(f"a{number}")
        agent.state.mkdir(parents=True)
        agent.config.write_text("{}")
    layout.state.mkdir()
    cursor = SqliteCursor(layout.router_db)
    watch = _gate().watches[0]
    from relayfleet.model.watch import fingerprint_of

    fresh = FreshWatch(name="w", fingerprint=fingerprint_of(watch), members=tuple(one.item.node_id for one in items))
    mark = Progress(mark="2026-01-02T00:00:00Z", settled_at="2026-01-02T00:00:00Z")
    change = FeedChange(
        feed=_FEED, progress={"issues": mark}, snapshots=tuple(map(snapshot_of, items)), fresh=(fresh,)
    )
    cursor.commit(Batch(feeds=[change]), now=time.time())
    cursor.close()
    return layout


def _through(folder: Path) -> Iterator[Figure]:
    items = _items(BATCH * BATCHES)
    batches = [_changed(items[n * BATCH : n * BATCH + BATCH], turn=n) for n in range(BATCHES)]
    layout = _prepare(folder / "through", items)
    rate = asyncio.run(_play(layout, batches))
    bare = _bare(folder, batches)
    print(rate, bare)
    return iter(())


@contextmanager
def _folder() -> Iterator[Path]:
    """On the disk, not in memory: what is measured is what it takes to have things there."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

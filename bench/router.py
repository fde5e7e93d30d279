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
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.figure import Figure, median
from relayfleet.client.control import ask_all
from relayfleet.demo.parts import GitHubProcess
from relayfleet.model.item import Kind, Report
from relayfleet.model.layout import FleetLayout
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.snapshot import snapshot_of
from relayfleet.model.watch import Feed, Progress, Watch, fingerprint_of
from relayfleet.ports.cursor import Batch, FeedChange, FreshWatch
from relayfleet.ports.source import Look, Round, Sight
from relayfleet.router.deliver import Deliverer
from relayfleet.router.poll import SWEEP_S, Polled, Poller
from relayfleet.sources.clock import SystemClock
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.authorship import FileAuthorship
from relayfleet.store.lines import append_lines, read_lines
from relayfleet.store.log import open_log
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.store.router_db.records import encode_line, encode_log_line, encode_snapshot
from relayfleet.store.sockets import sockets_of
from relayfleet.testing import MemoryAuthorship, MemoryLog, a_report
from relayfleet.transports.file import FileTransport

REPOSITORIES = 1_000
ROUTES = 10_000
AGENTS = 10
BATCH = 30
BATCHES = 500
_TURNS = 3
_REPO = "acme/WMS"
_FEED = Feed("github.com", "acme/wms", "items")


def run() -> list[Figure]:
    with _folder() as folder:
        return [*asyncio.run(_rounds()), *_throughput(folder), *_memory(folder)]


# ------------------------------------------------------------------------------------------------------- throughput


class _Changing:
    """A source that shows each of its batches once, as items that changed."""

    def __init__(self, batches: Sequence[Sequence[Report]]) -> None:
        self._batches = iter(batches)

    async def look(self, looks: Sequence[Look]) -> Round:
        [look] = looks
        reports = tuple(next(self._batches))
        progress: dict[Kind, Progress] = {
            "issues": Progress(mark=reports[-1].item.updated_at, settled_at=reports[-1].item.updated_at)
        }
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
            labels=(f"area-{rng.randrange(ROUTES - ROUTES // 100)}", "bug"),
            assignees=("ann",),
        )
        for number in range(count)
    ]


def _gate() -> Gate:
    """Every item matches one of the routes; of a hundred routes, one has no equality key."""
    few = ROUTES // 100
    routes = [Route(match=Match(label=f"area-{n}", repo=_REPO), to=(f"a{n % AGENTS}",)) for n in range(ROUTES - few)]
    routes += [Route(match=Match(title_contains=f"nothing of the kind {n}"), to=("a0",)) for n in range(few)]
    return Gate(watches=(Watch(name="w", kind="issues", repo=_REPO),), routes=tuple(routes))


def _batches(items: Sequence[Report], *, news_of: int, turn: int = 0) -> list[list[Report]]:
    """Every item once, in batches; of so many, one changed."""
    return [
        [
            _changed(one, turn=turn * len(items) + start) if number % news_of == 0 else one
            for number, one in enumerate(items[start : start + BATCH])
        ]
        for start in range(0, len(items), BATCH)
    ]


def _changed(one: Report, *, turn: int) -> Report:
    at = datetime.fromtimestamp(1_800_000_000 + turn, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(one, item=replace(one.item, body=f"{turn} {one.item.body}", updated_at=at, edited_at=at))


async def _play(layout: FleetLayout, batches: Sequence[Sequence[Report]]) -> float:
    """Seconds from the first report to the last synced inbox, looking and delivering at once as the router does."""
    cursor, log, clock = (
        SqliteCursor(layout.router_db),
        open_log(layout.router_log, encode=encode_log_line),
        SystemClock(),
    )
    rng, arrivals = random.Random(1), list[float]()
    poller = Poller(gate=_gate(), cursor=cursor, authorship=FileAuthorship(layout), log=log, rng=rng, moment=0.0)
    transport = FileTransport(layout, lambda agent: arrivals.append(time.perf_counter()), encode=encode_line)
    deliverer = Deliverer(cursor=cursor, transport=transport, log=log, clock=clock, rng=rng)
    source, looked = _Changing(batches), False

    async def look() -> None:
        nonlocal looked
        for number in range(len(batches)):
            polled = await poller.poll(source, [_FEED.key], now=time.time(), moment=float(number))
            assert polled.seen
            await asyncio.sleep(0)
        looked = True

    async def deliver() -> None:
        while not looked:
            await deliverer.deliver()
        await deliverer.deliver()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look())
        tasks.create_task(deliver())
    assert cursor.counts().owed == 0
    cursor.close()
    log.close()
    return arrivals[-1] - begin


def _bare(folder: Path, layout: FleetLayout, batches: Sequence[Sequence[Report]]) -> float:
    """Seconds of one SQLite transaction and synced appends for each batch: no matching, no model.

    It begins with the keys of what is known. What is new it remembers with its line, as it must if no crash is to lose
    or repeat it, and then appends: the lines that the router brought, to as many inboxes, each synced once a batch."""
    folder.mkdir()
    rounds = list(_rounds_of(layout, batches))
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE seen (key TEXT PRIMARY KEY, line BLOB);"
    )
    db.execute("BEGIN")
    db.executemany("INSERT INTO seen VALUES (?, ?)", [row for rows, _ in rounds for row in rows if not row[1]])
    db.execute("COMMIT")
    os.sync()
    begin = time.perf_counter()
    for rows, lines in rounds:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        db.execute("COMMIT")
        for agent, some in lines.items():
            append_lines(folder / f"{agent}.jsonl", some)
    took = time.perf_counter() - begin
    db.close()
    return took


_Round = tuple[list[tuple[str, bytes]], dict[str, list[bytes]]]


def _rounds_of(layout: FleetLayout, batches: Sequence[Sequence[Report]]) -> Iterator[_Round]:
    """For each batch the keys, each with its line if the router brought one, and the lines by agent."""
    brought: dict[str, tuple[str, bytes]] = {}
    for agent in layout.agents.iterdir():
        for line in read_lines(layout.agent(agent.name).inbox):
            key = json.loads(line)["metadata"]["key"]
            brought[key.split("/")[1]] = agent.name, line + b"\n"
    for batch in batches:
        rows: list[tuple[str, bytes]] = []
        lines: dict[str, list[bytes]] = {}
        for report in batch:
            agent_name, line = brought.get(report.item.node_id, ("", b""))
            rows.append((f"{report.item.node_id}/{report.item.updated_at}", line))
            if line:
                lines.setdefault(agent_name, []).append(line)
        yield rows, lines


def _prepare(folder: Path, items: Sequence[Report]) -> FleetLayout:
    """A fleet that knows these items."""
    layout = FleetLayout(folder)
    for number in range(AGENTS):
        agent = layout.agent(f"a{number}")
        agent.state.mkdir(parents=True)
        agent.config.write_text("{}")
    layout.state.mkdir()
    cursor = SqliteCursor(layout.router_db)
    _know(cursor, items)
    cursor.close()
    return layout


def _know(cursor: SqliteCursor, items: Sequence[Report]) -> None:
    [watch] = _gate().watches
    fresh = FreshWatch(name="w", fingerprint=fingerprint_of(watch), members=tuple(one.item.node_id for one in items))
    mark = Progress(mark="2026-01-02T00:00:00Z", settled_at="2026-01-02T00:00:00Z")
    snapshots = tuple(map(snapshot_of, items))
    change = FeedChange(feed=_FEED, progress={"issues": mark}, snapshots=snapshots, fresh=(fresh,))
    cursor.commit(Batch(feeds=[change]), now=time.time())


def _throughput(folder: Path) -> Iterator[Figure]:
    items = _items(BATCH * BATCHES)
    for label, news_of in (("one in ten of them news", 10), ("all of them news", 1)):
        batches = _batches(items, news_of=news_of)
        ours, bare = [], []
        for turn in range(_TURNS):
            place = folder / f"{news_of}-{turn}"
            layout = _prepare(place, items)
            os.sync()
            ours.append(asyncio.run(_play(layout, batches)))
            bare.append(_bare(place / "bare", layout, batches))
            shutil.rmtree(place)
        us = median(ours) / len(items) * 1e6
        name = f"a polled item, batches of {BATCH}, {label}"
        yield Figure(name=name, value=us, unit="us", bound=100.0, reference="10,000 items a second")
        yield Figure(
            name=f"{name}, to a bare loop",
            value=median([a / b for a, b in zip(ours, bare, strict=True)]),
            unit="x",
            bound=2.0,
            reference="half as fast: a transaction and synced appends of the same lines",
        )


# --------------------------------------------------------------------------------------------- a thousand repositories


async def _rounds() -> list[Figure]:
    with _folder() as folder, closing(GitHubProcess(folder)) as github:
        github.control("seed", {"repositories": REPOSITORIES, "issues": 5, "pulls": 3, "runs": 0})
        kinds: tuple[Kind, ...] = ("issues", "pulls")
        repos = [f"acme/repo{number}" for number in range(REPOSITORIES)]
        watches = tuple(Watch(name=f"{kind} {repo}", kind=kind, repo=repo) for repo in repos for kind in kinds)
        cursor = SqliteCursor(folder / "router.db")
        env = {**os.environ, **github.env, "HOME": str(folder)}
        source = GitHubSource(GhProgram(("gh",), env), time.time)
        poller = Poller(
            gate=Gate(watches=watches),
            cursor=cursor,
            authorship=MemoryAuthorship(),
            log=MemoryLog(),
            rng=_Last(),
            moment=0.0,
        )

        async def look(moment: float) -> tuple[Polled, float]:
            begin = time.perf_counter()
            polled = await poller.poll(source, list(poller.feeds), now=time.time(), moment=moment)
            if len(polled.seen) < REPOSITORIES:
                raise RuntimeError(f"a round failed: {polled.round.failure}")
            return polled, time.perf_counter() - begin

        await look(0.0)
        quiet, wall_s = await look(1.0)
        github.control("put", {"repo": "acme/repo7", "kind": "issues", "number": 3, "title": "changed"})
        changed, _ = await look(2.0)
        swept, sweep_s = await look(SWEEP_S)
        cursor.close()
    return [*_figures_of(quiet, wall_s, changed), *_figures_of_sweep(swept, sweep_s)]


class _Last(random.Random):
    """All feeds are swept in the same round, so that it can be told apart."""

    def random(self) -> float:
        return 0.0


def _figures_of(quiet: Polled, wall_s: float, changed: Polled) -> Iterator[Figure]:
    name = f"a quiet round of {REPOSITORIES:,} repositories"
    points = sum(one.points for one in quiet.round.spent)
    yield Figure(name=f"{name}: requests", value=len(quiet.round.spent), unit="", bound=20, reference="20")
    yield Figure(name=f"{name}: points", value=points, unit="", bound=20, reference="20")
    yield Figure(name=f"{name}: wall", value=wall_s, unit="s", bound=10, reference="10 s, GitHub answering at once")
    more = len(changed.round.spent) - len(quiet.round.spent)
    yield Figure(name="one changed item: more requests", value=more, unit="", bound=1, reference="1")


def _figures_of_sweep(swept: Polled, sweep_s: float) -> Iterator[Figure]:
    sweeps = [one for one in swept.round.spent if one.purpose == "sweep"]
    pulls = 3 * REPOSITORIES
    name = f"a sweep of {pulls:,} open pull requests"
    points = sum(one.points for one in sweeps)
    yield Figure(name=f"{name}: requests", value=len(sweeps), unit="", bound=pulls / 100, reference="100 at once")
    yield Figure(name=f"{name}: points", value=points, unit="", bound=pulls / 50, reference="a point for 50")
    per_h = points * 3600 / SWEEP_S
    yield Figure(name=f"{name}: points an hour", value=per_h, unit="", bound=500, reference="a tenth of the allowance")
    yield Figure(name=f"{name}: wall of that round", value=sweep_s, unit="s", bound=30, reference="30 s")


# ------------------------------------------------------------------------------------------------------ a million keys


def _fill(path: Path, count: int) -> None:
    """What the router remembers after so many items of other repositories, each in view and delivered once."""
    cursor = SqliteCursor(path)
    record = encode_snapshot(snapshot_of(_items(1)[0]))
    cursor.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        ids = [f"I_kwDOfiller{number:09}" for number in range(count)]
        feeds = [f"items:acme/filler{number % 1000}" for number in range(count)]
        db.executemany(
            "INSERT INTO snapshots (node_id, feed, open, busy, at, record) VALUES (?, ?, 0, 0, 1.0, ?)",
            ((node_id, feed, record) for node_id, feed in zip(ids, feeds, strict=True)),
        )
        db.executemany("INSERT INTO members (watch, node_id) VALUES ('w', ?)", ((node_id,) for node_id in ids))
        db.executemany(
            "INSERT INTO deliveries (agent, key, entry_id, entry, item, priority, not_before, state, at)"
            " VALUES (?, ?, ?, '', ?, 0, 0, 'done', 1.0)",
            ((f"a{n % AGENTS}", f"issues/{node_id}/{'0' * 36}", f"{n:016x}", node_id) for n, node_id in enumerate(ids)),
        )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # Otherwise the first sync that is measured waits for all of it.
    os.sync()


def _memory(folder: Path) -> Iterator[Figure]:
    items = _items(BATCH * BATCHES)
    layouts = {keys: _prepare(folder / f"{keys}", items) for keys in (1_000, 1_000_000)}
    for keys, layout in layouts.items():
        _fill(layout.router_db, keys)
    yield from _start(layouts[1_000_000])
    costs: dict[int, list[float]] = {keys: [] for keys in layouts}
    for turn in range(_TURNS):  # in turn, so that a slow moment of the machine meets both
        batches = _batches(items, news_of=1, turn=turn)
        for keys, layout in layouts.items():
            costs[keys].append(asyncio.run(_play(layout, batches)) / len(items) * 1e6)
            for agent in layout.agents.iterdir():
                shutil.rmtree(agent / "state")
    few, many = (median(found) for found in costs.values())
    name = "an event, a million keys known, to a thousand"
    yield Figure(name=name, value=many / few, unit="x", bound=1.5, reference=f"flat within 1.5 x ({few:.0f} us)")


def _start(layout: FleetLayout) -> list[Figure]:
    """The router as a process, from its start until it answers; GitHub cannot be reached."""
    layout.fleet_json.write_text(json.dumps({"id": os.urandom(6).hex(), "github": {"command": "false"}}))
    watch = {"name": "w", "kind": "issues", "repo": _REPO}
    layout.routes_json.write_text(json.dumps({"watches": [watch]}))
    socket = sockets_of(json.loads(layout.fleet_json.read_bytes())["id"]).control("router")
    starts, weights = [], []
    for _ in range(_TURNS):
        begin = time.perf_counter()
        argv = [sys.executable, "-m", "relayfleet", "run", "router", "--root", str(layout.root)]
        router = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            while not socket.exists() or ask_all({"": socket}, {"op": "status"}, timeout_s=10.0)[""] is None:
                if router.poll() is not None or time.perf_counter() - begin > 60:
                    raise RuntimeError("the router does not come up")
                time.sleep(0.005)
            starts.append(time.perf_counter() - begin)
            weights.append(psutil.Process(router.pid).memory_info().rss / 1e6)
        finally:
            router.terminate()
            router.wait(30)
    shutil.rmtree(socket.parent, ignore_errors=True)
    name = "a router that knows a million keys"
    return [
        Figure(name=f"{name}: start until it answers", value=median(starts), unit="s", bound=1.0, reference="1 s"),
        Figure(name=f"{name}: resident", value=max(weights), unit="MB", bound=80.0, reference="80 MB"),
    ]


@contextmanager
def _folder() -> Iterator[Path]:
    """On the disk, not in memory: what is measured is what it takes to have things there."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

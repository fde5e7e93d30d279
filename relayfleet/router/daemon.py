"""The router: the one process that watches GitHub.

Two lanes, since GitHub meters them apart: issues and pull requests over GraphQL, never two queries at once, and runs
over REST. A lane polls what is due, records, and goes on; a third task brings to the inboxes what is owed. Nothing is
kept in memory that a restart would miss.
"""

from __future__ import annotations

import asyncio
import random

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.route import Gate
from relayfleet.model.watch import Watch
from relayfleet.ports.clock import Clock
from relayfleet.ports.cursor import Cursor
from relayfleet.ports.delivery import Transport
from relayfleet.ports.log import Log
from relayfleet.ports.source import Budget, Failure, Source
from relayfleet.router.deliver import Deliverer
from relayfleet.router.poll import Polled, Poller
from relayfleet.router.schedule import BackOff, back_off, due_watches, next_poll, pause_until
from relayfleet.router.status import RouterStatus, WatchStatus

PRUNE_EVERY_S = 6 * 3600.0
# A bad token and a secondary limit concern whatever we would ask next; the others only the lane that met them.
_STOPS_EVERYTHING = frozenset({"auth", "secondary"})


class Lane:
    """The watches that are polled one round after another. Moments are of the monotonic clock."""

    def __init__(self, name: str, watches: list[Watch], *, now: float) -> None:
        self.name = name
        self.watches = {watch.name: watch for watch in watches}
        self.due_at = {watch.name: now for watch in watches}
        self.hold: BackOff | None = None
        self.watch_holds: dict[str, BackOff] = {}


class Router:
    """Poll, match, record, deliver, until told to stop."""

    def __init__(
        self,
        *,
        gate: Gate,
        source: Source,
        cursor: Cursor,
        transport: Transport,
        log: Log,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """Raises FleetError when a watch's filter cannot be understood."""
        self._gate = gate
        self._cursor = cursor
        self._log = log
        self._clock = clock
        self._rng = rng
        try:
            self._poller = Poller(gate=gate, source=source, cursor=cursor, log=log)
        except ValueError as error:
            raise FleetError("start the router", str(error), hint="run `fleet route`") from error
        self._deliverer = Deliverer(cursor=cursor, transport=transport, log=log, clock=clock, rng=rng)
        now = clock.monotonic()
        self.lanes = tuple(
            Lane(name, watches, now=now)
            for name, watches in (
                ("items", [watch for watch in gate.watches if watch.kind != "runs"]),
                ("runs", [watch for watch in gate.watches if watch.kind == "runs"]),
            )
            if watches
        )
        self._hold: BackOff | None = None
        self._owing = asyncio.Event()
        self._errors: dict[str, str] = {}
        self._failing: dict[str, str] = {}
        self._last_poll: dict[str, float] = {}
        self._budgets: dict[str, Budget] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Returns soon after `stop` is set; what is owed then is delivered at the next start."""
        self._log.info("router.started", watches=len(self._gate.watches), routes=len(self._gate.routes))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._run_lane(lane)) for lane in self.lanes]
            running += [tasks.create_task(self._run_deliveries()), tasks.create_task(self._run_pruning())]
            await stop.wait()
            for task in running:
                task.cancel()
        self._log.info("router.stopped")

    async def poll(self, lane: Lane) -> None:
        """One round of a lane: every watch of it that is due."""
        due = due_watches(lane.due_at, now=self._clock.monotonic())
        try:
            polled = await self._poller.poll(due, now=self._clock.now())
        except StorageFailed as error:
            self._hold_lane(lane, Failure(kind="server", message=str(error)), due, kind="storage")
            return
        self._take(lane, due, polled)
        self._owing.set()

    async def deliver(self) -> float | None:
        """Delivers what is owed. Gives the moment of the next try for what could not be delivered, None when all is."""
        try:
            again = await self._deliverer.deliver()
        except StorageFailed as error:
            self._begin("deliveries", "storage", f"{error}; deliveries wait", hint=error.hint)
            return self._clock.monotonic() + 1.0
        self._end("deliveries")
        return again

    def status(self, now: float) -> RouterStatus:
        """`now` is seconds since the epoch."""
        counts = self._cursor.counts()
        shift = now - self._clock.monotonic()
        stopped = self._hold if self._hold and self._hold.until > self._clock.monotonic() else None
        return RouterStatus(
            state="paused" if stopped else "polling",
            reason=self._errors.get("") if stopped else None,
            paused_until=stopped.until + shift if stopped else None,
            cursor_age_s=None if counts.committed_at is None else max(0.0, now - counts.committed_at),
            owed=counts.owed,
            delivered=counts.delivered,
            held=counts.held,
            budgets=tuple(self._budgets.values()),
            watches=tuple(
                WatchStatus(
                    name=name,
                    kind=watch.kind,
                    repo=watch.repo,
                    filter=watch.filter,
                    poll_sec=watch.poll_sec,
                    last_poll=self._last_poll.get(name),
                    next_poll=max(lane.due_at[name], pause_until(lane.due_at, (lane.hold, self._hold))) + shift,
                    items=counts.items.get(name, 0),
                    last_error=self._errors.get(name),
                )
                for lane in self.lanes
                for name, watch in lane.watches.items()
            ),
        )

    async def _run_lane(self, lane: Lane) -> None:
        while True:
            wait_s = pause_until(lane.due_at, (lane.hold, self._hold)) - self._clock.monotonic()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
            else:
                await self.poll(lane)

    async def _run_deliveries(self) -> None:
        while True:
            self._owing.clear()
            again = await self.deliver()
            if again is None:
                await self._owing.wait()
            else:
                await self._owing_or_sleep(again - self._clock.monotonic())

    async def _owing_or_sleep(self, seconds: float) -> None:
        waits = (asyncio.ensure_future(self._owing.wait()), asyncio.ensure_future(self._clock.sleep(max(0.0, seconds))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _run_pruning(self) -> None:
        while True:
            try:
                self._cursor.prune(watches=[watch.name for watch in self._gate.watches], now=self._clock.now())
            except StorageFailed as error:
                self._log.warning("router.prune_failed", str(error), hint=error.hint)
            await self._clock.sleep(PRUNE_EVERY_S)

    def _take(self, lane: Lane, due: tuple[str, ...], polled: Polled) -> None:
        """Notes what a round came to: who is due when, who fails, who recovered."""
        now, wall = self._clock.monotonic(), self._clock.now()
        self._budgets.update((budget.resource, budget) for budget in polled.round.budgets)
        for name in polled.seen:
            lane.due_at[name] = next_poll(lane.due_at[name], lane.watches[name].poll_sec, now=now)
            lane.watch_holds.pop(name, None)
            self._last_poll[name] = wall
            self._end(name)
        for name, failure in polled.failures.items():
            hold = back_off(lane.watch_holds.get(name), failure, now=now, jitter=self._rng.random())
            lane.watch_holds[name] = hold
            beat = next_poll(lane.due_at[name], lane.watches[name].poll_sec, now=now)
            lane.due_at[name] = max(beat, hold.until)
            self._begin(name, failure.kind, failure.message, repo=lane.watches[name].repo)
        ended_by = polled.round.failure
        if ended_by is not None:
            untouched = tuple(name for name in due if name not in polled.seen and name not in polled.failures)
            self._hold_lane(lane, ended_by, untouched)
        else:
            lane.hold = None
            self._end(lane.name)
            # The other lane may have been told to wait while this round was on its way.
            if self._hold is None or self._hold.until <= now:
                self._hold = None
                self._end("")

    def _hold_lane(self, lane: Lane, failure: Failure, due: tuple[str, ...], *, kind: str | None = None) -> None:
        everything = failure.kind in _STOPS_EVERYTHING
        before = self._hold if everything else lane.hold
        now = self._clock.monotonic()
        hold = back_off(before, failure, now=now, jitter=self._rng.random())
        if everything:
            self._hold = hold
        else:
            lane.hold = hold
        for name in due:
            self._errors[name] = failure.message
        scope = "" if everything else lane.name
        self._begin(
            scope,
            kind or failure.kind,
            failure.message,
            status=failure.status,
            retry_in_s=hold.until - now,
        )

    def _begin(self, scope: str, kind: str, message: str, **fields: object) -> None:
        """Logs the beginning of an episode once. `scope` is a watch, a lane, or "" for everything."""
        self._errors[scope] = message
        if self._failing.get(scope) != kind:
            self._failing[scope] = kind
            self._log.warning(
                "router.failing", _WORDS.get(kind, "") + message, scope=scope or "everything", kind=kind, **fields
            )

    def _end(self, scope: str) -> None:
        self._errors.pop(scope, None)
        kind = self._failing.pop(scope, None)
        if kind is not None:
            self._log.info("router.recovered", scope=scope or "everything", kind=kind)


_WORDS = {
    "transport": "GitHub was not reached: ",
    "server": "GitHub failed: ",
    "secondary": "GitHub's secondary limit; everything pauses: ",
    "primary": "the token's hourly allowance is spent: ",
    "auth": "GitHub does not accept the token; everything pauses, and is tried again every five minutes"
    " (run `gh auth login`): ",
    "not_found": "there is no such repository, or the token may not see it: ",
    "forbidden": "the token may not read it: ",
    "refused": "GitHub does not understand the request: ",
    "storage": "the cursor cannot be written: ",
}

"""The router: the one process that watches GitHub.

Every account has two lanes, since GitHub meters them apart: issues and pull requests over GraphQL, never two queries at
once, and runs over REST. A lane looks at what is due, records, and goes on, as fast as the account's governor lets it;
another task brings to the inboxes what is owed. Nothing is kept in memory that a restart would miss.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from itertools import islice

from relayfleet.errors import ConfigError, StorageFailed
from relayfleet.model.fleet import GithubAccount, account_for
from relayfleet.model.watch import Lane as LaneName
from relayfleet.model.watch import Watch, feed_of
from relayfleet.ports.authorship import Authorship
from relayfleet.ports.clock import Clock
from relayfleet.ports.cursor import Cursor
from relayfleet.ports.delivery import Transport
from relayfleet.ports.gate import GateFile
from relayfleet.ports.log import Log
from relayfleet.ports.source import Failure, Source
from relayfleet.router.account import Account
from relayfleet.router.deliver import Deliverer
from relayfleet.router.episodes import Episodes, words_of
from relayfleet.router.lane import Lane
from relayfleet.router.poll import Polled, Poller
from relayfleet.router.status import (
    BreakerStatus,
    GateStatus,
    RouterStatus,
    account_status,
    allowances,
    held_item_status,
    watch_status,
)

PRUNE_FIRST_S = 600.0
PRUNE_EVERY_S = 6 * 3600.0
GATE_EVERY_S = 1.0
# So often a lane that waits plans anew: the budget may have been renewed, or spent by others.
PLAN_EVERY_S = 60.0
# So much of the quarantine is in the status.
HELD_SHOWN = 100
# How long a lane waits for room in the limits of the minute.
ROOM_S = 1.0


class Router:
    """Look, match, record, deliver, until told to stop."""

    def __init__(
        self,
        *,
        gate_file: GateFile,
        accounts: Sequence[GithubAccount] = (),
        connect: Callable[[GithubAccount], Source],
        cursor: Cursor,
        transport: Transport,
        authorship: Authorship,
        log: Log,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """`accounts` are those of fleet.json; `connect` gives the way to GitHub through one. Raises ConfigError for a
        gate with faults, StorageFailed."""
        self._gate_file = gate_file
        self._specs = tuple(accounts)
        self._connect = connect
        self._cursor = cursor
        self._log = log
        self._clock = clock
        self._rng = rng
        self._episodes = Episodes(log)
        self._accounts: dict[str, Account] = {}
        self._owing = asyncio.Event()
        self._last_poll: dict[str, float] = {}
        self._faults: tuple[str, ...] = ()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []
        self._started = (clock.now(), clock.monotonic())
        self._gate = gate_file.read()
        self._gate_since = clock.now()
        self._poller = Poller(
            gate=self._gate, cursor=cursor, authorship=authorship, log=log, rng=rng, moment=clock.monotonic()
        )
        self._deliverer = Deliverer(cursor=cursor, transport=transport, log=log, clock=clock, rng=rng)
        self._arrange()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Those that have something to look at."""
        return tuple(lane for account in self._accounts.values() for lane in account.lanes.values() if lane.rhythms)

    async def run(self, stop: asyncio.Event) -> None:
        """Returns soon after `stop` is set; what is owed then is delivered at the next start."""
        self._log.info("router.started", watches=len(self._gate.watches), routes=len(self._gate.routes))
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for account in self._accounts.values():
                self._start_lanes(account)
            for task in (self._run_deliveries(), self._run_pruning(), self._run_reloading()):
                self._start(tasks, task)
            await stop.wait()
            for running in self._running:
                running.cancel()
        self._tasks = None
        self._log.info("router.stopped")

    async def poll(self, lane: Lane) -> bool:
        """One round of a lane, over what is due. False when the limits of the minute leave no room for it yet."""
        async with lane.lock:
            account = self._accounts[lane.account]
            now, moment = self._clock.now(), self._clock.monotonic()
            account.governor.plan(lane.name, lane.rhythms, now=now, moment=moment)
            lane.fill(stretch=account.governor.stretch(lane.name), moment=moment)
            if not lane.waiting:
                return True
            count = account.governor.admit(lane.name, len(lane.waiting), moment=moment)
            feeds = list(islice(lane.waiting, count))
            if not feeds:
                return False
            try:
                polled = await self._poller.poll(account.source, feeds, now=now, moment=moment)
            except StorageFailed as error:
                self._hold(account, lane, Failure(kind="server", message=f"{error}; nothing is lost"), kind="storage")
            else:
                self._take(account, lane, feeds, polled)
                self._owing.set()
            return True

    async def deliver(self) -> float | None:
        """Delivers what is owed. Gives the moment of the next try for what could not be delivered, None when all is."""
        try:
            again = await self._deliverer.deliver()
        except StorageFailed as error:
            self._episodes.begin("deliveries", "storage", f"{error}; deliveries wait", hint=error.hint)
            return self._clock.monotonic() + 1.0
        self._episodes.end("deliveries")
        return again

    def wake_deliveries(self) -> None:
        """Another process wrote that something is owed."""
        self._owing.set()

    def forget_breakers(self) -> None:
        """Another process reset some. Raises StorageFailed."""
        self._poller.forget_breakers()

    async def reload(self) -> None:
        """Goes over to the gate as it is written now. One with faults is not taken: that which was goes on."""
        try:
            gate = self._gate_file.read()
        except ConfigError as error:
            self._faults = error.faults
            self._log.warning(
                "router.reload_refused",
                "routes.json has faults; the router goes on with what it read before",
                faults=list(error.faults),
                hint="correct it; it is read again when it changes",
            )
            return
        async with AsyncExitStack() as still:
            # No round is under way while the gate is changed.
            for account in self._accounts.values():
                for lane in account.lanes.values():
                    await still.enter_async_context(lane.lock)
            try:
                self._poller.take(gate, moment=self._clock.monotonic())
            except StorageFailed as error:
                self._faults = (str(error),)
                self._log.warning("router.reload_refused", str(error), hint=error.hint)
                return
            before, self._gate = {watch.name for watch in self._gate.watches}, gate
            self._faults, self._gate_since = (), self._clock.now()
            self._arrange()
        names = {watch.name for watch in gate.watches}
        self._log.info(
            "router.reloaded",
            watches=len(gate.watches),
            routes=len(gate.routes),
            added=sorted(names - before),
            removed=sorted(before - names),
        )

    def prune(self) -> None:
        """Forgets what nobody needs any more."""
        # A clock that jumped ahead must not make everything look old.
        began, moment = self._started
        now = min(self._clock.now(), began + self._clock.monotonic() - moment)
        try:
            self._retain()
            self._cursor.prune(now=now)
            self._poller.forget_breakers()
        except StorageFailed as error:
            self._log.warning("router.prune_failed", str(error), hint=error.hint)

    def _arrange(self) -> None:
        """Gives every feed of the gate to its account."""
        now, moment = self._clock.now(), self._clock.monotonic()
        feeds = self._poller.feeds
        rhythms: dict[str, dict[LaneName, dict[str, float]]] = {name: {} for name in self._accounts}
        for key, watches in feeds.items():
            account = self._account_of(watches[0])
            if account.name not in self._accounts:
                self._accounts[account.name] = Account(account, self._connect(account), moment=moment)
                self._start_lanes(self._accounts[account.name])
            by_lane = rhythms.setdefault(account.name, {})
            by_lane.setdefault(feed_of(watches[0]).lane, {})[key] = min(watch.poll_sec for watch in watches)
        fresh = self._poller.fresh
        for name, one in self._accounts.items():
            one.arrange(rhythms[name], fresh=fresh, now=now, moment=moment)
        self._deliverer.cooldown_s = max((route.cooldown_s for route in self._gate.routes), default=0.0)
        self._last_poll = {feed: at for feed, at in self._last_poll.items() if feed in feeds}
        scopes = {f"{what} {feed}" for feed in feeds for what in ("feed", "items")}
        self._episodes.keep(scopes | {f"watch {one.name}" for one in self._gate.watches})
        try:
            self._retain()
        except StorageFailed as error:
            self._log.warning("router.retain_failed", str(error), hint=error.hint)

    def _retain(self) -> None:
        self._cursor.retain(watches=[watch.name for watch in self._gate.watches], feeds=list(self._poller.feeds))

    def _account_of(self, watch: Watch) -> GithubAccount:
        feed = feed_of(watch)
        return account_for(self._specs, host=feed.host, owner=feed.repo.partition("/")[0])

    def _start_lanes(self, account: Account) -> None:
        """Does nothing before the router runs: then all are started."""
        if self._tasks is not None:
            for lane in account.lanes.values():
                self._start(self._tasks, self._run_lane(account, lane))

    def _start(self, tasks: asyncio.TaskGroup, task: Coroutine[None, None, None]) -> None:
        self._running.append(tasks.create_task(task))

    async def _run_lane(self, account: Account, lane: Lane) -> None:
        while True:
            lane.changed.clear()
            due = account.due_at(lane)
            wait_s = None if due is None else due - self._clock.monotonic()
            if wait_s is None or wait_s > 0:
                await self._wait(lane.changed, min(wait_s, PLAN_EVERY_S) if wait_s is not None else None)
                account.governor.plan(lane.name, lane.rhythms, now=self._clock.now(), moment=self._clock.monotonic())
            elif not await self.poll(lane):
                await self._clock.sleep(ROOM_S)

    async def _run_deliveries(self) -> None:
        while True:
            self._owing.clear()
            again = await self.deliver()
            await self._wait(self._owing, None if again is None else again - self._clock.monotonic())

    async def _wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Until the event, or until so much time has passed."""
        if seconds is None:
            await event.wait()
            return
        waits = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep(max(0.0, seconds))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _run_pruning(self) -> None:
        await self._clock.sleep(PRUNE_FIRST_S)
        while True:
            self.prune()
            await self._clock.sleep(PRUNE_EVERY_S)

    async def _run_reloading(self) -> None:
        while True:
            await self._clock.sleep(GATE_EVERY_S)
            if self._gate_file.has_changed():
                await self.reload()

    def _take(self, account: Account, lane: Lane, feeds: Sequence[str], polled: Polled) -> None:
        """Notes what a round came to: what it cost, who is due when, who fails, who recovered."""
        now, moment = self._clock.now(), self._clock.monotonic()
        account.governor.note(
            lane.name,
            polled.round.spent,
            polled.round.budgets,
            feeds=len(feeds),
            rhythms=lane.rhythms,
            now=now,
            moment=moment,
        )
        lane.seen(polled.seen)
        for feed in polled.seen:
            self._last_poll[feed] = now
            self._episodes.end(f"feed {feed}")
            self._note_unshown(feed, polled.unshown.get(feed, ()))
            for watch in self._poller.feeds[feed]:
                if watch.name not in polled.watch_failures:
                    self._episodes.end(f"watch {watch.name}")
        for feed, failure in polled.failures.items():
            lane.failed(feed, failure, moment=moment, jitter=self._rng.random())
            self._episodes.begin(f"feed {feed}", failure.kind, words_of(failure))
        for name, failure in polled.watch_failures.items():
            self._episodes.begin(f"watch {name}", failure.kind, words_of(failure))
        if polled.round.failure is not None:
            asked = polled.round.spent[-1].feeds if polled.round.spent else ()
            lane.blame(asked, polled.round.failure, moment=moment, jitter=self._rng.random())
            self._hold(account, lane, polled.round.failure)
        else:
            lane.hold = None
            self._episodes.end(lane.scope)
            # The other lane may have been told to wait while this round was on its way.
            if account.held_until <= moment:
                account.hold = None
                self._episodes.end(account.scope)

    def _note_unshown(self, feed: str, items: Sequence[str]) -> None:
        if items:
            shown = ", ".join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
            message = (
                f"GitHub fails to show {shown}: the rest is read, and that is tried again every quarter of an hour"
            )
            self._episodes.begin(f"items {feed}", "unshown", message)
        else:
            self._episodes.end(f"items {feed}")

    def _hold(self, account: Account, lane: Lane, failure: Failure, *, kind: str = "") -> None:
        moment = self._clock.monotonic()
        scope, hold = account.hold_back(lane, failure, moment=moment, jitter=self._rng.random())
        wait_s = hold.until - moment
        words = words_of(failure, kind=kind, account=account.spec.name, until=self._clock.now() + wait_s)
        self._episodes.begin(scope, kind or failure.kind, words, status=failure.status, retry_in_s=round(wait_s, 3))

    def status(self) -> RouterStatus:
        """Raises StorageFailed."""
        now, moment = self._clock.now(), self._clock.monotonic()
        counts, errors = self._cursor.counts(), self._episodes.errors
        accounts = tuple(account_status(one, errors, now=now, moment=moment) for one in self._accounts.values())
        held = [account.paused_until for account in accounts if account.budgets]
        paused = bool(held) and all(until is not None for until in held)
        places = {
            feed: (one, lane) for one in self._accounts.values() for lane in one.lanes.values() for feed in lane.rhythms
        }
        feeds = self._poller.feeds
        return RouterStatus(
            state="paused" if paused else "polling",
            reason=next((account.reason for account in accounts if account.budgets), None) if paused else None,
            paused_until=min(until for until in held if until is not None) if paused else None,
            cursor_age_s=None if counts.committed_at is None else max(0.0, now - counts.committed_at),
            owed=counts.owed,
            delivered=counts.delivered,
            held=counts.held,
            held_items=tuple(one for held in self._cursor.newest_held(HELD_SHOWN) if (one := held_item_status(held))),
            gate=GateStatus(
                watches=len(self._gate.watches),
                routes=len(self._gate.routes),
                since=self._gate_since,
                faults=self._faults,
            ),
            budgets=allowances(accounts),
            accounts=accounts,
            breakers=tuple(
                BreakerStatus(route=route, about=breaker.about, since=breaker.since)
                for route, breaker in self._poller.open_breakers
            ),
            watches=tuple(
                watch_status(
                    watch,
                    *places[feed],
                    sharing=len(feeds[feed]),
                    last_poll=self._last_poll.get(feed),
                    items=counts.items.get(watch.name, 0),
                    errors=errors,
                    now=now,
                    moment=moment,
                )
                for watch in self._gate.watches
                for feed in (feed_of(watch).key,)
            ),
        )

"""The supervisor: looks, lets `plan.py` decide, and does it. What is to be done is on disk before it is done."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.supervision import ROUTER, Past
from relayfleet.ports.clock import Clock
from relayfleet.ports.daemon import Backend, Handle
from relayfleet.ports.log import Log
from relayfleet.ports.supervision import FleetView
from relayfleet.supervisor import plan
from relayfleet.supervisor.plan import Change, Decision, Failure, Sight

# A look costs by the number of daemons: from a hundred on they are farther apart, so that the cost stays as it is.
_LOOK_S, _LOOK_EACH_S, _LOOK_COMING_S = 1.0, 0.01, 0.1
_BUSY_S = 10.0  # one that is coming is looked at that often for so long
_ANSWER_WITHIN_S = 2.0


@dataclass(kw_only=True)
class Supervisor:
    """`tell` is given every change, for whoever watches in the foreground."""

    view: FleetView
    backend: Backend
    log: Log
    clock: Clock
    tell: Callable[[Change], None] = lambda change: None
    _memory: dict[str, Past] = field(default_factory=dict)
    _handles: dict[str, Handle] = field(default_factory=dict)
    _asked_at: dict[str, float] = field(default_factory=dict)
    _answers: dict[str, str | None] = field(default_factory=dict)
    _asking: asyncio.Task[None] | None = None
    _unsaved: bool = False
    _blind: bool = False
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _lookers: list[asyncio.Future[None]] = field(default_factory=list)
    _begun: float = 0.0

    def wake(self) -> None:
        """Has it look at once."""
        self._woken.set()

    async def look(self) -> None:
        """Has it look at once, and returns when it has looked and acted."""
        looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lookers.append(looked)
        self.wake()
        await looked

    def status(self) -> dict[str, Any]:
        """How many daemons are in which phase."""
        phases = [past.phase for past in self._memory.values()]
        return {"since": self._begun, "daemons": {phase: phases.count(phase) for phase in sorted(set(phases))}}

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set. What it keeps runs on."""
        self._begun = self.clock.now()
        self._memory = dict(self.view.load())
        self.log.info("supervisor.started")
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                self._woken.clear()
                lookers, self._lookers = self._lookers, []
                try:
                    await self._look()
                    self._blind = False
                except FleetError as error:  # a lock that cannot be opened, say: it looks again, and says so once
                    if not self._blind:
                        self.log.error("supervisor.look_failed", str(error), hint=error.hint)
                    self._blind = True
                for looked in lookers:
                    if not looked.done():
                        looked.set_result(None)
                waking = asyncio.ensure_future(self._woken.wait())
                await asyncio.wait((stopping, waking), timeout=self._pause_s(), return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
        finally:
            stopping.cancel()
            if self._asking is not None:
                self._asking.cancel()
            self.log.info("supervisor.stopped")

    def _pause_s(self) -> float:
        now = self.clock.now()
        coming = any(past.phase == "coming" and now - past.since < _BUSY_S for past in self._memory.values())
        return _LOOK_COMING_S if coming else max(_LOOK_S, _LOOK_EACH_S * len(self._memory))

    async def _look(self) -> None:
        now = self.clock.now()
        sights = self._sights(now)
        limits = self.view.limits()
        free_mb = self.view.free_mb() if limits.min_free_mb and _someone_is_down(sights) else None
        decision = plan.decide(sights, self._memory, limits=limits, free_mb=free_mb, now=now, begun=self._begun)
        self._remember(decision)
        for change in decision.changes:
            self._say(change)
        await self._act(decision)

    def _sights(self, now: float) -> list[Sight]:
        names = self.view.names()
        wishes = {name: self.view.wish(name) for name in names}
        alive = {name for name in names if self.view.alive(name)}
        answers, self._answers = self._answers, {}
        self._ask([name for name in names if name in alive and wishes[name].wanted], now)
        found = []
        for name in names:
            if name in alive:
                answer = answers.get(name)
                silent = name in answers and answer is None
                found.append(Sight(name=name, wish=wishes[name], alive=True, answer=answer, silent=silent))
            elif wishes[name].wanted:
                found.append(self._dead(name, Sight(name=name, wish=wishes[name], alive=False), now))
            else:
                self._is_launching(name)
                found.append(Sight(name=name, wish=wishes[name], alive=False))
        return found

    def _ask(self, names: Sequence[str], now: float) -> None:
        """Asks beside the looking, which nobody's silence may hold up: the answers are for the next look."""
        if self._asking is not None and not self._asking.done():
            return
        asked = [name for name in names if self._is_to_be_asked(name, now)]
        if asked:
            self._asking = asyncio.ensure_future(self._gather(asked))

    async def _gather(self, names: Sequence[str]) -> None:
        self._answers.update(await asyncio.to_thread(self.view.ask, names, timeout_s=_ANSWER_WITHIN_S))
        self.wake()

    def _dead(self, name: str, sight: Sight, now: float) -> Sight:
        """Looks at what matters of one that is down; most of it only when it may be started."""
        past = self._memory.get(name, Past())
        launching = self._is_launching(name)
        given = self.view.failure(name) if past.phase in ("new", "coming", "up") else None
        failure = Failure(ts=given[0], reason=given[1], detail=given[2]) if given else None
        due = past.phase == "waiting" and now >= past.next_try_at
        return Sight(
            name=name,
            wish=sight.wish,
            alive=False,
            launching=launching,
            failure=failure,
            signature=self.view.signature(name) if failure or due else "",
            space=not due or self.view.has_space(),
        )

    def _is_launching(self, name: str) -> bool | None:
        """Of a process that this supervisor launched; also takes note of its end, so that no zombie is left."""
        handle = self._handles.get(name)
        if handle is None:
            return None
        if self.backend.is_alive(handle):
            return True
        del self._handles[name]
        return False

    def _is_to_be_asked(self, name: str, now: float) -> bool:
        every = plan.ask_every_s(self._memory.get(name, Past()))
        if name not in self._asked_at:  # spread out, so that not all are asked in the same second for ever
            self._asked_at[name] = now - (zlib.crc32(name.encode()) % 1000) / 1000 * every
        if not 0 <= now - self._asked_at[name] < every:
            self._asked_at[name] = now
            return True
        return False

    def _remember(self, decision: Decision) -> None:
        if dict(decision.memory) == self._memory and not self._unsaved:
            return
        self._memory = dict(decision.memory)
        for name in [name for name in self._asked_at if name not in self._memory]:
            del self._asked_at[name]
        try:
            self.view.save(self._memory)
        except StorageFailed as error:
            if not self._unsaved:
                self.log.error("supervisor.memory_failed", str(error), hint=error.hint)
            self._unsaved = True  # it goes on with what it knows
        else:
            self._unsaved = False

    async def _act(self, decision: Decision) -> None:
        for name in decision.ends:
            await asyncio.to_thread(self._end, name)
        if decision.stops:
            await asyncio.to_thread(self.view.ask_to_stop, decision.stops)
        for name in decision.launches:
            try:
                self._handles[name] = self.view.launch(name)
            except (FleetError, OSError) as error:  # one that cannot be launched keeps nobody else down
                self.view.record_failure(name, error)
        if decision.launches:
            self.wake()

    def _end(self, name: str) -> None:
        """Ends one daemon and all below it, and nobody else's."""
        handle = self.view.holder(name) or self._handles.get(name)
        if handle is not None:
            self.backend.kill(handle)
        session_id = self.view.session_id(name) if name != ROUTER else None
        if session_id:
            self.backend.end_strays(name, session_id)

    def _say(self, change: Change) -> None:
        name, words, reason = change.name, change.detail, change.reason
        match change.kind:
            case "launch":
                self.log.info("supervisor.launched", words, name=name, after=reason)
            case "adopted":
                self.log.info("supervisor.adopted", words, name=name)
            case "up":
                self.log.info("supervisor.up", words, name=name)
            case "down":
                self.log.warning("supervisor.down", words, name=name, reason=reason, again_in_s=change.in_s)
            case "waiting":
                self.log.warning("supervisor.waiting", words, name=name, reason=reason, again_in_s=change.in_s)
            case "held":
                self.log.error("supervisor.held", words, name=name, reason=reason)
            case "queued":
                self.log.info("supervisor.queued", words, name=name)
            case "unwanted":
                self.log.warning("supervisor.unwanted", words, name=name)
            case "stopped":
                self.log.info("supervisor.forgot", words, name=name)
        self.tell(change)


def _someone_is_down(sights: list[Sight]) -> bool:
    return any(sight.wish.wanted and not sight.alive for sight in sights)

"""The runner: keeps one agent's session running, and looks at it. What becomes of entries is `deliveries.py`'s."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from relayfleet.errors import FleetError
from relayfleet.model.agent import AgentSpec
from relayfleet.model.names import EntryId, SessionId
from relayfleet.ports.authorship import Writings
from relayfleet.ports.delivery import Inbox, Receipts, Upkeep
from relayfleet.ports.log import Log
from relayfleet.ports.session import Harness, ProcessTree, SessionFile, Terminal, Terminals
from relayfleet.runner import session as s
from relayfleet.runner.deliveries import Bodies, Deliveries
from relayfleet.runner.hook_events import HookEvents
from relayfleet.runner.shim_link import ShimLink
from relayfleet.wire.control import refusal

# How often the session's registry is read: often while something may change, seldom while it idles.
_LOOK_STARTING_S, _LOOK_BUSY_S, _LOOK_IDLE_S = 0.1, 0.25, 1.0
_READY_WITHIN_S, _SLOW_AFTER_S = 60.0, 10.0
_GRACE_S = 5.0
_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_HEALTHY_AFTER_S = 60.0
_DEATHS_BEFORE_READY = 3


class Screen(Protocol):
    """The session's output: kept in its log, the end of it at hand."""

    def write(self, data: bytes) -> None: ...

    def tail(self) -> str:
        """The last lines, without terminal controls."""
        ...


@dataclass(kw_only=True)
class Runner:
    """`run` returns when the runner was told to stop; it raises FleetError when the session cannot be brought up."""

    spec: AgentSpec
    inbox: Inbox
    receipts: Receipts
    upkeep: Upkeep
    harness: Harness
    terminals: Terminals
    tree: ProcessTree
    session_file: SessionFile
    bodies: Bodies
    screen: Screen
    writings: Writings
    log: Log
    clock: Callable[[], float]
    _terminal: Terminal | None = None
    _ready: bool = False
    _detail: str = ""
    _deaths: int = 0
    _started: float = 0.0
    _observed_at: float = 0.0

    def __post_init__(self) -> None:
        self._deliveries = Deliveries(
            spec=self.spec,
            inbox=self.inbox,
            receipts=self.receipts,
            upkeep=self.upkeep,
            bodies=self.bodies,
            log=self.log,
            clock=self.clock,
            on_change=self._look_soon,
        )
        self._hooks = HookEvents(self._deliveries, writings=self.writings, log=self.log, clock=self.clock)
        self._by_operation: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "status": self._on_status,
            "stop": self._on_stop,
            "interrupt": self._on_interrupt,
            "fail": self._on_fail,
        }
        self._stop = asyncio.Event()
        self._exited = asyncio.Event()
        self._looked = asyncio.Event()
        self._session_id = SessionId("")

    # ---- what reaches the runner from outside

    def join(self, link: ShimLink) -> None:
        """The line to the shim, made by whoever opens the sockets."""
        self._deliveries.link = link

    def on_link(self, up: bool) -> None:
        self._deliveries.feed(s.Linked(up))
        if not up and self._ready and self._terminal is not None and not self._stop.is_set():
            # Claude Code starts a dead MCP server no more, so nothing would ever reach this session again.
            self.log.warning("session.cut_off", "its shim is gone: the session is started anew")
            self._terminal.terminate()
        self._look_soon()

    def on_offered(self, entry_id: str, error: str) -> None:
        if error:
            self._deliveries.lose(entry_id, error)

    def on_wake(self) -> None:
        self._deliveries.read()

    async def on_hook(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers one hook of the session."""
        return await self._hooks.answer(payload)

    def stop(self) -> None:
        self._stop.set()

    async def on_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers the CLI and the plugins."""
        handler = self._by_operation.get(str(request.get("op")))
        if handler is None:
            known = ", ".join(self._by_operation)
            return refusal(f"cannot do {request.get('op')!r}: a runner knows {known}")
        return handler(request)

    def _on_status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._deliveries.read()
        return {"ok": True, **self.status()}

    def _on_stop(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.stop()
        return {"ok": True}

    def _on_interrupt(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._terminal is None or self._deliveries.state.phase not in ("busy", "waiting"):
            return refusal("cannot interrupt: no turn is under way")
        self._terminal.write(b"\x1b")
        return {"ok": True}

    def _on_fail(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        given = s.Failed(EntryId(str(request.get("id"))), str(request.get("detail", "")))
        if not self._deliveries.feed(given):
            return refusal(f"cannot mark entry {request.get('id')!r} failed: it is not in this inbox, or has ended")
        return {"ok": True}

    def status(self) -> dict[str, Any]:
        """What was observed of the session, for `fleet status`."""
        state: str = self._deliveries.state.phase
        if state == "down":
            # One that never was ready is given up for good: then the lock is free, and the reason is on disk.
            state = "failed" if self._ready and self._deaths >= _DEATHS_BEFORE_READY else "starting"
        elif not self._ready:
            state = "starting"
        return {
            "state": state,
            "detail": self._deliveries.trouble or self._detail,
            "session_id": self._session_id,
            "session_pid": self._terminal.pid if self._terminal else None,
            "observed_age_s": round(self.clock() - self._observed_at, 3) if self._observed_at else None,
            "inbox": self._deliveries.counts(),
        }

    # ---- the life of the session

    async def run(self) -> None:
        self.tree.adopt_orphans()
        known = self.session_file.load()
        self._session_id = known or SessionId(str(uuid.uuid4()))
        self.session_file.save(self._session_id)
        strays = self.tree.end_strays(known) if known else 0
        if strays:
            self.log.warning("runner.strays", f"ended {strays} processes that an earlier session left behind")
        self._deliveries.restore()
        try:
            async with asyncio.TaskGroup() as tasks:  # a bug in looking ends the runner instead of blinding it
                looker = tasks.create_task(self._look_again_and_again())
                while not self._stop.is_set():
                    await self._live_once()
                looker.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._end_session()

    async def _live_once(self) -> None:
        """One session process, from its start to its end."""
        self._exited.clear()
        resume = self.harness.has_conversation(self._session_id)
        if not resume:
            self.harness.make_way(self._session_id)
        self._deliveries.begin()
        self._started, self._ready, self._detail = self.clock(), False, ""
        self._terminal = self.terminals.spawn(
            self.harness.command(self._session_id, resume=resume),
            cwd=self.harness.folder,
            env=self.harness.environment(self._session_id),
            on_output=self.screen.write,
            on_exit=self._on_exit,
        )
        self.log.info("session.started", session_id=self._session_id, pid=self._terminal.pid, resume=resume)
        self._look_soon()
        await self._first(self._exited, self._stop)
        if self._stop.is_set():
            return
        await self._after_death()

    async def _after_death(self) -> None:
        lived = self.clock() - self._started
        self._deaths = 1 if self._ready and lived >= _HEALTHY_AFTER_S else self._deaths + 1
        was_ready = self._ready
        self._deliveries.feed(s.Died())
        await asyncio.to_thread(self.tree.end_children, grace_s=1.0)
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None
        if not was_ready and self._deaths >= _DEATHS_BEFORE_READY:
            raise FleetError(
                f"keep the session of {self.spec.name!r} running",
                f"it ended {self._deaths} times before it was ready ({self._detail})",
                hint=f"see `fleet logs {self.spec.name}`; its last words: {self.screen.tail()[-400:]}",
            )
        delay = _BACK_OFF_S[min(self._deaths, len(_BACK_OFF_S)) - 1]
        self.log.warning("session.died", self._detail, deaths=self._deaths, again_in_s=delay)
        try:
            async with asyncio.timeout(delay):
                await self._stop.wait()
        except TimeoutError:
            pass

    def _on_exit(self, code: int) -> None:
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        self._detail = how if self._ready or not self._detail else f"{how}; {self._detail}"
        self._exited.set()

    async def _end_session(self) -> None:
        if self._terminal is not None:
            self._terminal.terminate()
            try:
                async with asyncio.timeout(_GRACE_S):
                    await self._exited.wait()
            except TimeoutError:
                self._terminal.kill()
        await asyncio.to_thread(self.tree.end_children, grace_s=1.0)
        if self._terminal is not None:
            self._terminal.close()
        self._deliveries.save()
        self.log.info("session.ended")

    # ---- looking

    async def _look_again_and_again(self) -> None:
        while True:
            self._look()
            wait = _LOOK_IDLE_S if self._deliveries.state.phase == "idle" else _LOOK_BUSY_S
            if not self._ready:
                wait = _LOOK_STARTING_S
            due = s.next_tick(self._deliveries.state, now=self.clock())
            self._looked.clear()
            try:
                async with asyncio.timeout(wait if due is None else min(wait, due + 0.01)):
                    await self._looked.wait()
            except TimeoutError:
                pass

    def _look_soon(self) -> None:
        self._looked.set()

    def _look(self) -> None:
        self._deliveries.read()
        self._deliveries.save()
        if self._terminal is None or self._exited.is_set():
            return
        sighting = self.harness.look(self._session_id, self._terminal.pid)
        if sighting is not None and sighting.at >= self._started - 1.0:
            self._observed_at = self.clock()
            if not self._ready and self._deliveries.state.linked:
                self._ready, self._detail = True, ""
                self.log.info("session.ready", took_s=round(self.clock() - self._started, 3))
            if self._ready:
                self._detail = sighting.detail
                self._deliveries.feed(s.Noticed(sighting.status, sighting.at))
        waited = self.clock() - self._started
        if not self._ready and waited > _SLOW_AFTER_S:
            self._detail = f"not ready for {waited:.0f} s; its screen says: {self.screen.tail()[-300:]}"
            if waited > _READY_WITHIN_S:
                self._terminal.kill()
        self.tree.reap_orphans()
        self._deliveries.feed(s.Ticked())
        self._deliveries.tidy()

    @staticmethod
    async def _first(*events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

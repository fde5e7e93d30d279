"""The runner: keeps one agent's session running, and looks at it. What becomes of entries is `deliveries.py`'s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from relayfleet import __version__
from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.agent import AgentSpec
from relayfleet.model.fault import Reason, hint_for
from relayfleet.model.names import EntryId
from relayfleet.model.notice import Notice
from relayfleet.model.turn import ids_in_frames
from relayfleet.ports.approval import RememberedRules, Rulings
from relayfleet.ports.authorship import Writings
from relayfleet.ports.delivery import Inbox, Receipts, Upkeep
from relayfleet.ports.log import Log
from relayfleet.ports.notifier import Notifier
from relayfleet.ports.session import COLUMNS, ROWS, Harness, ProcessTree, SessionFile, Terminal, Terminals, Wiring
from relayfleet.runner import lives
from relayfleet.runner import session as s
from relayfleet.runner.approval_requests import ApprovalRequests
from relayfleet.runner.approvals import Approvals
from relayfleet.runner.deliveries import Bodies, Deliveries, LastWords
from relayfleet.runner.evidence import Evidence, judge
from relayfleet.runner.history import History, Telling
from relayfleet.runner.hook_events import HookEvents
from relayfleet.runner.mcp import PermissionRelay
from relayfleet.runner.refusals import Refusal, refused, told, trouble_of
from relayfleet.runner.shim_link import ShimLink
from relayfleet.runner.viewers import Viewers
from relayfleet.wire.control import refusal

if TYPE_CHECKING:
    from relayfleet.runner.stream import Stream
    from relayfleet.wire.stream_json import Said

# How often the session's registry is read: often while something may change, seldom while it idles.
_LOOK_STARTING_S, _LOOK_BUSY_S = 0.1, 0.25
_READY_WITHIN_S, _SLOW_AFTER_S = 60.0, 10.0
_GRACE_S = 5.0
_ROOM_AGAIN_S, _LOGIN_AGAIN_S, _STALE_S = 5.0, 10.0, 1.0

T = TypeVar("T")


class Screen(Protocol):
    """The session's output: kept in its log, the end of it at hand."""

    def write(self, data: bytes) -> None: ...

    def tail(self) -> str:
        """The last lines, without terminal controls."""
        ...


@dataclass(kw_only=True)
class Runner:
    """`run` returns when the runner was told to stop; it raises FleetError when the session cannot be brought up.

    `idle_look_s` is how often an idle session is looked at: seldom where every change of its registry is told of.
    """

    spec: AgentSpec
    inbox: Inbox
    receipts: Receipts
    upkeep: Upkeep
    harness: Harness
    wiring: Wiring
    terminals: Terminals
    tree: ProcessTree
    session_file: SessionFile
    bodies: Bodies
    words: LastWords
    screen: Screen
    writings: Writings
    rulings: Rulings
    remembered: RememberedRules
    notifier: Notifier
    log: Log
    clock: Callable[[], float]
    idle_look_s: float = 1.0
    _terminal: Terminal | None = None
    _ready: bool = False
    _detail: str = ""
    _deaths: int = 0
    _refused_resumes: int = 0
    _reason: Reason | None = None
    _started: float = 0.0
    _observed_at: float = 0.0
    _code: int = 0
    _resumed: bool = False
    _words: str = ""
    _silent: bool = False
    _wanted: bool = False
    _refusal: Refusal | None = None
    _given_up: FleetError | None = None
    _stream: Stream | None = None

    def __post_init__(self) -> None:
        self._deliveries = Deliveries(
            spec=self.spec,
            inbox=self.inbox,
            receipts=self.receipts,
            upkeep=self.upkeep,
            bodies=self.bodies,
            words=self.words,
            log=self.log,
            clock=self.clock,
            on_change=self._look_soon,
        )
        self._approvals = Approvals(
            agent=self.spec.name,
            permissions=self.spec.permissions,
            rulings=self.rulings,
            remembered=self.remembered,
            notifier=self.notifier,
            log=self.log,
            clock=self.clock,
            press=self._press,
        )
        self._hooks = HookEvents(
            self._deliveries, self._approvals, writings=self.writings, log=self.log, clock=self.clock
        )
        asked = ApprovalRequests(self._approvals, is_agents=self.tree.is_agents)
        self.viewers = Viewers(
            rows=ROWS,
            columns=COLUMNS,
            hold=lambda by, up: self._deliveries.feed(s.Held(by, up)),
            log=self.log,
            clock=self.clock,
            typed_into=self.spec.session.mode == "interactive",
        )
        self._by_operation: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "status": self._on_status,
            "stop": self._on_stop,
            "interrupt": self._on_interrupt,
            "screen": self._on_screen,
            "fail": self._on_fail,
            "heed": self._on_heed,
            "approvals": asked.on_list,
            "decide": asked.on_decide,
        }
        self._stop = asyncio.Event()
        self._exited = asyncio.Event()
        self._looked = asyncio.Event()
        self._login_refused = asyncio.Event()
        self._evidence = Evidence()
        self._history = History(
            agent=self.spec.name,
            file=self.session_file,
            harness=self.harness,
            inbox=self.inbox,
            log=self.log,
            clock=self.clock,
        )

    # ---- what reaches the runner from outside

    def join(self, link: ShimLink) -> None:
        """The line to the shim, made by whoever opens the sockets."""
        self._deliveries.link = link
        self._deliveries.notify = link.notify if self.spec.claude.channels else None
        self._approvals.relay = link.permit

    def join_stream(self, speak: Callable[[bytes], None]) -> Callable[[Said], None]:
        """The way into a headless session; gives what its words are to be told to."""
        from relayfleet.runner.stream import Stream  # a runner with a terminal can do without

        self._stream = Stream(
            self._deliveries,
            self._approvals,
            speak=speak,
            on_refused=self.on_refused,
            on_accepted=self.on_accepted,
            log=self.log,
        )
        self._deliveries.link = Telling(self._stream, self._history)
        return self._hear

    def _hear(self, said: Said) -> None:
        assert self._stream is not None
        self._evidence.hook = self.clock()  # it stands where hooks would
        self._stream.take(said)

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
        """Something came into the inbox, or the session said something of itself."""
        self._deliveries.read()
        self._look_soon()

    def on_permission(self, relay: PermissionRelay) -> None:
        self._approvals.relayed(relay.request_id, relay.tool, relay.description, relay.preview)

    def _press(self, key: bytes) -> str:
        """Types into the session's dialog; why it could not be done, or ""."""
        if self._terminal is None or self._deliveries.state.phase != "waiting":
            return "the session shows no dialog"
        if self.viewers.held:
            return self.viewers.held
        self._terminal.write(key)
        return ""

    async def on_hook(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers one hook of the session."""
        event = payload.get("hook_event_name")
        self._evidence.hook = self.clock()
        if event == "StopFailure":
            words = str(payload.get("last_assistant_message") or payload.get("error_details") or payload.get("error"))
            self.on_refused(str(payload.get("error")), words)  # first: nothing is to be offered at the end of this turn
        elif event == "Stop":
            self.on_accepted()
        if event == "UserPromptSubmit" and not ids_in_frames(str(payload.get("prompt", ""))):
            self.viewers.drop_draft()  # a person sent it
        answer = await self._hooks.answer(payload)
        return self._with_unsaid(answer) if event == "UserPromptSubmit" and not answer else answer

    def _with_unsaid(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the session is still to be told goes with its prompt."""
        lines = self._history.unsaid()
        self._history.heard()
        if not lines:
            return answer
        return {"hookSpecificOutput": {"hookEventName": "UserPromptSubmit", "additionalContext": lines}}

    def on_refused(self, kind: str, words: str) -> None:
        """The model refused a turn: what that means for the next."""
        trouble = trouble_of(kind)
        if trouble is None:
            return
        self._refusal = refused(self._refusal, trouble, words[:300], now=self.clock())
        self.log.warning("model.refused", self._refusal.words, kind=kind, reason=trouble, count=self._refusal.count)
        self._hold()
        if trouble == "login_expired":
            self._login_refused.set()

    def on_accepted(self) -> None:
        """A turn came to its end: login and endpoint are well."""
        self._history.note_turn()
        if self._refusal is not None:
            self.log.info("model.answers", after=self._refusal.count)
        self._refusal = None
        self._login_refused.clear()
        self._hold()

    def _hold(self) -> None:
        """Nothing is offered while the model would refuse it; from time to time an entry is tried."""
        refusal = self._refusal
        up = refusal is not None and self.clock() < refusal.until
        for by in ("login_expired", "endpoint_down"):
            self._deliveries.feed(s.Held(by, up and refusal is not None and refusal.trouble == by))

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
        if self.clock() - self._observed_at >= _STALE_S:
            self._look()  # while it idles, it is looked at seldom
        self._deliveries.read()
        return {"ok": True, **self.status()}

    def _on_stop(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self.stop()
        return {"ok": True}

    def _on_interrupt(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._terminal is None or self._deliveries.state.phase not in ("busy", "waiting"):
            return refusal("cannot interrupt: no turn is under way")
        self._terminal.interrupt()
        return {"ok": True}

    def _on_screen(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.viewers.picture()

    def _on_heed(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            self._deliveries.heed()
        except StorageFailed as error:
            return refusal(str(error))
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
            state = "failed" if self._ready and self._deaths >= lives.DEATHS_BEFORE_READY else "starting"
        elif not self._ready:
            state = "starting"
        asks = self._approvals.summary() if state in ("busy", "waiting") else ""
        if asks:
            state = "waiting"
        elif self._silent and state == "busy":
            state = "unresponsive"
        refusal = self._refusal
        reason = refusal.trouble if refusal is not None else self._reason
        stuck = self._stream.detail if self._stream is not None else ""
        if refusal is not None and state != "busy":
            stuck = told(refusal)
        return {
            "state": state,
            "detail": self._deliveries.trouble or asks or self.viewers.held or stuck or self._detail,
            "reason": reason,
            "hint": hint_for(reason, self.spec.name) if reason is not None else "",
            "evidence": self._evidence.ages(self.clock()),
            "session_id": self._history.session_id,
            "session_pid": self._terminal.pid if self._terminal else None,
            "observed_age_s": round(self.clock() - self._observed_at, 3) if self._observed_at else None,
            "inbox": self._deliveries.counts(),
            "version": __version__,
        }

    # ---- the life of the session

    async def run(self) -> None:
        self.tree.adopt_orphans()
        if await self._with_room(self._history.take_up):
            strays = self.tree.end_strays(self._history.session_id)
            if strays:
                self.log.warning("runner.strays", f"ended {strays} processes that an earlier session left behind")
        self._deliveries.restore()
        try:
            async with asyncio.TaskGroup() as tasks:  # a bug in looking ends the runner instead of blinding it
                helpers = (
                    tasks.create_task(self._look_again_and_again()),
                    tasks.create_task(self._renew_login()),
                )
                while not self._stop.is_set():
                    await self._live_once()
                for helper in helpers:
                    helper.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            await self._end_session()

    async def _live_once(self) -> None:
        """One session process, from its start to its end."""
        self._exited.clear()
        await self._with_room(lambda: self.harness.prepare(self.wiring), takes_long=True)
        resume = await self._with_room(self._history.begin)
        if self._stop.is_set():
            return
        session_id = self._history.session_id
        self._refuse_company()
        self.harness.follow(session_id)
        self._deliveries.begin()
        self._started, self._ready, self._detail = self.clock(), False, ""
        self._resumed, self._silent, self._words = resume, False, ""
        self._evidence = Evidence()
        self._terminal = self.terminals.spawn(
            self.harness.command(session_id, resume=resume),
            cwd=self.harness.folder,
            env=self.harness.environment(session_id),
            on_output=self._on_output,
            on_exit=self._on_exit,
        )
        self.viewers.begin(self._terminal)
        self.log.info("session.started", session_id=session_id, pid=self._terminal.pid, resume=resume)
        self._look_soon()
        await self._first(self._exited, self._stop)
        if self._stop.is_set():
            return
        await self._after_death()

    async def _after_death(self) -> None:
        verdict = self._judge_death()
        self._deliveries.feed(s.Died())
        self.viewers.end()
        self._hold()
        if self._stream is not None:
            self._stream.over()
        self._approvals.session_over()
        await asyncio.to_thread(self.tree.end_children, grace_s=1.0)
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None
        if self._given_up is not None:
            raise self._given_up
        if verdict.act == "give_up":
            when = "within a minute of its start each time" if self._ready else "before it was ready"
            raise FleetError(
                f"keep the session of {self.spec.name!r} running",
                f"it ended {self._deaths} times {when} ({self._detail})",
                hint=f"see `fleet logs {self.spec.name}`; its last words: {self.screen.tail()[-400:]}",
                fault=verdict.reason,
            )
        if verdict.act == "anew":
            await self._with_room(lambda: self._history.lose("Claude Code refused to resume it"))
        elif verdict.act == "under_another_id":
            await self._with_room(lambda: self._history.leave("Claude Code refused the id"))
        self._reason = verdict.reason if verdict.deaths else None
        again = {"deaths": self._deaths, "again_in_s": verdict.delay_s, "reason": verdict.reason}
        self.log.warning("session.died", self._detail, **again)
        self._detail = f"{self._detail}; it is started again"
        await self._sleep(verdict.delay_s)

    def _judge_death(self) -> lives.Verdict:
        verdict = lives.after(
            lives.Death(
                code=self._code,
                ready=self._ready,
                in_turn=self._deliveries.state.phase in ("busy", "waiting"),
                resumed=self._resumed,
                lived_s=self.clock() - self._started,
                named=None if self._ready else self.harness.why_ended(self._words),
                wanted=self._wanted,
                before=self._deaths,
                refused=self._refused_resumes,
            )
        )
        self._deaths, self._wanted = verdict.deaths, False
        self._refused_resumes = self._refused_resumes + 1 if verdict.act in ("anew", "under_another_id") else 0
        return verdict

    def _refuse_company(self) -> None:
        """Nothing keeps two processes of Claude Code from writing one transcript. Raises FleetError."""
        pid = self.harness.held_elsewhere(self._history.session_id)
        if pid is not None:
            raise FleetError(
                f"keep the session of {self.spec.name!r} running",
                f"process {pid} has the same conversation open, and is none of this agent's",
                hint=f"end it (process {pid}), or run `fleet restart --fresh {self.spec.name}`",
                fault="session_held",
            )

    async def _with_room(self, act: Callable[[], T], *, takes_long: bool = False) -> T:
        """What `act` gives, in a thread when it `takes_long`; on a full disk it is tried again until there is room.
        Raises what else it raises, and StorageFailed when the runner is told to stop."""
        while True:
            try:
                done = await asyncio.to_thread(act) if takes_long else act()
            except StorageFailed as error:
                if not lives.is_full(error.reason) or self._stop.is_set():
                    raise
                if self._reason != "disk_full":
                    self.log.error("disk.full", str(error), hint=error.hint)
                self._reason, self._detail = "disk_full", str(error)
            else:
                if self._reason == "disk_full":
                    self._reason, self._detail = None, ""
                return done
            await self._sleep(_ROOM_AGAIN_S)

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until the runner is told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _renew_login(self) -> None:
        """While the login is refused: a session that would get another one is started anew, with its history."""
        while True:
            await self._login_refused.wait()
            await asyncio.sleep(_LOGIN_AGAIN_S)
            if not self._login_refused.is_set() or self._terminal is None or not self._ready:
                continue
            if await asyncio.to_thread(self.harness.credentials_changed):
                self.log.info("session.renewed", "its credentials changed: it is started anew with them")
                self._refusal, self._wanted = None, True
                self._login_refused.clear()
                self._terminal.terminate()  # until it is gone, nothing is offered to it

    def _on_output(self, data: bytes) -> None:
        self._evidence.output = self.clock()
        if not self._ready:
            self._words = (self._words + data.decode("utf-8", "replace"))[-4000:]
        self.screen.write(data)
        self.viewers.output(data)

    def _on_exit(self, code: int) -> None:
        self._code, how = code, lives.how(code)
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
        if self._stream is not None:
            self._stream.over()
        self._approvals.session_over()
        self._deliveries.save()
        self.log.info("session.ended")

    # ---- looking

    async def _look_again_and_again(self) -> None:
        while True:
            self._look()
            wait = self.idle_look_s if self._deliveries.state.phase == "idle" else _LOOK_BUSY_S
            if self._deliveries.trouble or self._refusal is not None:
                wait = min(wait, 1.0)
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
        sighting = self.harness.look(self._history.session_id, self._terminal.pid)
        if sighting is not None and sighting.at >= self._started - 1.0:
            self._observed_at = self.clock()
            self._evidence.registry = sighting.at
            if not self._ready and self._deliveries.state.linked:
                self._ready, self._detail, self._reason, self._words = True, "", None, ""
                self.log.info("session.ready", took_s=round(self.clock() - self._started, 3))
            if self._ready:
                self._detail = sighting.detail
                self._approvals.noticed(sighting)
                self._deliveries.feed(s.Noticed(sighting.status, sighting.at))
                self._look_closely()
        waited = self.clock() - self._started
        if not self._ready and waited > _SLOW_AFTER_S:
            self._detail = f"not ready for {waited:.0f} s; its screen says: {self.screen.tail()[-300:]}"
            if waited > _READY_WITHIN_S:
                self._terminal.kill()
        self.tree.reap_orphans()
        if self._refusal is not None:
            self._hold()
        self._deliveries.feed(s.Ticked())
        self._deliveries.tidy()

    def _look_closely(self) -> None:
        """Whether there is company, and what a session that claims to work is at."""
        try:
            self._refuse_company()
        except FleetError as error:
            if self._given_up is None and self._terminal is not None:
                self.log.error("session.held_elsewhere", str(error), hint=error.hint)
                self._given_up = error
                self._terminal.terminate()
        silent = False
        state = self._deliveries.state
        if state.phase == "busy":
            now, progress = self.clock(), self.harness.progress(self._history.session_id)
            if progress is not None:
                self._evidence.transcript = progress.at
            silent, detail = judge(
                self._evidence,
                progress,
                since=state.since,
                now=now,
                unresponsive_s=self.spec.session.unresponsive_s,
                draws=self.spec.session.mode == "interactive",
            )
            self._detail = detail or self._detail
        if silent != self._silent:
            self._silent = silent
            if silent:
                self.log.warning("session.unresponsive", self._detail)
                self._notify_unresponsive()
            else:
                self.log.info("session.responds")

    def _notify_unresponsive(self) -> None:
        self.notifier.notify(
            Notice(event="agent_unresponsive", ts=self.clock(), agent=self.spec.name, detail=self._detail)
        )

    @staticmethod
    async def _first(*events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

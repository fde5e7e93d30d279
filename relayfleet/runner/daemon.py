"""The runner: keeps one agent's session running, offers it the entries of the inbox, records what was observed.

It decides nothing about entries itself: everything that happens goes through `session.step`, and what that says is
done here, receipts first.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.agent import AgentSpec
from relayfleet.model.names import EntryId, SessionId
from relayfleet.model.receipt import ENTRY_STATES, Receipt
from relayfleet.model.turn import full_text, id_in_frame, length_of, render
from relayfleet.model.writing import writings_in
from relayfleet.ports.authorship import Writings
from relayfleet.ports.delivery import Inbox, Receipts, Upkeep
from relayfleet.ports.log import Log
from relayfleet.ports.session import Harness, ProcessTree, SessionFile, Terminal, Terminals
from relayfleet.runner import session as s
from relayfleet.runner.entries import Entries
from relayfleet.runner.shim_link import ShimLink
from relayfleet.wire.control import refusal

# How often the session's registry is read: often while something may change, seldom while it idles.
_LOOK_STARTING_S, _LOOK_BUSY_S, _LOOK_IDLE_S = 0.1, 0.25, 1.0
_READY_WITHIN_S, _SLOW_AFTER_S = 60.0, 10.0
_GRACE_S = 5.0
_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
_HEALTHY_AFTER_S = 60.0
_DEATHS_BEFORE_READY = 3
_UPKEEP_EVERY_S = 30.0


class Bodies(Protocol):
    """Where the full text of an entry goes when it is too long for a turn."""

    def keep(self, entry_id: EntryId, text: str) -> str:
        """The path that the session can read it at."""
        ...


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
    _entries: Entries = field(default_factory=Entries)
    _terminal: Terminal | None = None
    _ready: bool = False
    _detail: str = ""
    _deaths: int = 0
    _started: float = 0.0
    _observed_at: float = 0.0

    def __post_init__(self) -> None:
        self._state = s.State(since=self.clock(), policy=self.spec.delivery)
        self._stop = asyncio.Event()
        self._exited = asyncio.Event()
        self._looked = asyncio.Event()
        self._link: ShimLink | None = None
        self._session_id = SessionId("")
        self._way = ""
        self._unsaved: list[Receipt] = []
        self._upkeep_at = 0.0

    # ---- what reaches the runner from outside

    def join(self, link: ShimLink) -> None:
        """The line to the shim, made by whoever opens the sockets."""
        self._link = link

    def on_link(self, up: bool) -> None:
        self._feed(s.Linked(up))
        if not up and self._ready and self._terminal is not None and not self._stop.is_set():
            # Claude Code starts a dead MCP server no more, so nothing would ever reach this session again.
            self.log.warning("session.cut_off", "its shim is gone: the session is started anew")
            self._terminal.terminate()
        self._look_soon()

    def on_offered(self, entry_id: str, error: str) -> None:
        if error:
            self.log.warning("offer.lost", error, entry=entry_id)
            self._feed(s.OfferLost(EntryId(entry_id), error))

    def on_wake(self) -> None:
        self._read_inbox()

    def on_hook(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers one hook of the session; blocks a prompt that is a late copy."""
        event, prompt_id = payload.get("hook_event_name"), str(payload.get("prompt_id", ""))
        if event == "UserPromptSubmit":
            done = self._feed(s.Prompted(prompt_id, id_in_frame(str(payload.get("prompt", "")))))
            if any(isinstance(effect, s.Refuse) for effect in done):
                return {"decision": "block", "reason": "relayfleet: this entry had its turn already"}
        elif event == "Stop":
            self._feed(s.Stopped(prompt_id))
        elif event == "StopFailure":
            self._feed(s.Stopped(prompt_id, error=f"the model refused: {payload.get('error', 'unknown error')}"[:500]))
        elif event == "PostToolUse":
            self._note_writings(payload)
        return {}

    def _note_writings(self, payload: Mapping[str, Any]) -> None:
        """Keeps what a tool call of the session wrote on GitHub, for the router."""
        asked, answered = payload.get("tool_input"), payload.get("tool_response")
        command = asked.get("command") if isinstance(asked, Mapping) else None
        if not isinstance(command, str):
            return
        printed = (answered.get("stdout"), answered.get("stderr")) if isinstance(answered, Mapping) else (answered,)
        found = writings_in(command, "\n".join(text for text in printed if isinstance(text, str)), at=self.clock())
        try:
            if found:
                self.writings.append(found)
        except StorageFailed as error:
            self.log.warning("writings.lost", str(error), hint=error.hint)

    def stop(self) -> None:
        self._stop.set()

    async def on_request(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers the CLI and the plugins."""
        operation = request.get("op")
        if operation == "status":
            self._read_inbox()
            return {"ok": True, **self.status()}
        if operation == "stop":
            self.stop()
            return {"ok": True}
        if operation == "interrupt":
            if self._terminal is None or self._state.phase not in ("busy", "waiting"):
                return refusal("cannot interrupt: no turn is under way")
            self._terminal.write(b"\x1b")
            return {"ok": True}
        if operation == "fail":
            done = self._feed(s.Failed(EntryId(str(request.get("id"))), str(request.get("detail", ""))))
            if not done:
                return refusal(f"cannot mark entry {request.get('id')!r} failed: it is not in this inbox, or has ended")
            return {"ok": True}
        return refusal(f"cannot do {operation!r}: a runner knows status, stop, interrupt and fail")

    def status(self) -> dict[str, Any]:
        """What was observed of the session, for `fleet status`."""
        state: str = self._state.phase
        if state == "down":
            # One that never was ready is given up for good: then the lock is free, and the reason is on disk.
            state = "failed" if self._ready and self._deaths >= _DEATHS_BEFORE_READY else "starting"
        elif not self._ready:
            state = "starting"
        return {
            "state": state,
            "detail": self._detail,
            "session_id": self._session_id,
            "session_pid": self._terminal.pid if self._terminal else None,
            "observed_age_s": round(self.clock() - self._observed_at, 3) if self._observed_at else None,
            "inbox": {name: self._entries.counts[name] for name in ENTRY_STATES},
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
        entries = itertools.chain.from_iterable(iter(self.inbox.read_new, []))
        pending = self._entries.restore(entries, self.receipts.read_all())
        self._feed(s.Arrived(pending))
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
        self._state = replace(self._state, phase="starting", since=self.clock())
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
        self._feed(s.Died())
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
        self._save_receipts()
        self.log.info("session.ended")

    # ---- looking

    async def _look_again_and_again(self) -> None:
        while True:
            self._look()
            wait = _LOOK_IDLE_S if self._state.phase == "idle" else _LOOK_BUSY_S
            if not self._ready:
                wait = _LOOK_STARTING_S
            due = s.next_tick(self._state, now=self.clock())
            self._looked.clear()
            try:
                async with asyncio.timeout(wait if due is None else min(wait, due + 0.01)):
                    await self._looked.wait()
            except TimeoutError:
                pass

    def _look_soon(self) -> None:
        self._looked.set()

    def _look(self) -> None:
        self._read_inbox()
        self._save_receipts()
        if self._terminal is None or self._exited.is_set():
            return
        sighting = self.harness.look(self._session_id, self._terminal.pid)
        if sighting is not None and sighting.at >= self._started - 1.0:
            self._observed_at = self.clock()
            if not self._ready and self._state.linked:
                self._ready, self._detail = True, ""
                self.log.info("session.ready", took_s=round(self.clock() - self._started, 3))
            if self._ready:
                self._detail = sighting.detail
                self._feed(s.Noticed(sighting.status, sighting.at))
        waited = self.clock() - self._started
        if not self._ready and waited > _SLOW_AFTER_S:
            self._detail = f"not ready for {waited:.0f} s; its screen says: {self.screen.tail()[-300:]}"
            if waited > _READY_WITHIN_S:
                self._terminal.kill()
        self.tree.reap_orphans()
        self._feed(s.Ticked())
        self._keep_record_small()

    def _read_inbox(self) -> None:
        try:
            while read := self.inbox.read_new():
                if new := self._entries.add(read):
                    self._feed(s.Arrived(new))
        except StorageFailed as error:
            if self._detail != str(error):
                self.log.error("inbox.unreadable", str(error), hint=error.hint)
            self._detail = str(error)

    def _keep_record_small(self) -> None:
        """From time to time, and not between an offer and its receipt: it holds everything else up."""
        now, offer = self.clock(), self._state.offer
        if now < self._upkeep_at or self._unsaved or (offer is not None and offer.prompt_id is None):
            return
        self._upkeep_at = now + _UPKEEP_EVERY_S
        try:
            archived = self.upkeep.step(self._entries.states)
        except StorageFailed as error:
            self.log.warning("inbox.upkeep_failed", str(error), hint=error.hint)
            return
        self._entries.forget(archived)
        if archived:
            self.log.info("inbox.archived", f"{len(archived)} entries")

    # ---- doing what was decided

    def _feed(self, given: s.Input) -> list[s.Effect]:
        """Gives what was done because of it, but for the offer that may follow."""
        done = self._take(given)
        if self._take(s.Next()) or done:
            self._look_soon()
        return done

    def _take(self, given: s.Input) -> list[s.Effect]:
        now = self.clock()
        state, effects = s.step(self._state, given, now=now)
        for effect in effects:
            if isinstance(effect, s.Record) and not self._record(effect, now):
                return []  # nothing is offered that is not on record: this step is taken again at the next look
            if isinstance(effect, s.Send):
                self._send(effect)
        self._state = state
        return effects

    def _record(self, effect: s.Record, now: float) -> bool:
        """False when an offer could not be recorded. What was observed is kept in memory until the disk takes it."""
        if effect.state == "offered":
            by_channel = self.spec.claude.channels and effect.attempt == 1
            self._way = "channel" if by_channel else "socket"
        via = "tool" if effect.by_tool else self._way
        receipt = Receipt(
            id=effect.entry, state=effect.state, ts=now, via=via, attempt=effect.attempt, detail=effect.detail
        )
        self._unsaved.append(receipt)
        if not self._save_receipts() and effect.state == "offered":
            self._unsaved.remove(receipt)
            return False
        self._entries.move(effect.entry, effect.state)
        self.log.info(f"entry.{effect.state}", effect.detail, entry=effect.entry, attempt=effect.attempt, via=via)
        return True

    def _save_receipts(self) -> bool:
        while self._unsaved:
            try:
                self.receipts.append(self._unsaved[0])
            except StorageFailed as error:
                self._detail = str(error)
                return False
            del self._unsaved[0]
        return True

    def _send(self, effect: s.Send) -> None:
        entry = self._entries.get(effect.entry)
        limit = self.spec.delivery.max_turn_chars
        try:
            pointer = self.bodies.keep(entry.id, full_text(entry)) if length_of(entry) > limit else ""
        except StorageFailed as error:
            # Known as lost once this step is taken; it is offered again when its time comes.
            asyncio.get_running_loop().call_soon(self.on_offered, entry.id, str(error))
            return
        text = render(entry, limit=limit, pointer=pointer, attempt=effect.attempt, repeat=effect.repeat)
        assert self._link is not None
        if self._way == "channel":
            self._link.notify(text, {"id": entry.id, "origin": entry.source})
        else:
            self._link.offer(entry.id, text, str(uuid.uuid4()))

    @staticmethod
    async def _first(*events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

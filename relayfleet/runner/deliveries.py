"""The entries of one agent on their way into its session: read from the inbox, offered, and what was observed of them.

It decides nothing itself: everything that happens goes through `session.step`, and what that says is done here,
receipts first.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from relayfleet.errors import StorageFailed
from relayfleet.model.agent import AgentSpec
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import DROPPABLE, ENDS, ENTRY_STATES, Receipt, states_of
from relayfleet.model.turn import Part, full_text, length_of, render
from relayfleet.ports.delivery import Inbox, Receipts, Upkeep
from relayfleet.ports.log import Log
from relayfleet.runner import session as s
from relayfleet.runner.entries import Entries

_UPKEEP_EVERY_S = 30.0
WORDS_MAX = 4_000


class Bodies(Protocol):
    """Where the full text of an entry goes when it is too long for a turn."""

    def keep(self, entry_id: EntryId, text: str) -> str:
        """The path that the session can read it at."""
        ...


class LastWords(Protocol):
    """What the session said at the end of an entry's turn."""

    def keep(self, entry_id: EntryId, text: str, *, now: float) -> None:
        """Durable when it returns. Raises StorageFailed."""
        ...


class Way(Protocol):
    """The way into the session. `name` is what receipts say of it."""

    name: str

    def offer(self, entry_id: str, content: str, uuid: str, *, steer: bool = False) -> None:
        """`steer`: into the turn that is under way, if it gets that far."""
        ...


@dataclass(kw_only=True)
class Deliveries:
    """`link` is the way into the session, `notify` what sends a channel notification where the session has channels;
    `on_change` is called whenever something was decided."""

    spec: AgentSpec
    inbox: Inbox
    receipts: Receipts
    upkeep: Upkeep
    bodies: Bodies
    words: LastWords
    log: Log
    clock: Callable[[], float]
    on_change: Callable[[], None]
    link: Way | None = None
    notify: Callable[[str, Mapping[str, str]], None] | None = None
    _restored: bool = False
    _unread: str = ""
    _unwritten: str = ""
    _unsaved: list[Receipt] = field(default_factory=list)
    _upkeep_at: float = 0.0
    _way: str = ""

    def __post_init__(self) -> None:
        self.state = s.State(since=self.clock(), policy=self.spec.inbox)
        self._entries = Entries(self.spec.inbox)

    @property
    def trouble(self) -> str:
        """What the disk refuses, empty while all is well."""
        return self._unread or self._unwritten

    def counts(self) -> dict[str, int]:
        """How many entries are in which state."""
        counts = self._entries.counts
        return {name: counts[name] for name in ENTRY_STATES}

    def entry_of(self, prompt_id: str) -> Entry | None:
        """The entry whose turn this prompt is (the first of several), None when it is none's."""
        turn = self._turn_of(prompt_id)
        return self._entries.get(turn.entries[0].id) if turn is not None else None

    def _turn_of(self, prompt_id: str) -> s.Turn | None:
        return next((turn for turn in self.state.turns if prompt_id and turn.prompt_id == prompt_id), None)

    def restore(self) -> None:
        """Takes up what an earlier runner left. Raises StorageFailed. Before it, nothing is read: without its receipts,
        every entry would be a new one."""
        entries = itertools.chain.from_iterable(iter(self.inbox.read_new, []))
        self.feed(s.Arrived(self._entries.restore(entries, self.receipts.read_all(), now=self.clock())))
        self._restored = True

    def begin(self) -> None:
        """A session process is about to start."""
        self.state = replace(self.state, phase="starting", since=self.clock())

    def feed(self, given: s.Input) -> list[s.Effect]:
        """Gives what was done because of it, but for the offer that may follow."""
        done = self._take(given)
        if self._take(s.Next()) or done:
            self.on_change()
        return done

    def read(self) -> None:
        """Takes in what was added to the inbox."""
        if not self._restored:
            return
        try:
            while read := self.inbox.read_new():
                if new := self._entries.add(read, now=self.clock()):
                    self.feed(s.Arrived(new))
        except StorageFailed as error:
            if self._unread != str(error):
                self.log.error("inbox.unreadable", str(error), hint=error.hint)
            self._unread = str(error)
        else:
            self._unread = ""

    def heed(self) -> None:
        """Takes in what the operator wrote to the receipts: entries to be tried again, and such as are not wanted any
        more. Raises StorageFailed."""
        if not self._restored:
            return  # it will find them
        self.read()
        written = states_of(self.receipts.read_all())
        states = self._entries.states
        again = [i for i, state in written.items() if state == "queued" and states.get(i) in ENDS]
        dropped = [i for i, state in written.items() if state == "dropped" and states.get(i) in DROPPABLE]
        if again:
            revived = self._entries.revive(self.inbox.find(again), now=self.clock())
            self.feed(s.Retried(revived))
        if dropped:
            self.feed(s.Dropped(tuple(dropped)))
            for entry_id in dropped:
                self._entries.move(entry_id, "dropped")
        if again or dropped:
            self.log.info("inbox.heeded", f"{len(again)} to be tried again, {len(dropped)} dropped")

    def conclude(self, prompt_id: str, *, words: str = "", error: str = "", passing: bool = False) -> None:
        """The session came to the end of a turn; `words` is what it said last."""
        turn = self._turn_of(prompt_id)
        try:
            for entry in turn.entries if turn is not None and words and not error else ():
                self.words.keep(entry.id, words[:WORDS_MAX], now=self.clock())
        except StorageFailed as failed:
            self.log.warning("words.lost", str(failed), hint=failed.hint)
        self.feed(s.Stopped(prompt_id, error=error, passing=passing))

    def save(self) -> bool:
        """Writes the receipts that the disk did not take; whether all of them are there now."""
        try:
            if self._unsaved:
                self.receipts.append(*self._unsaved)
        except StorageFailed as error:
            self._unwritten = str(error)
            return False
        self._unsaved.clear()
        self._unwritten = ""
        return True

    def lose(self, entry_id: str, error: str) -> None:
        """An offer could not be written to the session."""
        self.log.warning("offer.lost", error, entry=entry_id)
        self.feed(s.OfferLost(EntryId(entry_id), error))

    def tidy(self) -> None:
        """From time to time, and not between an offer and its receipt: it holds everything else up."""
        now = self.clock()
        if now < self._upkeep_at or self._unsaved or self.state.offer is not None:
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

    def _take(self, given: s.Input) -> list[s.Effect]:
        now = self.clock()
        state, effects = s.step(self.state, given, now=now)
        send = next((effect for effect in effects if isinstance(effect, s.Send)), None)
        if send is not None:
            assert self.link is not None
            by_channel = self.notify is not None and not send.steer and all(e.attempts == 1 for e in send.entries)
            self._way = "channel" if by_channel else self.link.name
        if not self._record([effect for effect in effects if isinstance(effect, s.Record)], now):
            return []  # nothing is offered that is not on record: this step is taken again at the next look
        if send is not None:
            self._send(send)
        self.state = state
        return effects

    def _record(self, records: Sequence[s.Record], now: float) -> bool:
        """False when an offer could not be recorded. What was observed is kept in memory until the disk takes it."""
        made = [
            Receipt(
                id=record.entry,
                state=record.state,
                ts=now,
                via="tool" if record.by_tool else self._way,
                attempt=record.attempt,
                detail=record.detail,
            )
            for record in records
        ]
        before = len(self._unsaved)
        self._unsaved += made
        if not self.save() and any(receipt.state == "offered" for receipt in made):
            del self._unsaved[before:]
            return False
        for one in made:
            self._entries.move(one.id, one.state)
            self.log.info(f"entry.{one.state}", one.detail, entry=one.id, attempt=one.attempt, via=one.via)
        return True

    def _send(self, send: s.Send) -> None:
        assert self.link is not None
        limit = self.spec.inbox.max_turn_chars
        first = self._entries.get(send.entries[0].id)
        try:
            parts = [self._part(pending, limit) for pending in send.entries]
        except StorageFailed as error:
            # Known as lost once this step is taken; it is offered again when its time comes.
            asyncio.get_running_loop().call_soon(self.lose, first.id, str(error))
            return
        text = render(parts, limit=limit)
        if self._way == "channel" and self.notify is not None:
            self.notify(text, {"id": first.id, "origin": first.source})
        else:
            self.link.offer(first.id, text, str(uuid.uuid4()), steer=send.steer)

    def _part(self, pending: s.Pending, limit: int) -> Part:
        entry = self._entries.get(pending.id)
        pointer = self.bodies.keep(entry.id, full_text(entry)) if length_of(entry) > limit else ""
        return Part(entry=entry, attempt=pending.attempts, repeat=pending.repeat, pointer=pointer)

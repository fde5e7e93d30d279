"""The entries of one agent on their way into its session: read from the inbox, offered, and what was observed of them.

It decides nothing itself: everything that happens goes through `session.step`, and what that says is done here,
receipts first.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from relayfleet.errors import StorageFailed
from relayfleet.model.agent import AgentSpec
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENTRY_STATES, Receipt
from relayfleet.model.turn import full_text, length_of, render
from relayfleet.ports.delivery import Inbox, Receipts, Upkeep
from relayfleet.ports.log import Log
from relayfleet.runner import session as s
from relayfleet.runner.entries import Entries
from relayfleet.runner.shim_link import ShimLink

_UPKEEP_EVERY_S = 30.0


class Bodies(Protocol):
    """Where the full text of an entry goes when it is too long for a turn."""

    def keep(self, entry_id: EntryId, text: str) -> str:
        """The path that the session can read it at."""
        ...


@dataclass(kw_only=True)
class Deliveries:
    """`link` is the way into the session; `on_change` is called whenever something was decided."""

    spec: AgentSpec
    inbox: Inbox
    receipts: Receipts
    upkeep: Upkeep
    bodies: Bodies
    log: Log
    clock: Callable[[], float]
    on_change: Callable[[], None]
    link: ShimLink | None = None
    _unread: str = ""
    _unwritten: str = ""
    _entries: Entries = field(default_factory=Entries)
    _unsaved: list[Receipt] = field(default_factory=list)
    _upkeep_at: float = 0.0
    _way: str = ""

    def __post_init__(self) -> None:
        self.state = s.State(since=self.clock(), policy=self.spec.delivery)

    @property
    def trouble(self) -> str:
        """What the disk refuses, empty while all is well."""
        return self._unread or self._unwritten

    def counts(self) -> dict[str, int]:
        """How many entries are in which state."""
        counts = self._entries.counts
        return {name: counts[name] for name in ENTRY_STATES}

    def restore(self) -> None:
        """Takes up what an earlier runner left. Raises StorageFailed."""
        entries = itertools.chain.from_iterable(iter(self.inbox.read_new, []))
        self.feed(s.Arrived(self._entries.restore(entries, self.receipts.read_all())))

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
        try:
            while read := self.inbox.read_new():
                if new := self._entries.add(read):
                    self.feed(s.Arrived(new))
        except StorageFailed as error:
            if self._unread != str(error):
                self.log.error("inbox.unreadable", str(error), hint=error.hint)
            self._unread = str(error)
        else:
            self._unread = ""

    def save(self) -> bool:
        """Writes the receipts that the disk did not take; whether all of them are there now."""
        while self._unsaved:
            try:
                self.receipts.append(self._unsaved[0])
            except StorageFailed as error:
                self._unwritten = str(error)
                return False
            del self._unsaved[0]
            self._unwritten = ""
        return True

    def lose(self, entry_id: str, error: str) -> None:
        """An offer could not be written to the session."""
        self.log.warning("offer.lost", error, entry=entry_id)
        self.feed(s.OfferLost(EntryId(entry_id), error))

    def tidy(self) -> None:
        """From time to time, and not between an offer and its receipt: it holds everything else up."""
        now, offer = self.clock(), self.state.offer
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

    def _take(self, given: s.Input) -> list[s.Effect]:
        now = self.clock()
        state, effects = s.step(self.state, given, now=now)
        for effect in effects:
            if isinstance(effect, s.Record) and not self._record(effect, now):
                return []  # nothing is offered that is not on record: this step is taken again at the next look
            if isinstance(effect, s.Send):
                self._send(effect)
        self.state = state
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
        if not self.save() and effect.state == "offered":
            self._unsaved.remove(receipt)
            return False
        self._entries.move(effect.entry, effect.state)
        self.log.info(f"entry.{effect.state}", effect.detail, entry=effect.entry, attempt=effect.attempt, via=via)
        return True

    def _send(self, effect: s.Send) -> None:
        entry = self._entries.get(effect.entry)
        limit = self.spec.delivery.max_turn_chars
        try:
            pointer = self.bodies.keep(entry.id, full_text(entry)) if length_of(entry) > limit else ""
        except StorageFailed as error:
            # Known as lost once this step is taken; it is offered again when its time comes.
            asyncio.get_running_loop().call_soon(self.lose, entry.id, str(error))
            return
        text = render(entry, limit=limit, pointer=pointer, attempt=effect.attempt, repeat=effect.repeat)
        assert self.link is not None
        if self._way == "channel":
            self.link.notify(text, {"id": entry.id, "origin": entry.source})
        else:
            self.link.offer(entry.id, text, str(uuid.uuid4()))

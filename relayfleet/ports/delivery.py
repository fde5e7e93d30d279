"""What an entry goes through: transport, inbox, receipts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import EntryState, Receipt


class Inbox(Protocol):
    """The durable queue of one agent. An append that returned is on disk."""

    def append_all(self, entries: Sequence[Entry]) -> int:
        """Adds those whose ids are not there yet, all of them or none; how many these were. Raises FleetError for one
        with a body over MAX_BODY_BYTES, and StorageFailed; then nothing was added."""
        ...

    def read_new(self) -> list[Entry]:
        """The entries appended since the last call, in order and a portion at a time; [] when all were read. Raises
        StorageFailed."""
        ...

    def find(self, ids: Collection[EntryId]) -> Sequence[Entry]:
        """Those of these entries that were read and are not archived. Raises StorageFailed."""
        ...


class Receipts(Protocol):
    """The record of what was observed. An append that returned is on disk."""

    def append(self, *receipts: Receipt) -> None:
        """All of them, or none. Raises StorageFailed; then none was added."""
        ...

    def read_all(self) -> Iterable[Receipt]:
        """In the order they were appended. Raises StorageFailed."""
        ...


class Upkeep(Protocol):
    """Keeps inbox and receipts of one agent small: what has come to an end is archived."""

    def step(self, states: Mapping[EntryId, EntryState]) -> Collection[EntryId]:
        """Does one piece of that, if there is one to do, and gives the entries that were archived by it.

        `states` are those of every entry that was read from the inbox and is not archived. Raises StorageFailed; then
        nothing is lost, and a later step goes on.
        """
        ...


class Transport(Protocol):
    """Brings entries to the inbox of an agent, wherever that agent lives, each id once. May be called from several
    threads at once, for different agents."""

    def deliver(self, agent: str, entries: Sequence[Entry]) -> None:
        """When it returns, all of them are in the inbox, durably and in this order but for those that were there
        before. Raises FleetError; then none was added."""
        ...

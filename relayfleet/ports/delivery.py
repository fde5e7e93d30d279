"""What an entry goes through: transport, inbox, receipts."""

from __future__ import annotations

from typing import Protocol

from relayfleet.model.entry import Entry
from relayfleet.model.receipt import Receipt


class Inbox(Protocol):
    """The durable queue of one agent. An append that returned is on disk."""

    def append(self, entry: Entry) -> bool:
        """False when an entry of that id is there already. Raises StorageFailed; then nothing was written."""
        ...

    def read_new(self) -> list[Entry]:
        """The entries appended since the last call, in order."""
        ...


class Receipts(Protocol):
    """The record of what was observed. An append that returned is on disk."""

    def append(self, receipt: Receipt) -> None: ...

    def read_all(self) -> list[Receipt]: ...


class Transport(Protocol):
    """Brings an entry to the inbox of an agent, wherever that agent lives, once per entry id."""

    def deliver(self, agent: str, entry: Entry) -> bool:
        """True when it was written now, False when it was there already. Raises FleetError."""
        ...

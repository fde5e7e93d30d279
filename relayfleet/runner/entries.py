"""What the runner holds of the inbox in memory: the entries that have not come to an end, and the state of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS, EntryState, Receipt
from relayfleet.runner.session import Pending


class Entries:
    """`states` are those of every entry, `counts` how many are in each."""

    def __init__(self) -> None:
        self._live: dict[EntryId, Entry] = {}
        self.states: dict[EntryId, EntryState] = {}
        self.counts: Counter[str] = Counter()

    def restore(self, entries: Iterable[Entry], receipts: Iterable[Receipt]) -> tuple[Pending, ...]:
        """Entries and receipts as a runner finds them at its start; what of them is still to be offered. Of one that a
        receipt says was seen, the turn died with its session."""
        states: dict[EntryId, EntryState] = {}
        attempts: dict[EntryId, int] = {}
        seen: set[EntryId] = set()
        for receipt in receipts:
            if states.get(receipt.id) not in ENDS:
                states[receipt.id] = receipt.state
                attempts[receipt.id] = receipt.attempt
                if receipt.state == "seen":
                    seen.add(receipt.id)
        pending: list[Pending] = []
        for entry in entries:
            state = states.get(entry.id, "queued")
            if self._admit(entry, state) and state not in ENDS:
                tried = attempts.get(entry.id, 0)
                pending.append(
                    Pending(id=entry.id, attempts=tried, repeat=entry.id in seen, priority=_priority_of(entry))
                )
        return tuple(pending)

    def add(self, entries: Iterable[Entry]) -> tuple[Pending, ...]:
        """Entries that are new to this runner."""
        return tuple(Pending(id=e.id, priority=_priority_of(e)) for e in entries if self._admit(e, "queued"))

    def _admit(self, entry: Entry, state: EntryState) -> bool:
        if entry.id in self.states:
            return False
        self.states[entry.id] = state
        self.counts[state] += 1
        if state not in ENDS:
            self._live[entry.id] = entry
        return True

    def get(self, entry_id: EntryId) -> Entry:
        return self._live[entry_id]

    def move(self, entry_id: EntryId, state: EntryState) -> None:
        """A receipt was written: the entry is in another state now."""
        if entry_id not in self._live:
            return
        self.counts[self.states[entry_id]] -= 1
        self.counts[state] += 1
        self.states[entry_id] = state
        if state in ENDS:
            del self._live[entry_id]

    def forget(self, ended: Iterable[EntryId]) -> None:
        """They were archived."""
        for entry_id in ended:
            self.counts[self.states.pop(entry_id)] -= 1


def _priority_of(entry: Entry) -> int:
    priority = entry.metadata.get("priority", 0)
    return priority if isinstance(priority, int) else 0

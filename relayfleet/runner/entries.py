"""What the runner holds of the inbox in memory: the entries that have not come to an end, and the state of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from math import inf, isfinite

from relayfleet.model.agent import InboxPolicy
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS, OPERATOR, EntryState, Receipt, follows
from relayfleet.model.turn import Repeat, length_of
from relayfleet.runner.session import Pending


class Entries:
    """`states` are those of every entry, `counts` how many are in each."""

    def __init__(self, policy: InboxPolicy) -> None:
        self._policy = policy
        self._live: dict[EntryId, Entry] = {}
        self.states: dict[EntryId, EntryState] = {}
        self.counts: Counter[str] = Counter()

    def restore(self, entries: Iterable[Entry], receipts: Iterable[Receipt], *, now: float) -> tuple[Pending, ...]:
        """Entries and receipts as a runner finds them at its start; what of them is still to be offered. Of one that a
        receipt says was seen, the turn died with its session."""
        states: dict[EntryId, EntryState] = {}
        last: dict[EntryId, Receipt] = {}
        repeats: dict[EntryId, Repeat] = {}
        for receipt in receipts:
            if follows(states.get(receipt.id, "queued"), receipt):
                states[receipt.id] = receipt.state
                last[receipt.id] = receipt
                if receipt.state in _REPEATED_AFTER:
                    repeats[receipt.id] = _why_again(receipt)
        pending: list[Pending] = []
        for entry in entries:
            state = states.get(entry.id, "queued")
            if self._admit(entry, state) and state not in ENDS:
                found = last.get(entry.id)
                pending.append(self._pending(entry, found, repeat=repeats.get(entry.id, ""), now=now))
        return tuple(pending)

    def add(self, entries: Iterable[Entry], *, now: float) -> tuple[Pending, ...]:
        """Entries that are new to this runner."""
        return tuple(self._pending(entry, None, now=now) for entry in entries if self._admit(entry, "queued"))

    def revive(self, entries: Iterable[Entry], *, now: float) -> tuple[Pending, ...]:
        """Entries that had ended and are queued again: their attempts begin anew, and they do not expire."""
        revived = []
        for entry in entries:
            if self.states.get(entry.id) in ENDS:
                self._live[entry.id] = entry
                self.move(entry.id, "queued")
                revived.append(self._pending(entry, None, repeat="retried", now=now))
        return tuple(revived)

    def _pending(self, entry: Entry, last: Receipt | None, *, now: float, repeat: Repeat = "") -> Pending:
        return Pending(
            id=entry.id,
            attempts=last.attempt if last is not None else 0,
            repeat=repeat,
            priority=_priority_of(entry),
            size=length_of(entry),
            expires=inf if repeat else _expiry_of(entry, self._policy, now=now),
        )

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


# The receipts after which a turn of an entry may have begun.
_REPEATED_AFTER: Collection[EntryState] = ("seen", "queued")


def _why_again(receipt: Receipt) -> Repeat:
    if receipt.state == "seen":
        return "session-died"
    return "retried" if receipt.via == OPERATOR else "model-failed"


def _expiry_of(entry: Entry, policy: InboxPolicy, *, now: float) -> float:
    """When it is dead unless it was seen. An entry of the future is one of a clock that is set wrong: it counts as one
    of now, so that it does not live for ever; so does one without a time."""
    own = entry.metadata.get("ttl_s")
    is_number = isinstance(own, int | float) and not isinstance(own, bool) and isfinite(own) and own >= 0
    ttl_s = own if is_number and own is not None else policy.ttl_s
    return min(entry.ts or now, now) + ttl_s if ttl_s else inf


def _priority_of(entry: Entry) -> int:
    priority = entry.metadata.get("priority", 0)
    return priority if isinstance(priority, int) else 0

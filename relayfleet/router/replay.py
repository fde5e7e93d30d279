"""A delivery that is made once more on purpose. Pure."""

from __future__ import annotations

from dataclasses import replace

from relayfleet.model.names import EntryId
from relayfleet.ports.cursor import Owed


def replayed(owed: Owed, number: int, *, entry_id: EntryId, now: float) -> Owed:
    """The same text for the same agent under a new id, due at once. `number` says how many times the operator has had
    it delivered again, this time included."""
    key = f"{owed.key}#replay-{number}"
    metadata = {**owed.entry.metadata, "key": key, "replay_of": owed.entry.id}
    return replace(owed, key=key, entry=replace(owed.entry, id=entry_id, ts=now, metadata=metadata), not_before=0.0)

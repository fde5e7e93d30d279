"""Two entries about one item become one, when the first still waits for its time. Pure."""

from __future__ import annotations

from typing import Any

from relayfleet.model.change import in_order
from relayfleet.model.entry import Entry
from relayfleet.model.trust import TRUST_LABELS

_ADDED_UP = ("labels_added", "labels_removed", "assigned", "unassigned", "review_requested")


def join_entries(earlier: Entry, later: Entry) -> Entry:
    """The item as the later entry tells it, its text as the earlier one does when the later one withholds it; what
    happened and what was said in both. The metadata are those of `router/entry.py`, and `joined`, how many it is made
    of."""
    before, after = earlier.metadata, later.metadata
    told = earlier if "item" in after.get("withheld", ()) else later
    events = in_order(frozenset([*before.get("events", ()), *after.get("events", ())]))
    metadata: dict[str, Any] = {
        **before,
        **after,
        "event": events[0] if events else after.get("event"),
        "events": list(events),
        "trust": max((before.get("trust"), after.get("trust")), key=_rank),
        "joined": int(before.get("joined", 1)) + 1,
        **{name: told.metadata[name] for name in ("title", "labels") if name in told.metadata},
    }
    for name in _ADDED_UP:
        if name in before or name in after:
            metadata[name] = list(dict.fromkeys([*before.get(name, ()), *after.get(name, ())]))
    notes = {note["url"]: note for note in (*before.get("notes", ()), *after.get("notes", ()))}
    withheld = [
        part
        for part, held in (
            ("item", "item" in before.get("withheld", ()) and told is earlier),
            ("notes", any("notes" in one.get("withheld", ()) for one in (before, after))),
        )
        if held
    ]
    parts = {"notes": list(notes.values()), "withheld": withheld, "vouched_by": told.metadata.get("vouched_by", ())}
    for name, value in parts.items():
        metadata.pop(name, None)
        if value:
            metadata[name] = value
    return Entry(id=earlier.id, ts=earlier.ts, source=later.source, body=told.body, metadata=metadata)


def _rank(label: Any) -> int:
    return TRUST_LABELS.index(label) if label in TRUST_LABELS else len(TRUST_LABELS)

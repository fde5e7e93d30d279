"""A receipt: what was observed of an entry. The states of an entry are the fold of its receipts.

    queued --offered--> offered --seen--> seen --handled--> handled
                           |                |
                           +--dead          +--failed          (failed and dead are ends, too)

`queued` has no receipt: it is an entry of which nothing was observed yet. An `offered` after a `seen` is a repeat: the
session died in that turn, and the entry was offered again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from relayfleet.model.entry import seconds
from relayfleet.model.names import EntryId

Observed = Literal["offered", "seen", "handled", "failed", "dead"]
EntryState = Literal["queued", "offered", "seen", "handled", "failed", "dead"]
ENTRY_STATES: tuple[EntryState, ...] = get_args(EntryState)
ENDS: frozenset[str] = frozenset({"handled", "failed", "dead"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One line of receipts.jsonl: {"id", "state", "ts", "via", "attempt", "detail"}; `ts` in seconds, UTC.

    `via` is the way the offer took: `socket` (the session's inbox socket), `channel` (a channel notification), or
    `tool` (the agent said so itself).
    """

    id: EntryId
    state: Observed
    ts: float
    via: str = ""
    attempt: int = 1
    detail: str = ""


def encode_receipt(receipt: Receipt) -> bytes:
    record = {
        "id": receipt.id,
        "state": receipt.state,
        "ts": receipt.ts,
        "via": receipt.via,
        "attempt": receipt.attempt,
        "detail": receipt.detail,
    }
    return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def decode_receipt(line: bytes | str) -> Receipt | None:
    """The receipt in a line, or None when the line is not one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("state") not in get_args(Observed):
        return None
    if not isinstance(record.get("id"), str):
        return None
    return Receipt(
        id=EntryId(record["id"]),
        state=record["state"],
        ts=seconds(record.get("ts")),
        via=str(record.get("via", "")),
        attempt=attempt if isinstance(attempt := record.get("attempt"), int) else 1,
        detail=str(record.get("detail", "")),
    )


def state_of(receipts: Iterable[Receipt]) -> EntryState:
    """The state of one entry, from its receipts in the order they were written. An end is never left."""
    state: EntryState = "queued"
    for receipt in receipts:
        if state in ENDS:
            return state
        state = receipt.state
    return state


def states_of(receipts: Iterable[Receipt]) -> dict[EntryId, EntryState]:
    """The state of every entry that has a receipt."""
    states: dict[EntryId, EntryState] = {}
    for receipt in receipts:
        if states.get(receipt.id) not in ENDS:
            states[receipt.id] = receipt.state
    return states

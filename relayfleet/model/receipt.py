"""A receipt: what was observed of an entry. The states of an entry are the fold of its receipts.

    queued --offered--> offered --seen--> seen --handled--> handled
      |                    |                |
      +--dead, dropped     +--dead, dropped +--failed, dead      (handled, failed, dead and dropped are ends)

An entry without a receipt is `queued`. An `offered` after a `seen` is a repeat: the session died in that turn, and the
entry was offered again. The runner writes what it observed; the operator `queued` (try again, with fresh attempts) and
`dropped` (not wanted any more), which are the only ways out of `failed`, `dead` and `dropped`. A `queued` of the
runner's own says that the model was not available in the entry's turn. A receipt that cannot follow is passed over
(`follows`), so that whoever reads them comes to the same state, in whichever order two of them were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from relayfleet.model.entry import seconds
from relayfleet.model.names import EntryId

EntryState = Literal["queued", "offered", "seen", "handled", "failed", "dead", "dropped"]
ENTRY_STATES: tuple[EntryState, ...] = get_args(EntryState)
ENDS: frozenset[str] = frozenset({"handled", "failed", "dead", "dropped"})
RETRIABLE: frozenset[str] = frozenset({"failed", "dead", "dropped"})
DROPPABLE: frozenset[str] = frozenset({"queued", "offered", "failed", "dead"})
OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One line of receipts.jsonl: {"id", "state", "ts", "via", "attempt", "detail"}; `ts` in seconds, UTC.

    `via` is the way the offer took: `socket` (the session's inbox socket), `channel` (a channel notification), or
    `stream` (a headless session's input); `tool` when the agent said so itself, `operator` when a person did.
    """

    id: EntryId
    state: EntryState
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
    if not isinstance(record, dict) or record.get("state") not in ENTRY_STATES:
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


def follows(state: EntryState, receipt: Receipt) -> bool:
    """Whether `receipt` leads on from `state`."""
    if receipt.state == "dropped":
        return state in DROPPABLE
    if state not in ENDS:
        return True
    return receipt.state == "queued" and state in RETRIABLE


def state_of(receipts: Iterable[Receipt]) -> EntryState:
    """The state of one entry, from its receipts in the order they were written."""
    state: EntryState = "queued"
    for receipt in receipts:
        if follows(state, receipt):
            state = receipt.state
    return state


def states_of(receipts: Iterable[Receipt]) -> dict[EntryId, EntryState]:
    """The state of every entry that has a receipt."""
    states: dict[EntryId, EntryState] = {}
    for receipt in receipts:
        if follows(states.get(receipt.id, "queued"), receipt):
            states[receipt.id] = receipt.state
    return states

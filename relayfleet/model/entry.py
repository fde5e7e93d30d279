"""An entry: one line in an agent's inbox.

Format: one JSON object per line, UTF-8, newline last: {"id", "ts", "source", "body", "metadata"}. `id` is unique per
inbox and random, so that nobody outside can write a text that carries the id of an entry to come; other programs may
give 1 to 64 letters, digits, `-` and `_` of their own. `ts` is seconds since the epoch, UTC.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.model.names import EntryId

MAX_BODY_BYTES = 8 * 1024 * 1024
# The id stands in the frame of the turn and names the file of a long text.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_YEAR_10000 = 253_402_300_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    id: EntryId
    ts: float
    source: str
    body: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def new_entry_id() -> EntryId:
    """64 random bits as 16 hex digits."""
    return new_entry_ids(1)[0]


def new_entry_ids(count: int) -> list[EntryId]:
    """As `new_entry_id`, for who needs many: the system is asked once."""
    digits = os.urandom(8 * count).hex()
    return [EntryId(digits[at : at + 16]) for at in range(0, 16 * count, 16)]


def refuse_long_body(entry: Entry) -> None:
    """Raises FleetError when the body has more than MAX_BODY_BYTES bytes of UTF-8."""
    if len(entry.body) * 4 <= MAX_BODY_BYTES:  # a character has four bytes at most
        return
    size = len(entry.body.encode("utf-8", "replace"))
    if size > MAX_BODY_BYTES:
        raise FleetError(
            f"add entry {entry.id!r}",
            f"its text has {size} bytes, at most {MAX_BODY_BYTES} are taken",
            hint="put it into a file and tell the agent where it is",
        )


def encode_entry(entry: Entry) -> bytes:
    """The inbox line, newline included. Lone surrogates become `?`: they have no UTF-8 form."""
    record = {
        "id": entry.id,
        "ts": entry.ts,
        "source": entry.source,
        "body": entry.body,
        "metadata": dict(entry.metadata),
    }
    return _to_json(record).encode("utf-8", "replace") + b"\n"


def decode_entry(line: bytes | str) -> Entry | None:
    """The entry in an inbox line, or None when the line is not one (torn by a crash, or edited by hand)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("id"), str) or not _ID.match(record["id"]):
        return None
    body, metadata = record.get("body", ""), record.get("metadata")
    return Entry(
        id=EntryId(record["id"]),
        ts=seconds(record.get("ts")),
        source=str(record.get("source", "")),
        body=body if isinstance(body, str) else json.dumps(body, ensure_ascii=False),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def seconds(value: object) -> float:
    """`value` as a time that a calendar has, 0.0 when it is none."""
    return float(value) if isinstance(value, int | float) and 0 <= value < _YEAR_10000 else 0.0

"""What stands in the database's columns of JSON. What a newer version left out or added is passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from relayfleet.model.entry import Entry, encode_entry
from relayfleet.model.snapshot import Snapshot
from relayfleet.model.watch import Progress
from relayfleet.ports.cursor import Held, HeldFor
from relayfleet.store.log import encode_log_record

_encode_quickly = msgspec.json.Encoder().encode
# What msgspec refuses and JSON takes: lone surrogates, and numbers beyond 64 bits.
_REFUSED = (UnicodeEncodeError, OverflowError)
_decode_snapshot = msgspec.json.Decoder(Snapshot).decode
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def encode_record(record: Any) -> str:
    """Lone surrogates become `?`: they have no UTF-8 form."""
    try:
        return _encode_quickly(record).decode()
    except _REFUSED:
        return _to_json(msgspec.to_builtins(record)).encode("utf-8", "replace").decode()


def encode_line(entry: Entry) -> bytes:
    """As `encode_entry`, for who encodes many: it takes a library that a runner's memory has no room for."""
    record = {
        "id": entry.id,
        "ts": entry.ts,
        "source": entry.source,
        "body": entry.body,
        "metadata": dict(entry.metadata),
    }
    try:
        return _encode_quickly(record) + b"\n"
    except _REFUSED:
        return encode_entry(entry)


def encode_log_line(record: Mapping[str, object]) -> bytes:
    """As `encode_log_record`, for who writes many."""
    try:
        line = _encode_quickly(record)
    except (*_REFUSED, TypeError):
        return encode_log_record(record)
    return line if line.isascii() else encode_log_record(record)


def encode_snapshot(snapshot: Snapshot) -> str:
    """Only what is not as by default: there may be a million of them."""
    return encode_record(snapshot)


def decode_snapshot(text: str) -> Snapshot:
    return _decode_snapshot(text)


def encode_progress(progress: Progress) -> str:
    return encode_record(progress)


def decode_progress(text: str) -> Progress:
    record = json.loads(text)
    return Progress(
        mark=record["mark"],
        settled_at=record["settled_at"],
        count=record["count"],
        recent=tuple(record["recent"]),
        began=record.get("began", ""),
        etags=record["etags"],
        open_runs={int(run_id): state for run_id, state in record["open_runs"].items()},
        unshown=record.get("unshown", {}),
    )


def encode_held(held: Held) -> str:
    return encode_record({"event": held.event, "holds": held.holds})


def decode_held(held_id: int, key: str, watch: str, text: str, at: float) -> Held:
    record = json.loads(text)
    return Held(
        id=held_id,
        key=key,
        watch=watch,
        event=record["event"],
        holds=tuple(_decode_hold(one) for one in record["holds"]),
        at=at,
    )


def _decode_hold(record: Mapping[str, Any]) -> HeldFor:
    return HeldFor(
        agent=record["agent"],
        routes=tuple(record["routes"]),
        item=record["item"],
        notes=tuple(record["notes"]),
        reason=record["reason"],
    )

"""What stands in the database's columns of JSON. What a newer version left out or added is passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from operator import attrgetter
from typing import Any

from relayfleet.model.snapshot import Snapshot
from relayfleet.model.watch import Progress
from relayfleet.ports.cursor import Held, HeldFor

_NAMES = tuple(one.name for one in fields(Snapshot))
_SNAPSHOT = frozenset(_NAMES)
# What has no default never equals this.
_NONE = object()
_DEFAULTS = tuple(
    {} if one.name == "checks" else _NONE if one.default is MISSING else one.default for one in fields(Snapshot)
)
_LISTS = frozenset(one.name for one in fields(Snapshot) if one.default == ())
_values_of = attrgetter(*_NAMES)
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _encode(record: Any) -> str:
    """Lone surrogates become `?`: they have no UTF-8 form."""
    text = _to_json(record)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def encode_snapshot(snapshot: Snapshot) -> str:
    """Only what is not as by default: there may be a million of them."""
    values = zip(_NAMES, _values_of(snapshot), _DEFAULTS, strict=True)
    return _encode({name: value for name, value, default in values if value != default})


def decode_snapshot(text: str) -> Snapshot:
    record: dict[str, Any] = json.loads(text)
    for name in _LISTS & record.keys():
        record[name] = tuple(record[name])
    if not _SNAPSHOT.issuperset(record):
        record = {name: value for name, value in record.items() if name in _SNAPSHOT}
    return Snapshot(**record)


def encode_progress(progress: Progress) -> str:
    return _encode(asdict(progress))


def decode_progress(text: str) -> Progress:
    record = json.loads(text)
    return Progress(
        mark=record["mark"],
        settled_at=record["settled_at"],
        count=record["count"],
        recent=tuple(record["recent"]),
        etags=record["etags"],
        open_runs={int(run_id): state for run_id, state in record["open_runs"].items()},
    )


def encode_held(held: Held) -> str:
    return _encode({"event": held.event, "holds": [asdict(one) for one in held.holds]})


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

"""All that the router knows, as JSON: one row a line, read as it is written, so that its size does not matter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from relayfleet.store.router_db.database import FORMAT, Database

# Rows that are given out together.
_AT_ONCE = 200


def _parsed(text: str | bytes) -> object:
    """What stands in a column of JSON; null when nothing does, or nothing that can be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_TABLES: dict[str, tuple[str, str]] = {
    "watches": ("name, fingerprint, since", "name"),
    "progress": ("feed, kind, record, at", "feed, kind"),
    "snapshots": ("node_id, feed, at, record", "node_id"),
    "members": ("watch, node_id", "watch, node_id"),
    "deliveries": ("id, agent, key, entry_id, entry, item, priority, not_before, state, at", "id"),
    "held": ("id, key, watch, record, at", "id"),
    "decisions": ("id, at, repo, kind, number, key, record", "id"),
    "cooldowns": ("item, route, until", "item, route"),
    "breakers": ("item, route, count, since, open, about", "item, route"),
}
_READ: dict[str, Callable[[Any], object]] = {"record": _parsed, "entry": _parsed, "open": bool}


def export(database: Database, *, now: float) -> Iterator[str]:
    """The text of one JSON object in pieces: {"version": 1, "format", "exported_at", "watches": [...], ...}, one key a
    table, as of one moment. Raises StorageFailed."""
    with database.refusals():
        db = database.connection
        db.execute("BEGIN")
        try:
            yield f'{{"version": 1, "format": {FORMAT}, "exported_at": {json.dumps(now)}'
            for table, (columns, order) in _TABLES.items():
                yield f',\n"{table}": ['
                names = columns.split(", ")
                rows = db.execute(f"SELECT {columns} FROM {table} ORDER BY {order}")  # noqa: S608 - names of ours
                between = "\n"
                while lines := [_line(names, row) for row in rows.fetchmany(_AT_ONCE)]:
                    yield between + ",\n".join(lines)
                    between = ",\n"
                yield "]"
            yield "}\n"
        finally:
            db.execute("ROLLBACK")


def _line(names: Sequence[str], row: Sequence[Any]) -> str:
    record = {name: _READ[name](value) if name in _READ else value for name, value in zip(names, row, strict=True)}
    return json.dumps(record, ensure_ascii=True)

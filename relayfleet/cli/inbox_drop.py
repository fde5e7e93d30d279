"""`fleet inbox drop`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.inbox_decision import entries_in, put
from relayfleet.model.names import EntryId


def run(ctx: Context, *, agent: str, entries: tuple[str, ...]) -> int:
    """--json: {"version": 1, "agent", "entries": [id], "runner": "told" | "stopped" | "unresponsive"}."""
    known = entries_in(ctx, agent, doing="drop")
    return put(ctx, agent, tuple(map(EntryId, entries)), known=known, state="dropped")

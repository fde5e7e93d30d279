"""`fleet inbox retry`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.inbox_decision import entries_in, put
from relayfleet.errors import UsageError
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import states_of
from relayfleet.store.receipts import read_receipts


def run(ctx: Context, *, agent: str, entries: tuple[str, ...], all_dead: bool) -> int:
    """--json: {"version": 1, "agent", "entries": [id], "runner": "told" | "stopped" | "unresponsive"}."""
    if bool(entries) == all_dead:
        reason = "--all-dead goes without ids" if entries else "none is named"
        raise UsageError(f"retry entries of {agent!r}", reason, hint="name their ids, or give --all-dead")
    known = entries_in(ctx, agent, doing="retry")
    wanted = tuple(map(EntryId, entries))
    if all_dead:
        states = states_of(read_receipts(ctx.layout.agent(agent).receipts))
        wanted = tuple(entry_id for entry_id in known if states.get(entry_id) == "dead")
    return put(ctx, agent, wanted, known=known, state="queued")

"""What the operator decides of entries: durable first, then the running runner is told."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Literal

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit_json, say
from relayfleet.cli.selection import select
from relayfleet.client.decision import Heeded, have_heeded
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError
from relayfleet.model.names import EntryId
from relayfleet.store.inbox import read_entries
from relayfleet.store.receipts import decide

_WHEN: dict[Heeded, str] = {
    "told": "its runner knows",
    "stopped": "the agent does not run: it counts from its next start",
    "unresponsive": "its runner does not answer: it counts from its next start",
}


def entries_in(ctx: Context, agent: str, *, doing: str) -> Sequence[EntryId]:
    """The ids of the entries that are not archived. Raises UnknownAgent, StorageFailed."""
    select(read_roster(ctx.layout), doing=f"{doing} entries of", names=(agent,), everyone=False, role=None)
    return [entry.id for entry in read_entries(ctx.layout.agent(agent).inbox)]


def put(
    ctx: Context,
    agent: str,
    ids: Collection[EntryId],
    *,
    known: Collection[EntryId],
    state: Literal["queued", "dropped"],
) -> int:
    """Raises FleetError when one of them is not there, or is in a state that does not allow it; then nothing was
    done."""
    doing = "retry" if state == "queued" else "drop"
    missing = next((entry_id for entry_id in ids if entry_id not in known), None)
    if missing is not None:
        raise FleetError(
            f"{doing} entry {missing!r}",
            f"it is not in the inbox of {agent!r}, or was archived",
            hint=f"see `fleet inbox {agent}`; what was archived can be told again",
        )
    if ids:
        decide(ctx.layout.agent(agent).receipts, ids, state=state, now=time.time())
    heeded = have_heeded(ctx.layout, read_roster(ctx.layout).fleet_id or "", agent)
    if ctx.json:
        emit_json({"version": 1, "agent": agent, "entries": list(ids), "runner": heeded})
    else:
        count = f"{len(ids)} {'entry' if len(ids) == 1 else 'entries'}"
        say(f"{count} of {agent} {'queued again' if state == 'queued' else 'dropped'}; {_WHEN[heeded]}")
    return 0

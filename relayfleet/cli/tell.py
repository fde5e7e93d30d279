"""`fleet tell`: a durable append to one or several inboxes."""

from __future__ import annotations

import sys
import time

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json
from relayfleet.client.wake import wake
from relayfleet.config.roster import read_roster
from relayfleet.errors import UnknownAgent, UsageError
from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.store.inbox import append_new
from relayfleet.store.sockets import sockets_of


def run(ctx: Context, *, agent: str, message: tuple[str, ...]) -> int:
    """--json: {"version": 1, "entries": [{"agent", "id"}]}. What is printed as queued is on disk."""
    body = sys.stdin.buffer.read().decode("utf-8", "replace") if message == ("-",) else " ".join(message)
    if not body.strip():
        raise UsageError(f"tell {agent!r} something", "the message is empty", hint="give its words, or `-` and stdin")
    roster = read_roster(ctx.layout)
    known = tuple(str(member.name) for member in roster.members)
    names = list(dict.fromkeys(name.strip() for name in agent.split(",")))
    for name in names:
        if name not in known:
            raise UnknownAgent(f"tell {name!r}", name, known=known)
    source, metadata = ("agent", {"from": str(ctx.caller)}) if ctx.caller else ("operator", {})
    queued = []
    for name in names:
        entry = Entry(id=new_entry_id(), ts=time.time(), source=source, body=body, metadata=metadata)
        append_new(ctx.layout.agent(name).inbox, entry)
        if roster.fleet_id:
            wake(sockets_of(roster.fleet_id).wake(name))
        queued.append({"agent": name, "id": entry.id})
    if ctx.json:
        emit_json({"version": 1, "entries": queued})
    else:
        for item in queued:
            emit(f"queued for {item['agent']} as {item['id']}")
    return 0

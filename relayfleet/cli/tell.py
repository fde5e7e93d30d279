"""`fleet tell`: a durable append to one or several inboxes, and what becomes of it."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.client.wake import wake
from relayfleet.config.roster import Roster, read_roster
from relayfleet.errors import UnknownAgent, UsageError
from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.model.names import EntryId
from relayfleet.store.inbox import append_new
from relayfleet.store.sockets import sockets_of


def run(
    ctx: Context,
    *,
    agent: str,
    message: tuple[str, ...],
    wait: str | None,
    timeout: float | None,
    ttl: float | None,
) -> int:
    """1 when --wait ended otherwise than hoped for. What is printed as queued is on disk.

    --json: {"version": 1, "entries": [{"agent", "id"}]}; with --wait, each with {"state", "detail", "words"} too:
    `words` is what the session said last in its turn, "" before it was handled.
    """
    body = sys.stdin.buffer.read().decode("utf-8", "replace") if message == ("-",) else " ".join(message)
    if not body.strip():
        raise UsageError(f"tell {agent!r} something", "the message is empty", hint="give its words, or `-` and stdin")
    if timeout is not None and wait is None:
        raise UsageError(f"tell {agent!r} something", "--timeout is for --wait", hint="give --wait, too")
    for flag, value in (("--timeout", timeout), ("--ttl", ttl)):
        if value is not None and not 0 <= value < math.inf:
            raise UsageError(f"tell {agent!r} something", f"{flag} is no number of seconds", hint="give 0 or more")
    roster = read_roster(ctx.layout)
    known = tuple(str(member.name) for member in roster.members)
    names = list(dict.fromkeys(name.strip() for name in agent.split(",")))
    for name in names:
        if name not in known:
            raise UnknownAgent(f"tell {name!r}", name, known=known)
    if wait is not None and ctx.caller in names:
        raise UsageError(
            f"wait for {str(ctx.caller)!r}",
            "its session cannot take up anything while it waits for itself",
            hint="leave --wait out",
        )
    queued = {name: _queue(ctx, roster, name, body, ttl) for name in names}
    if wait is not None:
        return _wait(ctx, queued, wanted=wait, timeout_s=timeout)
    if ctx.json:
        emit_json({"version": 1, "entries": [{"agent": name, "id": entry_id} for name, entry_id in queued.items()]})
    else:
        for name, entry_id in queued.items():
            emit(f"queued for {name} as {entry_id}")
    return 0


def _queue(ctx: Context, roster: Roster, name: str, body: str, ttl_s: float | None) -> EntryId:
    source, metadata = ("agent", {"from": str(ctx.caller)}) if ctx.caller else ("operator", {})
    own: dict[str, Any] = {} if ttl_s is None else {"ttl_s": ttl_s}
    entry = Entry(id=new_entry_id(), ts=time.time(), source=source, body=body, metadata={**metadata, **own})
    append_new(ctx.layout.agent(name).inbox, entry)
    if roster.fleet_id:
        wake(sockets_of(roster.fleet_id).wake(name))
    return entry.id


def _wait(ctx: Context, queued: dict[str, EntryId], *, wanted: str, timeout_s: float | None) -> int:
    from relayfleet.cli.fate import Fate, follow

    for name, entry_id in queued.items():
        say(f"queued for {name} as {entry_id}")
    several = len(queued) > 1

    def show(fate: Fate) -> None:
        if ctx.json:
            return
        if not fate.hoped_for:
            say(f"fleet: {fate.agent} has not {wanted} entry {fate.id}: {fate.why}")
        elif wanted == "handled":
            emit(f"{fate.agent}: {fate.words}" if several else fate.words)
        else:
            emit(f"{fate.agent} has seen {fate.id}")

    fates = follow(ctx.layout, queued, wanted=wanted, timeout_s=timeout_s, on_end=show)
    if ctx.json:
        emit_json({"version": 1, "entries": [fate.as_json() for fate in fates]})
    return 0 if all(fate.hoped_for for fate in fates) else 1

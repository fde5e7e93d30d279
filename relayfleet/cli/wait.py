"""`fleet wait`."""

from __future__ import annotations

import math
import time

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.cli.selection import select
from relayfleet.config.roster import Roster, read_roster
from relayfleet.errors import FleetError, UsageError
from relayfleet.model.names import EntryId
from relayfleet.model.status import AgentStatus

_LOOK_EVERY_S = 0.2


def run(ctx: Context, *, agent: str, entry: str | None, for_: str, timeout: float | None) -> int:
    """0 when it is so, 1 when it was not in time or never will be.

    --json: for idle and stopped {"version": 1, "agent", "for", "reached", "state", "detail"}; for seen and handled
    {"version": 1, "agent", "for", "reached", "id", "state", "detail", "words"}.
    """
    if timeout is not None and not 0 <= timeout < math.inf:
        raise UsageError(f"wait for {agent!r}", "--timeout is no number of seconds", hint="give 0 or more")
    roster = read_roster(ctx.layout)
    select(roster, doing="wait for", names=(agent,), everyone=False, role=None)
    about_entry = for_ in ("seen", "handled")
    if about_entry != (entry is not None):
        raise UsageError(
            f"wait for {agent!r}",
            f"--for {for_} {'needs the id of an entry' if about_entry else 'takes no entry'}",
            hint="fleet wait AGENT --for handled ID",
        )
    if entry is not None:
        return _wait_for_entry(ctx, agent, EntryId(entry), for_, timeout)
    return _wait_for_agent(ctx, roster, agent, for_, timeout)


def _wait_for_entry(ctx: Context, agent: str, entry: EntryId, wanted: str, timeout_s: float | None) -> int:
    from relayfleet.cli.fate import follow
    from relayfleet.store.inbox import read_all_entries

    if all(known.id != entry for known in read_all_entries(ctx.layout.agent(agent).inbox)):
        raise FleetError(
            f"wait for entry {entry!r}", f"it is not in the inbox of {agent!r}", hint=f"see `fleet inbox {agent} --all`"
        )
    (fate,) = follow(ctx.layout, {agent: entry}, wanted=wanted, timeout_s=timeout_s)
    if ctx.json:
        emit_json({"version": 1, "for": wanted, "reached": fate.hoped_for, **fate.as_json()})
    elif not fate.hoped_for:
        say(f"fleet: {agent} has not {wanted} entry {entry}: {fate.why}")
    elif wanted == "handled" and fate.words:
        emit(fate.words)
    return 0 if fate.hoped_for else 1


def _stays_down(status: AgentStatus) -> bool:
    """Nobody starts it again."""
    return status.pid is None and status.next_try_s is None and status.state in ("stopped", "failed")


def _wait_for_agent(ctx: Context, roster: Roster, agent: str, wanted: str, timeout_s: float | None) -> int:
    from relayfleet.client.observe import observe

    members = select(roster, doing="wait for", names=(agent,), everyone=False, role=None)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        (status,) = observe(ctx.layout, roster.fleet_id, members)
        over = deadline is not None and time.monotonic() >= deadline
        reached = status.state == wanted
        never = not reached and _stays_down(status)
        if reached or never or over:
            break
        time.sleep(_LOOK_EVERY_S)
    if ctx.json:
        emit_json(
            {
                "version": 1,
                "agent": agent,
                "for": wanted,
                "reached": reached,
                "state": status.state,
                "detail": status.detail,
            }
        )
    elif not reached:
        how = "it is" if never else "not in time; it is"
        say(f"fleet: {agent} is not {wanted}: {how} {status.state}{f': {status.detail}' if status.detail else ''}")
    return 0 if reached else 1

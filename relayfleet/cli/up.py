"""`fleet up`: the supervisor, in the foreground or detached."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.errors import FleetError, LockHeld

if TYPE_CHECKING:
    from relayfleet.supervisor.plan import Change


def run(ctx: Context, *, detach: bool) -> int:
    """--json: one object per line and change, {"version": 1, "ts", "name", "change", "detail", "reason", "in_s"}; with
    --detach {"version": 1, "supervisor": {"state", "pid", "changed", "error", "hint"}}."""
    return _detached(ctx) if detach else _foreground(ctx)


def _detached(ctx: Context) -> int:
    from relayfleet.bootstrap.supervisor import supervisor_lifecycle
    from relayfleet.store.lock import holder_of

    outcome = supervisor_lifecycle(ctx.layout).start(wait=True)
    holder = holder_of(ctx.layout.supervisor_lock)
    if ctx.json:
        told = {"state": outcome.state, "pid": holder.pid if holder else None, "changed": outcome.changed}
        emit_json({"version": 1, "supervisor": {**told, "error": outcome.error, "hint": outcome.hint}})
    if outcome.error:
        raise FleetError("start the supervisor", outcome.error, hint=outcome.hint)
    if not ctx.json:
        emit(f"supervisor: {outcome.state}{'' if outcome.changed else ' (it was so already)'}")
    return 0


def _foreground(ctx: Context) -> int:
    import asyncio

    from relayfleet.bootstrap.supervisor import run_supervisor
    from relayfleet.store.lock import holder_of

    say(f"the supervisor of {str(ctx.layout.root)!r} begins; Ctrl-C ends it alone, `fleet down` all that it keeps")
    try:
        asyncio.run(run_supervisor(ctx.layout, tell=lambda change: _tell(ctx, change), on_up=lambda: _tell_wanted(ctx)))
    except LockHeld:
        holder = holder_of(ctx.layout.supervisor_lock)
        raise LockHeld(
            "start the supervisor",
            f"it runs already (pid {holder.pid})" if holder else "it runs already",
            hint="`fleet status -w` shows what it does, `fleet down` ends it and all that it keeps",
        ) from None
    say("the supervisor ended; agents and router run on, and nobody starts them again until the next `fleet up`")
    return 0


def _tell_wanted(ctx: Context) -> None:
    from relayfleet.config.roster import read_roster
    from relayfleet.store.intent import read_intent

    members = read_roster(ctx.layout).members
    wanted = sum(read_intent(ctx.layout.agent(member.name).intent) == "running" for member in members)
    router = read_intent(ctx.layout.router_intent) == "running"
    say(f"wanted: {wanted} of {len(members)} agents{' and the router' if router else '; the router is not'}")
    if not wanted and not router:
        say("nothing is wanted yet: `fleet start --all` and `fleet router start`, from another terminal")


def _tell(ctx: Context, change: Change) -> None:
    try:
        if ctx.json:
            told = {"name": change.name, "change": change.kind, "detail": change.detail, "reason": change.reason}
            emit(json.dumps({"version": 1, "ts": round(time.time(), 3), **told, "in_s": change.in_s}))
        else:
            emit(f"{time.strftime('%H:%M:%S')}  {change.name}: {words_for(change)}")
    except BrokenPipeError:  # nobody reads any more, which is no reason to leave the fleet alone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def words_for(change: Change) -> str:
    """A change as a person is told of it."""
    again = f"; again in {change.in_s:.0f} s" if change.in_s is not None else ""
    why = f"{change.reason}: {change.detail}" if change.reason else change.detail
    return {
        "launch": f"starting{f' again, after {change.reason}' if change.reason else ''}",
        "adopted": "runs already, and is kept from now on",
        "up": f"up{f', {change.detail}' if change.detail else ''}",
        "down": f"down, {why}{again}",
        "waiting": f"down, {why}; looked at each minute",
        "held": f"held, {why}; `fleet {'router start' if change.name == 'router' else f'start {change.name}'}` lets go",
        "queued": f"queued, {change.detail}",
        "stopped": "stopped",
        "unwanted": change.detail,
    }[change.kind]

"""`fleet doctor --canary`."""

from __future__ import annotations

import math
import time

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.cli.selection import select
from relayfleet.client.canary import LocalCage
from relayfleet.client.observe import observe
from relayfleet.config.roster import read_roster
from relayfleet.errors import NotAllowed, UsageError
from relayfleet.fleet.canary import STAGES, Flight, fly
from relayfleet.model.status import UP


def run(ctx: Context, *, agents: tuple[str, ...], asked: bool, fix: bool, timeout_s: float) -> int:
    """1 when a canary did not come through, or an agent that was named does not run.

    --json: {"version": 1, "canaries": [{"agent", "id", "ok", "failed_at": null | "running" | "written" | "offered" |
    "seen" | "handled", "why", "after_s": {stage: seconds}}]}; `id` is "" where none was let out.
    """
    if not asked or fix:
        raise UsageError("check agents", "names of agents are for --canary alone", hint="fleet doctor --canary AGENT")
    if not 0 < timeout_s < math.inf:
        raise UsageError("check agents", "--timeout is no number of seconds", hint="give more than 0")
    if ctx.caller is not None:
        raise NotAllowed(
            "run `fleet doctor --canary`", "it is for the operator, not for agents", hint="ask the operator to run it"
        )
    roster = read_roster(ctx.layout)
    members = select(roster, doing="check", names=agents, everyone=not agents, role=None)
    statuses = observe(ctx.layout, roster.fleet_id, members)
    up = [str(status.name) for status in statuses if status.state in UP]
    down = {str(status.name): status.state for status in statuses if status.state not in UP} if agents else {}
    if not up and not down:
        say("no agent runs: there is nothing to check")
    flights = fly(
        up, cage=LocalCage(ctx.layout, roster.fleet_id or ""), now=time.time, sleep=time.sleep, timeout_s=timeout_s
    )
    if ctx.json:
        shown = [_as_json(flight) for flight in flights]
        shown += [
            {"agent": name, "id": "", "ok": False, "failed_at": "running", "why": f"it is {state}", "after_s": {}}
            for name, state in down.items()
        ]
        emit_json({"version": 1, "canaries": shown})
    else:
        for flight in flights:
            emit(_in_words(flight))
        for name, state in down.items():
            emit(f"broken   {name}: it is {state}, so nothing reaches it")
    return 0 if not down and all(flight.failed_at is None for flight in flights) else 1


def _in_words(flight: Flight) -> str:
    times = ", ".join(f"{stage} {flight.after_s[stage]:.2f} s" for stage in STAGES if stage in flight.after_s)
    if flight.failed_at is None:
        return f"ok       {flight.agent}: {times}"
    return f"broken   {flight.agent}: not {flight.failed_at} ({flight.why}); {times}"


def _as_json(flight: Flight) -> dict[str, object]:
    return {
        "agent": flight.agent,
        "id": flight.id,
        "ok": flight.failed_at is None,
        "failed_at": flight.failed_at,
        "why": flight.why,
        "after_s": {stage: round(seconds, 3) for stage, seconds in flight.after_s.items()},
    }

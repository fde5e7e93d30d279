"""`fleet status`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relayfleet import __version__
from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.cli.selection import select
from relayfleet.client.observe import observe
from relayfleet.client.router import observe_router
from relayfleet.client.supervisor import observe_supervisor
from relayfleet.config.roster import read_roster
from relayfleet.model.duration import in_words
from relayfleet.model.receipt import ENTRY_STATES
from relayfleet.model.status import AgentStatus

HEADERS = ("AGENT", "ROLE", "BACKEND", "STATE", "PID", "INBOX", "OBSERVED", "DETAIL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at the fleet. `supervisor` and `router` are as `observe_supervisor` and `observe_router` describe."""

    fleet: str
    supervisor: dict[str, Any]
    router: dict[str, Any]
    agents: list[AgentStatus]


def run(ctx: Context, *, agents: tuple[str, ...], watch: bool) -> int:
    """--json: {"version": 1, "fleet", "supervisor": {"state", "pid", "down", ...}, "router": {"state", "pid",
    "cursor_age_s", ...}, "agents": [{"name", "role", "backend", "state", "pid", "session_id", "inbox": {state: count},
    "observed_age_s", "evidence": {source: seconds}, "detail", "hint", "reason", "next_try_s", "version"}]};
    with --watch one object per line and change, {"version": 1, "ts", "kind": "supervisor" | "router" | "agent", "name",
    ... (what stands there above)}."""
    if watch:
        from relayfleet.cli.status_watch import watch as watch_status

        watch_status(lambda: look(ctx, agents), as_lines=ctx.json)
        return 0
    seen = look(ctx, agents)
    if ctx.json:
        shown = [as_json(status) for status in seen.agents]
        emit_json(
            {
                "version": 1,
                "fleet": seen.fleet,
                "supervisor": seen.supervisor,
                "router": seen.router,
                "agents": shown,
            }
        )
        return 0
    for line in heads(seen):
        emit(line)
    if not seen.agents:
        say("no agents yet; create one with `fleet new-agent <name> --role <role>`")
        return 0
    table(HEADERS, [row(status) for status in seen.agents])
    for status in seen.agents:
        if status.inbox["dead"]:
            say(f"dead letters: `fleet inbox {status.name}` shows them, `fleet inbox retry` or `drop` clears them")
    return 0


def look(ctx: Context, names: Sequence[str]) -> Seen:
    """Raises UnknownAgent."""
    roster = read_roster(ctx.layout)
    members = select(roster, doing="show", names=names, everyone=not names, role=None)
    return Seen(
        fleet=roster.fleet,
        supervisor=observe_supervisor(ctx.layout, roster.fleet_id),
        router=observe_router(ctx.layout, roster.fleet_id),
        agents=observe(ctx.layout, roster.fleet_id, members),
    )


def heads(seen: Seen) -> list[str]:
    """What stands above the table."""
    supervisor, age = seen.supervisor, seen.router["cursor_age_s"]
    lines = [f"router: {seen.router['state']}" + (f", cursor {in_words(age)} old" if age is not None else "")]
    if supervisor["down"]:
        lines.append("the fleet is down; `fleet up` brings back what was wanted")
    elif supervisor["state"] != "stopped":
        words = f" ({supervisor['error']}; {supervisor['hint']})" if supervisor.get("error") else ""
        lines.append(f"supervisor: {supervisor['state']}{words}")
    return lines


def row(status: AgentStatus) -> tuple[object, ...]:
    return (
        status.name,
        status.role,
        f"[{status.backend}]",
        status.state,
        status.pid or "-",
        ", ".join(f"{status.inbox[k]} {k}" for k in ENTRY_STATES if status.inbox[k]) or "-",
        f"{status.observed_age_s:.1f} s ago" if status.observed_age_s is not None else "-",
        _detail(status)[:300],
    )


def _detail(status: AgentStatus) -> str:
    why = f"{status.reason}: {status.detail}" if status.reason else status.detail
    if status.reason and status.hint and status.pid is not None:
        why = f"{why}; {status.hint}"
    if status.pid is not None and status.state != "unresponsive" and status.version != __version__:
        why = f"runs version {status.version or 'unknown'}, this is {__version__} (`fleet restart --outdated`); {why}"
    return f"{why}; again in {status.next_try_s:.0f} s" if status.next_try_s is not None else why


def as_json(status: AgentStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "role": status.role,
        "backend": status.backend,
        "state": status.state,
        "pid": status.pid,
        "session_id": status.session_id,
        "inbox": dict(status.inbox),
        "observed_age_s": status.observed_age_s,
        "evidence": dict(status.evidence) if status.evidence is not None else None,
        "detail": status.detail,
        "hint": status.hint,
        "reason": status.reason,
        "next_try_s": status.next_try_s,
        "version": status.version,
    }

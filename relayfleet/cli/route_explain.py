"""`fleet route explain`: who would get an item, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relayfleet.cli import moment
from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json
from relayfleet.errors import FleetError
from relayfleet.model.event import Event, decode_event
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.fleet import FleetConfig
from relayfleet.model.gate import Finding, Seeing, Verdict, event_of, explain_event, judge, seen_by
from relayfleet.model.gate_index import index_of
from relayfleet.model.item import Report, address_of
from relayfleet.model.route import Gate
from relayfleet.router.cooldown import cool
from relayfleet.store.router_db.past import Past


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What the router did about the item so far: the agents that were `told`, and by index the routes that are quiet
    about it, with the moment at which what comes now may go, and those that are cut off."""

    told: frozenset[str]
    quiet_until: Mapping[int, float]
    cut_off: frozenset[int]


def explain(ctx: Context, *, item: str) -> int:
    """Who would get an item and its notes, by which route, and what trust holds back; for every other route which key
    failed. Of a URL all notes count as new. What the router did about the item so far counts: whether a route is quiet
    about it or cut off, and whether an agent is to learn that it left. Delivers nothing.

    --json: {"version": 1, "item": {"host", "repo", "kind", "number", "title", "author", "association", "state", "url"},
    "vouchers": [logins], "recipients": [{"agent", "routes": [index], "item": "full", "vouched" or "withheld", "notes":
    [node ids]}], "told": [agents that had something of it], "held": [{"agent", "routes": [index], "item": whether it
    is, "notes": [node ids], "reason"}], "watches": [{"name", "sees", "reason"}], "routes": [{"index", "watch", "to",
    "delivers", "failed": [text], "item": as above or null, "trust": text or null, "notes": [{"id", "kind", "author",
    "admitted", "trust"}], "cooldown_s", "quiet_until": when what comes now may go (seconds since the epoch) or null,
    "cut_off"}]}.
    """
    import time

    from relayfleet.bootstrap.router import past_of_item
    from relayfleet.config.load import load_fleet, load_gate

    gate = load_gate(ctx.layout)
    shown, seeings = _look_up(item, gate, fleet=load_fleet(ctx.layout))
    events = [seeing.event for seeing in seeings if seeing.event is not None]
    index = index_of(gate)
    agents = {agent for route in gate.routes for agent in route.to}
    standing = _standing_of(past_of_item(ctx.layout, shown, agents), gate, now=time.time())
    verdicts = [judge(index, event, told=standing.told) for event in events]
    # What no watch sees reaches nobody; the routes are judged all the same, so that one learns what else is missing.
    findings = [(event, finding) for event in events or [shown] for finding in explain_event(gate, event)]
    if ctx.json:
        emit_json(_explanation(shown, seeings, verdicts, findings, standing))
        return 0
    it = shown.item
    emit(f"{address_of(it.host, it.repo)}#{it.number} {it.title!r} by {it.author} ({it.association}), {it.state}")
    if shown.vouchers:
        emit(f"vouched for by: {', '.join(shown.vouchers)}")
    getting = dict.fromkeys(one.agent for verdict in verdicts for one in verdict.recipients)
    emit("reaches: " + (", ".join(getting) or "nobody"))
    for seeing in seeings:
        sees = "sees it" if seeing.event is not None else "does not see it"
        emit(f"watch {seeing.watch.name}: {sees}{f': {seeing.reason}' if seeing.reason else ''}")
    for event, finding in findings:
        for line in _words(finding, event, standing):
            emit(line)
    return 0


def _standing_of(past: Past, gate: Gate, *, now: float) -> _Standing:
    quiet_until: dict[int, float] = {}
    cut_off: set[int] = set()
    for index, route in enumerate(gate.routes if past.quiet_until or past.cut_off else ()):
        fingerprint = route_fingerprint(route)
        until = cool(past.quiet_until.get(fingerprint, 0.0), quiet_s=route.cooldown_s, now=now).moment
        if until:
            quiet_until[index] = until
        if fingerprint in past.cut_off:
            cut_off.add(index)
    return _Standing(told=past.told, quiet_until=quiet_until, cut_off=frozenset(cut_off))


def _explanation(
    shown: Event,
    seeings: tuple[Seeing, ...],
    verdicts: list[Verdict],
    findings: list[tuple[Event, Finding]],
    standing: _Standing,
) -> dict[str, Any]:
    keys = ("host", "repo", "kind", "number", "title", "author", "association", "state", "url")
    getting: dict[str, dict[str, Any]] = {}
    for one in (recipient for verdict in verdicts for recipient in verdict.recipients):
        # Seen by several watches, it is still one entry.
        entry = getting.setdefault(one.agent, {"agent": one.agent, "routes": [], "item": one.item, "notes": one.notes})
        entry["routes"] += [place for place in one.routes if place not in entry["routes"]]
    return {
        "version": 1,
        "item": {key: getattr(shown.item, key) for key in keys},
        "vouchers": list(shown.vouchers),
        "recipients": list(getting.values()),
        "told": sorted(standing.told),
        "held": [
            {"agent": one.agent, "routes": one.routes, "item": one.item, "notes": one.notes, "reason": one.reason}
            for one in dict.fromkeys(hold for verdict in verdicts for hold in verdict.held)
        ],
        "watches": [{"name": s.watch.name, "sees": s.event is not None, "reason": s.reason} for s in seeings],
        "routes": [
            {
                "index": finding.index,
                "watch": event.watch,
                "to": list(finding.route.to),
                "delivers": bool(verdicts) and finding.delivers,
                "failed": list(finding.failures),
                "item": finding.item.standing if finding.item else None,
                "trust": finding.item.reason if finding.item else None,
                "notes": [
                    {
                        "id": note.node_id,
                        "kind": note.kind,
                        "author": note.author,
                        "admitted": admission.admitted,
                        "trust": admission.reason,
                    }
                    for note, admission in finding.notes
                ],
                "cooldown_s": finding.route.cooldown_s,
                "quiet_until": standing.quiet_until.get(finding.index),
                "cut_off": finding.index in standing.cut_off,
            }
            for event, finding in findings
        ],
    }


def _words(finding: Finding, event: Event, standing: _Standing) -> list[str]:
    """A line for the route, and below it one for each piece of the event."""
    to = f"route {finding.index} ({event.watch}) to {', '.join(finding.route.to)}"
    if finding.item is None:
        return [f"{to}: does not match: " + "; ".join(finding.failures)]
    lines = [f"{to}: {'delivers' if finding.delivers else 'holds it back'}"]
    passes = {
        "full": "goes through",
        "vouched": "goes through, but for commit message and names of checks and workflows",
        "withheld": "held back",
    }
    lines.append(f"  item: {passes[finding.item.standing]}: {finding.item.reason}")
    for note, admission in finding.notes:
        what = f"{note.kind.replace('_', ' ')} by {note.author}"
        lines.append(f"  {what}: {passes[admission.standing]}: {admission.reason}")
    if finding.route.cooldown_s:
        until = standing.quiet_until.get(finding.index)
        waits = f"; it is quiet about this one, and what comes now waits until {moment.shown(until)}" if until else ""
        lines.append(f"  cooldown: {finding.route.cooldown_s:g} s per item{waits}")
    if finding.index in standing.cut_off:
        reset = f"`fleet route reset {finding.index}`"
        lines.append(f"  breaker: open, what agents alone bring about here is cut off; {reset} closes it")
    return lines


def _look_up(item: str, gate: Gate, *, fleet: FleetConfig) -> tuple[Event, tuple[Seeing, ...]]:
    """From a saved event, or from GitHub: the event as no watch sees it, and what the watches make of it. Raises
    FleetError."""
    import asyncio
    import json
    from pathlib import Path

    from relayfleet.bootstrap.router import github_source_of

    if item.startswith(("https://", "http://")):
        found = asyncio.run(github_source_of(fleet, item).find(item))
        report: Report = found.report
        unseen = event_of(report, watch="(no watch)", watched_repo=address_of(report.item.host, report.item.repo))
        return unseen, seen_by(gate, report, repo=found.repo, viewer=found.viewer)
    try:
        record = json.loads(Path(item).read_bytes())
        event = decode_event(record)
    except (OSError, ValueError) as error:
        hint = "give the URL of an issue, pull request or run, or a file with a saved event or an inbox line"
        raise FleetError(f"explain {item!r}", str(error), hint=hint) from error
    watch = next((w for w in gate.watches if w.name == event.watch), None)
    if watch is None:
        return event, ()
    return event, (Seeing(watch=watch, event=event, reason="the saved event says so"),)

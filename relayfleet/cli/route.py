"""`fleet route`: what the gate lets through, and to whom."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.errors import ConfigError, FleetError
from relayfleet.model.event import Event, decode_event
from relayfleet.model.fleet import FleetConfig
from relayfleet.model.gate import Finding, Seeing, Verdict, event_of, explain_event, judge, seen_by
from relayfleet.model.gate_index import index_of
from relayfleet.model.item import Report, address_of
from relayfleet.model.route import Gate, Keys, Match, Route
from relayfleet.model.trust import Trust


def show(ctx: Context) -> int:
    """Prints and validates every watch and route. Exit code 1 when routes.json has faults.

    --json: {"version": 1, "valid", "faults": [text], "watches": [{"name", "kind", "repo", "filter", "poll_sec"}],
    "routes": [{"match": {key: value}, "to": [names], "trust": level, logins or null, "bots": [logins], "priority",
    "cooldown_s"}], "remarks": [{"kind", "where", "what", "fix"}]}. Remarks are no faults: catch-all, unknown-agent,
    unknown-watch, never-matches, unused-watch, open.
    """
    from relayfleet.config.load import agent_names, load_gate
    from relayfleet.fleet.gate_review import review_gate

    try:
        gate = load_gate(ctx.layout)
    except ConfigError as error:
        if not ctx.json:
            raise
        emit_json(
            {"version": 1, "valid": False, "faults": list(error.faults), "watches": [], "routes": [], "remarks": []}
        )
        return 1
    remarks = review_gate(gate, agent_names(ctx.layout))
    if ctx.json:
        emit_json(
            {
                "version": 1,
                "valid": True,
                "faults": [],
                "watches": [{f.name: getattr(w, f.name) for f in fields(w)} for w in gate.watches],
                "routes": [_route_json(route) for route in gate.routes],
                "remarks": [{"kind": r.kind, "where": r.where, "what": r.what, "fix": r.fix} for r in remarks],
            }
        )
        return 0
    rows = [[w.name, w.kind, w.repo, f"{w.poll_sec:g}s", w.filter or "-"] for w in gate.watches]
    table(["WATCH", "KIND", "REPO", "EVERY", "FILTER"], rows)
    emit("")
    columns = ["ROUTE", "MATCH", "TO", "TRUST", "PRIORITY", "COOLDOWN"]
    table(columns, [[n, *_row(route)] for n, route in enumerate(gate.routes)])
    for remark in remarks:
        say(f"{remark.where}: {remark.what}")
        say(f"  fix: {remark.fix}")
    return 0


def explain(ctx: Context, *, item: str) -> int:
    """Who would get an item and its notes, by which route, and what trust holds back; for every other route which key
    failed. Of a URL all notes count as new. Delivers nothing.

    --json: {"version": 1, "item": {"host", "repo", "kind", "number", "title", "author", "association", "state", "url"},
    "vouchers": [logins], "recipients": [{"agent", "routes": [index], "item": "full", "vouched" or "withheld", "notes":
    [node ids]}], "held": [{"agent", "routes": [index], "item": whether it is, "notes": [node ids], "reason"}],
    "watches": [{"name", "sees", "reason"}], "routes": [{"index", "watch", "to", "delivers", "failed": [text], "item":
    as above or null, "trust": text or null, "notes": [{"id", "kind", "author", "admitted", "trust"}], "cooldown_s"}]}.
    """
    from relayfleet.config.load import load_fleet, load_gate

    gate = load_gate(ctx.layout)
    shown, seeings = _look_up(item, gate, fleet=load_fleet(ctx.layout))
    events = [seeing.event for seeing in seeings if seeing.event is not None]
    index = index_of(gate)
    verdicts = [judge(index, event) for event in events]
    # What no watch sees reaches nobody; the routes are judged all the same, so that one learns what else is missing.
    findings = [(event, finding) for event in events or [shown] for finding in explain_event(gate, event)]
    if ctx.json:
        emit_json(_explanation(shown, seeings, verdicts, findings))
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
        for line in _words(finding, event):
            emit(line)
    return 0


def _explanation(
    shown: Event,
    seeings: tuple[Seeing, ...],
    verdicts: list[Verdict],
    findings: list[tuple[Event, Finding]],
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
            }
            for event, finding in findings
        ],
    }


def _words(finding: Finding, event: Event) -> list[str]:
    """A line for the route, and below it one for each piece of the event."""
    to = f"route {finding.index} ({event.watch}) to {', '.join(finding.route.to)}"
    if finding.item is None:
        return [f"{to}: does not match: " + "; ".join(finding.failures)]
    lines = [f"{to}: {'delivers' if finding.delivers else 'holds it back'}"]
    standing = {
        "full": "goes through",
        "vouched": "goes through, but for commit message and names of checks and workflows",
        "withheld": "held back",
    }
    lines.append(f"  item: {standing[finding.item.standing]}: {finding.item.reason}")
    for note, admission in finding.notes:
        what = f"{note.kind.replace('_', ' ')} by {note.author}"
        lines.append(f"  {what}: {standing[admission.standing]}: {admission.reason}")
    if finding.route.cooldown_s:
        lines.append(f"  cooldown: {finding.route.cooldown_s:g} s per item")
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


def _route_json(route: Route) -> dict[str, Any]:
    return {
        "match": _match_json(route.match),
        "to": list(route.to),
        "trust": route.trust,
        "bots": list(route.bots),
        "priority": route.priority,
        "cooldown_s": route.cooldown_s,
    }


def _match_json(match: Match) -> dict[str, Any]:
    """As it stands in routes.json."""
    left_out = _keys_json(match.not_)
    return {**_keys_json(match), **({"not": left_out} if left_out else {})}


def _keys_json(keys: Keys) -> dict[str, Any]:
    return {key: getattr(keys, key) for key in keys.given()}


def _row(route: Route) -> list[str]:
    words = [*_key_words(route.match), *(f"not.{word}" for word in _key_words(route.match.not_))]
    trust = " ".join([_trust(route.trust), *(f"+{login}" for login in route.bots)])
    cooldown = f"{route.cooldown_s:g}s" if route.cooldown_s else "-"
    return [" ".join(words) or "(everything)", ", ".join(route.to), trust, str(route.priority), cooldown]


def _key_words(keys: Keys) -> list[str]:
    return [f"{key}={wanted if isinstance(wanted, str) else '|'.join(wanted)}" for key, wanted in keys.given().items()]


def _trust(trust: Trust | None) -> str:
    if trust is None:
        return "default"
    return trust if isinstance(trust, str) else ", ".join(trust)

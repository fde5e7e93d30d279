"""`fleet route`: what the gate lets through, and to whom."""

from __future__ import annotations

from dataclasses import fields

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.errors import ConfigError, FleetError
from relayfleet.model.event import Event, Item, decode_event
from relayfleet.model.gate import Finding, Seeing, explain_event, seen_by
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.trust import Trust


def show(ctx: Context) -> int:
    """Prints and validates every watch and route. Exit code 1 when routes.json has faults.

    --json: {"version": 1, "valid", "faults": [text], "watches": [{"name", "kind", "repo", "filter", "poll_sec"}],
    "routes": [{"match": {key: value}, "to": [names], "trust": level, logins or null}],
    "remarks": [{"kind", "where", "what", "fix"}]}. Remarks are no faults: catch-all, unknown-agent, unknown-watch,
    never-matches, unused-watch, open.
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
                "routes": [{"match": _keys(r.match), "to": list(r.to), "trust": r.trust} for r in gate.routes],
                "remarks": [{"kind": r.kind, "where": r.where, "what": r.what, "fix": r.fix} for r in remarks],
            }
        )
        return 0
    rows = [[w.name, w.kind, w.repo, f"{w.poll_sec:g}s", w.filter or "-"] for w in gate.watches]
    table(["WATCH", "KIND", "REPO", "EVERY", "FILTER"], rows)
    emit("")
    table(["ROUTE", "MATCH", "TO", "TRUST"], [[n, *_row(route)] for n, route in enumerate(gate.routes)])
    for remark in remarks:
        say(f"{remark.where}: {remark.what}")
        say(f"  fix: {remark.fix}")
    return 0


def explain(ctx: Context, *, item: str) -> int:
    """Who would get an item, by which route, and for every other route which key failed. Delivers nothing.

    --json: {"version": 1, "item": {"repo", "kind", "number", "title", "author", "association", "state", "url"},
    "recipients": [{"agent", "routes": [index]}], "watches": [{"name", "sees", "reason"}], "routes": [{"index", "watch",
    "to", "delivers", "failed": [text], "trust": text or null}]}.
    """
    from relayfleet.config.load import load_fleet, load_gate

    gate = load_gate(ctx.layout)
    shown, seeings = _look_up(item, gate, command=load_fleet(ctx.layout).github_command)
    events = [seeing.event for seeing in seeings if seeing.event is not None]
    # What no watch sees reaches nobody; the routes are judged all the same, so that one learns what else is missing.
    judged = events or [Event(watch="(no watch)", name="updated", item=shown, key="", watched_repo=shown.repo)]
    findings = [(event, finding) for event in judged for finding in explain_event(gate, event)]
    getting: dict[str, list[int]] = {}
    for _, finding in findings if events else ():
        if finding.delivers:
            for agent in finding.route.to:
                getting.setdefault(agent, []).append(finding.index)
    if ctx.json:
        keys = ("repo", "kind", "number", "title", "author", "association", "state", "url")
        emit_json(
            {
                "version": 1,
                "item": {key: getattr(shown, key) for key in keys},
                "recipients": [{"agent": a, "routes": list(dict.fromkeys(r))} for a, r in getting.items()],
                "watches": [{"name": s.watch.name, "sees": s.event is not None, "reason": s.reason} for s in seeings],
                "routes": [
                    {
                        "index": f.index,
                        "watch": event.watch,
                        "to": list(f.route.to),
                        "delivers": bool(events) and f.delivers,
                        "failed": list(f.failures),
                        "trust": f.admission.reason if f.admission else None,
                    }
                    for event, f in findings
                ],
            }
        )
        return 0
    emit(f"{shown.repo}#{shown.number} {shown.title!r} by {shown.author} ({shown.association}), {shown.state}")
    emit("reaches: " + (", ".join(getting) or "nobody"))
    for seeing in seeings:
        sees = "sees it" if seeing.event is not None else "does not see it"
        emit(f"watch {seeing.watch.name}: {sees}{f': {seeing.reason}' if seeing.reason else ''}")
    for event, finding in findings:
        emit(f"route {finding.index} ({event.watch}) to {', '.join(finding.route.to)}: {_words(finding)}")
    return 0


def _words(finding: Finding) -> str:
    if finding.admission is None:
        return "does not match: " + "; ".join(finding.failures)
    return ("delivers: " if finding.admission.admitted else "holds it back: ") + finding.admission.reason


def _look_up(item: str, gate: Gate, *, command: tuple[str, ...]) -> tuple[Item, tuple[Seeing, ...]]:
    """From a saved event, or from GitHub. Raises FleetError."""
    import asyncio
    import json
    import time
    from pathlib import Path

    from relayfleet.bootstrap import github_source

    if item.startswith(("https://", "http://")):
        found = asyncio.run(github_source(command, time.time).find(item))
        return found.item, seen_by(gate, found.item, repo=found.repo, viewer=found.viewer)
    try:
        record = json.loads(Path(item).read_bytes())
        event = decode_event(record)
    except (OSError, ValueError) as error:
        hint = "give the URL of an issue, pull request or run, or a file with a saved event or an inbox line"
        raise FleetError(f"explain {item!r}", str(error), hint=hint) from error
    watch = next((w for w in gate.watches if w.name == event.watch), None)
    if watch is None:
        return event.item, ()
    return event.item, (Seeing(watch=watch, event=event, reason="the saved event says so"),)


def _keys(match: Match) -> dict[str, str]:
    return {f.name: getattr(match, f.name) for f in fields(match) if getattr(match, f.name) is not None}


def _row(route: Route) -> list[str]:
    match = " ".join(f"{key}={value}" for key, value in _keys(route.match).items())
    return [match or "(everything)", ", ".join(route.to), _trust(route.trust)]


def _trust(trust: Trust | None) -> str:
    if trust is None:
        return "default"
    return trust if isinstance(trust, str) else ", ".join(trust)

"""`fleet route`: what the gate lets through, and to whom."""

from __future__ import annotations

from dataclasses import fields

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.errors import ConfigError
from relayfleet.model.route import Match, Route
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


def _keys(match: Match) -> dict[str, str]:
    return {f.name: getattr(match, f.name) for f in fields(match) if getattr(match, f.name) is not None}


def _row(route: Route) -> list[str]:
    match = " ".join(f"{key}={value}" for key, value in _keys(route.match).items())
    return [match or "(everything)", ", ".join(route.to), _trust(route.trust)]


def _trust(trust: Trust | None) -> str:
    if trust is None:
        return "default"
    return trust if isinstance(trust, str) else ", ".join(trust)

"""`fleet route`: what the gate lets through, and to whom."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.errors import ConfigError
from relayfleet.model.route import Keys, Match, Route
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

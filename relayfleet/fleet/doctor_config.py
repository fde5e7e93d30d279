"""What people wrote: faults, what is probably not meant, secrets that lie open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relayfleet.config.load import Inspection, agent_names
from relayfleet.config.read import Unreadable, join, read_object
from relayfleet.config.secret import looks_like_token
from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.fleet.gate_review import review_gate
from relayfleet.model.layout import FleetLayout
from relayfleet.model.route import Gate


def check_config(found: Inspection) -> Iterable[Finding]:
    for fault in found.faults:
        file, _, what = fault.partition(": ")
        yield broken(file, what, f"correct {file}; `fleet schema --write` lets an editor check it as you type")
    if not found.faults:
        count = len(found.agents)
        yield ok("configuration", f"every file is sound ({count} {'agent' if count == 1 else 'agents'})")
    if found.fleet is not None and found.fleet.id is None:
        yield warning("fleet.json", "the fleet has no id yet", "`fleet init` makes one")


def check_gate(layout: FleetLayout, gate: Gate | None) -> Iterable[Finding]:
    if gate is None:
        return
    remarks = review_gate(gate, agent_names(layout))
    for remark in remarks:
        yield warning(f"routes.json {remark.where}", remark.what, remark.fix)
    if not remarks:
        yield ok("routes.json", f"watches: {len(gate.watches)}, routes: {len(gate.routes)}, nothing to remark")


def check_tokens(layout: FleetLayout) -> Iterable[Finding]:
    """Values that look like tokens, by their place; never what they are."""
    paths = [layout.fleet_json, layout.routes_json, *(layout.agent(n).config for n in agent_names(layout))]
    for path in paths:
        try:
            value: dict[str, Any] | None = read_object(path)
        except Unreadable as error:
            value = error.value
        except FileNotFoundError:
            continue
        for place in _tokens(value, ""):
            yield warning(
                path.relative_to(layout.root).as_posix(),
                f"{place}: what stands there looks like a token",
                "make it void where it was issued, then lend a new one through credentials (from_env or from_command)",
            )


def _tokens(value: object, path: str) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _tokens(inner, join(path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _tokens(inner, join(path, index))
    elif isinstance(value, str) and looks_like_token(value):
        yield path

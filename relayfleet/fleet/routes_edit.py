"""Changes to routes.json as a person would make them: what is not concerned stays as it was written. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relayfleet.config.routes import RoutesFile, to_gate
from relayfleet.fleet.gate_review import finds
from relayfleet.model.names import Role
from relayfleet.model.route import Match, values_of

STARTER_POLL_SEC = 240

RawGate = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """The watch that a role begins with; its route matches the watch by name."""

    name: str
    kind: str
    repo: str
    filter: str


def starter_of(role: Role, repo: str) -> Starter | None:
    """What a new agent of `role` listens to, or None when the role begins with nothing."""
    short = re.sub(r"[^a-z0-9._-]+", "-", repo.rpartition("/")[2].lower()).strip("._-") or "repo"
    if role == "coder":
        return Starter(name=f"{short}-assigned", kind="issues", repo=repo, filter="--search assignee:@me --state open")
    if role == "reviewer":
        return Starter(name=f"{short}-prs", kind="pulls", repo=repo, filter="--state open")
    if role == "manager":
        return Starter(name="mentions", kind="issues", repo=repo, filter="--search mentions:@me --state open")
    return None


def add_starter(raw: Mapping[str, Any], starter: Starter, agent: str) -> tuple[RawGate, str]:
    """routes.json with the starter for `agent`, and the name that its watch got.

    A watch that is there with the same content is shared; a name that another watch has gets a number.
    """
    watches = list(raw.get("watches", []))
    routes = list(raw.get("routes", []))
    name = next((w["name"] for w in watches if _same_content(w, starter)), None)
    if name is None:
        name = _free_name(starter.name, {w["name"] for w in watches})
        watches.append(
            {
                "name": name,
                "kind": starter.kind,
                "repo": starter.repo,
                "filter": starter.filter,
                "poll_sec": STARTER_POLL_SEC,
            }
        )
    if not any(r["match"] == {"watch": name} and agent in r["to"] for r in routes):
        routes.append({"match": {"watch": name}, "to": [agent]})
    return {**raw, "watches": watches, "routes": routes}, name


def take_out(raw: Mapping[str, Any], agent: str) -> tuple[RawGate, int, tuple[str, ...]]:
    """routes.json without `agent`; how many routes lost it; the names of the watches that went with them.

    A route that is left with nobody goes. So does a watch that such a route named, unless another route can still match
    what it finds.
    """
    gate = to_gate(RoutesFile.model_validate(dict(raw)))
    kept: list[dict[str, Any]] = []
    matches: list[Match] = []
    named: set[str] = set()
    touched = 0
    for written, route in zip(raw.get("routes", []), gate.routes, strict=True):
        left = [name for name in written["to"] if name != agent]
        touched += agent in written["to"]
        if left:
            kept.append({**written, "to": left} if agent in written["to"] else written)
            matches.append(route.match)
        else:
            named.update(values_of(route.match.watch or ()))
    idle = {w.name for w in gate.watches if w.name in named and not any(finds(w, match) for match in matches)}
    watches = [written for written in raw.get("watches", []) if written["name"] not in idle]
    changed = {**raw, "watches": watches, "routes": kept} if touched else dict(raw)
    return changed, touched, tuple(w.name for w in gate.watches if w.name in idle)


def _same_content(watch: Mapping[str, Any], starter: Starter) -> bool:
    return bool(
        watch["kind"] == starter.kind
        and watch["repo"].casefold() == starter.repo.casefold()
        and watch.get("filter", "").split() == starter.filter.split()
    )


def _free_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name

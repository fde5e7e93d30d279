"""What is valid in routes.json and still probably not meant. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from relayfleet.config.faults import did_you_mean
from relayfleet.model.filter import RUN_STATUSES
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.watch import Watch

_STATES = frozenset({"open", "closed", "merged", *RUN_STATUSES})
RemarkKind = Literal["catch-all", "unknown-agent", "unknown-watch", "never-matches", "unused-watch", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """`where` is the path in routes.json (`routes[2]`), `fix` what to do about it."""

    kind: RemarkKind
    where: str
    what: str
    fix: str


def review_gate(gate: Gate, agents: Collection[str]) -> tuple[Remark, ...]:
    """Remarks on every route and watch, in the order of the file. `agents` are those that there are."""
    watches = {watch.name: watch for watch in gate.watches}
    remarks: list[Remark] = []
    for index, route in enumerate(gate.routes):
        remarks += _review_route(f"routes[{index}]", route, watches, agents)
    for index, watch in enumerate(gate.watches):
        if not any(_can_match(route.match, watch) for route in gate.routes):
            remarks.append(
                Remark(
                    kind="unused-watch",
                    where=f"watches[{index}]",
                    what=f"no route can match what watch {watch.name!r} finds",
                    fix=f'add a route with "match": {{ "watch": "{watch.name}" }}, or take the watch out',
                )
            )
    return tuple(remarks)


def _review_route(where: str, route: Route, watches: dict[str, Watch], agents: Collection[str]) -> list[Remark]:
    remarks = []
    match = route.match
    if match.is_empty():
        remarks.append(
            Remark(
                kind="catch-all",
                where=where,
                what=f"an empty match is a catch-all: everything goes to {', '.join(route.to)}",
                fix="give the match at least one key",
            )
        )
    for name in route.to:
        if name not in agents:
            remarks.append(
                Remark(
                    kind="unknown-agent",
                    where=where,
                    what=f"no agent is called {name!r}{did_you_mean(name, list(agents))}",
                    fix=f"correct the name, or create it: `fleet new-agent {name} --role <role>`",
                )
            )
    watch = watches.get(match.watch) if match.watch is not None else None
    if match.watch is not None and watch is None:
        remarks.append(
            Remark(
                kind="unknown-watch",
                where=where,
                what=f"no watch is called {match.watch!r}{did_you_mean(match.watch, list(watches))}",
                fix="correct match.watch, or add the watch",
            )
        )
    elif not any(_can_match(match, w) for w in ([watch] if watch else watches.values())):
        remarks.append(
            Remark(
                kind="never-matches",
                where=where,
                what="it never matches: no watch finds what it asks for",
                fix="add a watch for its repo and kind, or correct the match",
            )
        )
    elif match.state is not None and match.state.lower() not in _STATES:
        remarks.append(
            Remark(
                kind="never-matches",
                where=where,
                what=f"it never matches: no item has state {match.state!r}{did_you_mean(match.state, sorted(_STATES))}",
                fix="correct match.state",
            )
        )
    if route.trust == "anyone":
        remarks.append(
            Remark(
                kind="open",
                where=where,
                what=f"strangers can reach {', '.join(route.to)}: trust is anyone",
                fix='leave trust out, or narrow it ("contributors", "collaborators", a list of logins)',
            )
        )
    return remarks


def _can_match(match: Match, watch: Watch) -> bool:
    return (
        match.watch in (None, watch.name)
        and match.kind in (None, watch.kind)
        and (match.repo is None or match.repo.casefold() == watch.repo.casefold())
    )

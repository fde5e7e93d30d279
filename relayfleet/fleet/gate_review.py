"""What is valid in routes.json and still probably not meant. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relayfleet.config.faults import did_you_mean
from relayfleet.model.filter import CONCLUSIONS, RUN_STATUSES
from relayfleet.model.item import KINDS, Kind
from relayfleet.model.route import Clause, Gate, Key, Match, Route, clauses_of, values_of, whole_address
from relayfleet.model.watch import Watch

RemarkKind = Literal["catch-all", "unknown-agent", "unknown-watch", "never-matches", "unused-watch", "open"]
# The kinds of item that have what a key asks for, where it is not all of them.
_HAVE: Mapping[Key, tuple[Kind, ...]] = {
    "label": ("issues", "pulls"),
    "assignee": ("issues", "pulls"),
    "draft": ("pulls",),
    "base": ("pulls",),
    "branch": ("pulls", "runs"),
    "workflow": ("runs",),
    "conclusion": ("runs",),
}
_STATES: Mapping[Kind, Collection[str]] = {
    "issues": ("open", "closed"),
    "pulls": ("open", "closed", "merged"),
    "runs": RUN_STATUSES,
}
_OF_ITEMS = ("opened", "matched", "left", "closed", "reopened", "commented", "updated", "transferred")
_OF_ITEMS_LISTED = ("assigned", "unassigned", "labeled", "unlabeled")
_EVENTS: Mapping[Kind, Collection[str]] = {
    "issues": (*_OF_ITEMS, *_OF_ITEMS_LISTED),
    "pulls": (
        *_OF_ITEMS, *_OF_ITEMS_LISTED, "merged", "check_failed", "checks_passed", "reviewed", "review_requested",
        "pushed", "readied", "drafted",
    ),
    "runs": ("opened", "matched", "left", "completed", "check_failed", "updated"),
}  # fmt: skip
_KNOWN: Mapping[Key, Mapping[Kind, Collection[str]]] = {
    "state": _STATES,
    "event": _EVENTS,
    "conclusion": {"issues": (), "pulls": (), "runs": CONCLUSIONS},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """`where` is the path in routes.json (`routes[2]`), `fix` what to do about it."""

    kind: RemarkKind
    where: str
    what: str
    fix: str


def review_gate(gate: Gate, agents: Collection[str]) -> tuple[Remark, ...]:
    """Remarks on every route and watch, in the order of the file. `agents` are those that there are."""
    remarks: list[Remark] = []
    for index, route in enumerate(gate.routes):
        where = f"routes[{index}]"
        remarks += _review_reach(where, route, agents)
        remarks += _review_match(where, route.match, gate.watches)
        remarks += _review_trust(where, route)
    for index, watch in enumerate(gate.watches):
        if not any(finds(watch, route.match) for route in gate.routes):
            remarks.append(
                Remark(
                    kind="unused-watch",
                    where=f"watches[{index}]",
                    what=f"no route can match what watch {watch.name!r} finds",
                    fix=f'add a route with "match": {{ "watch": "{watch.name}" }}, or take the watch out',
                )
            )
    return tuple(remarks)


def _review_reach(where: str, route: Route, agents: Collection[str]) -> Iterator[Remark]:
    if route.match.is_catch_all():
        spared = " but what `not` leaves out" if route.match.not_.given() else ""
        yield Remark(
            kind="catch-all",
            where=where,
            what=f"an empty match is a catch-all: everything{spared} goes to {', '.join(route.to)}",
            fix="give the match at least one key",
        )
    for name in route.to:
        if name not in agents:
            yield Remark(
                kind="unknown-agent",
                where=where,
                what=f"no agent is called {name!r}{did_you_mean(name, list(agents))}",
                fix=f"correct the name, or create it: `fleet new-agent {name} --role <role>`",
            )


def _review_match(where: str, match: Match, watches: Sequence[Watch]) -> Iterator[Remark]:
    names = [watch.name for watch in watches]
    for key, keys in (("match.watch", match), ("match.not.watch", match.not_)):
        for name in values_of(keys.watch or ()):
            if name not in names:
                yield Remark(
                    kind="unknown-watch",
                    where=where,
                    what=f"no watch is called {name!r}{did_you_mean(name, names)}",
                    fix=f"correct {key}, or add the watch",
                )
    if match.watch is not None and not set(names).intersection(values_of(match.watch)):
        return
    reason = _why_never(match, watches)
    if reason:
        yield Remark(kind="never-matches", where=where, what=f"it never matches: {reason[0]}", fix=reason[1])


def _why_never(match: Match, watches: Sequence[Watch]) -> tuple[str, str] | None:
    """(why, what to do), or None when it can match."""
    seen = [watch for watch in watches if _names(match, watch)]
    if not seen:
        return "no watch finds what it asks for", "add a watch for its repo and kind, or correct the match"
    kinds = {watch.kind for watch in seen}
    for key, wanted in match.given().items():
        having = set(_kinds_with(key, values_of(wanted)))
        if not having & kinds:
            words = ", ".join(map(repr, values_of(wanted)))
            return (
                f"{key} {words} is of {' and '.join(_sorted(having))}, and its watches are of "
                f"{' and '.join(_sorted(kinds))}",
                f"correct match.{key}, or add a watch of {' or '.join(_sorted(having))}",
            )
        kinds &= having
    for positive in (clause for clause in clauses_of(match) if not clause.negated):
        for negative in (clause for clause in clauses_of(match) if clause.negated and clause.key == positive.key):
            if _covers(negative, positive):
                return f"not.{positive.key} leaves out all that {positive.key} asks for", "take one of the two out"
    return None


def _review_trust(where: str, route: Route) -> Iterator[Remark]:
    to = ", ".join(route.to)
    if route.trust == "anyone":
        yield Remark(
            kind="open",
            where=where,
            what=f"strangers can reach {to}: trust is anyone",
            fix='leave trust out, or narrow it ("contributors", "collaborators", a list of logins)',
        )
    listed = route.trust if isinstance(route.trust, tuple) else ()
    bots = [login for login in dict.fromkeys((*route.bots, *listed)) if login.casefold().endswith("[bot]")]
    if bots:
        yield Remark(
            kind="open",
            where=where,
            what=f"strangers can reach {to} through {', '.join(bots)}, if it repeats what others wrote",
            fix="let through only bots that write nothing but their own words",
        )


def finds(watch: Watch, match: Match) -> bool:
    """Whether what a watch finds can match."""
    return _names(match, watch) and all(
        watch.kind in _kinds_with(key, values_of(wanted)) for key, wanted in match.given().items()
    )


def _names(match: Match, watch: Watch) -> bool:
    """Whether a match asks for a watch as far as name, repository and kind go."""
    known: dict[Key, str] = {"watch": watch.name, "repo": whole_address(watch.repo), "kind": watch.kind}
    asked = [clause for clause in clauses_of(match) if clause.key in known]
    return all(_fits(clause, known[clause.key]) is not clause.negated for clause in asked)


def _kinds_with(key: Key, wanted: Sequence[str]) -> Iterable[Kind]:
    """The kinds of item of which one of the wanted values can be true."""
    known = _KNOWN.get(key)
    if known is None:
        return _HAVE.get(key, KINDS)
    folded = {value.casefold() for value in wanted}
    return [kind for kind in KINDS if folded.intersection(known[kind])]


def _fits(clause: Clause, value: str) -> bool:
    return (
        value in clause.equal
        or any(pattern.fits(value) for pattern in clause.patterns)
        or any(part in value for part in clause.parts)
    )


def _covers(negative: Clause, positive: Clause) -> bool:
    """Whether everything that one clause asks for is left out by the other."""
    if positive.patterns:
        return set(positive.patterns) <= set(negative.patterns) and all(_fits(negative, one) for one in positive.equal)
    return all(_fits(negative, value) for value in (*positive.equal, *positive.parts))


def _sorted(kinds: Iterable[Kind]) -> list[Kind]:
    return [kind for kind in KINDS if kind in kinds]

"""Finds the routes that an event matches without asking each route.

A tree. Each node sorts its routes into buckets by the value of one of their keys, so that an event looks up its own
values and meets only routes that ask for one of them; a bucket that is still large is a node of its own. What a key
means is not said here: the buckets only leave out what cannot match, and the clauses of `route.py` decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from relayfleet.model.event import Event
from relayfleet.model.route import Clause, Facts, Gate, Key, clauses_of
from relayfleet.model.trust import Rule, rule_of

# The keys that sort, the ones with the most different values first; the last ones nearly every event has.
_NARROW: tuple[Key, ...] = ("watch", "repo", "label", "author", "assignee", "branch", "workflow", "base")
_BROAD: tuple[Key, ...] = ("conclusion", "event", "association", "state", "draft", "kind")
_ORDER: Mapping[Key, int] = {key: place for place, key in enumerate((*_NARROW, *_BROAD))}
# So few routes are asked one by one.
_FEW = 8
# A route that names many values stands in as many buckets: below the first level only short lists are sorted by.
_DEPTH = 4
_SHORT = 4
# So many parts of a text are looked for by their grams: pieces of _GRAM characters. Of a text every _GRAM-th one is
# looked up, and one of these lies whole within any part of at least 2 * _GRAM - 1 characters that the text has.
_MANY = 32
_GRAM = 3

_Clauses = tuple[Clause, ...]
# A route and what is still to be asked of an event that came this far. A tuple, as all that is met for each event.
_Asked = tuple[int, _Clauses]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The routes that look for a part of a text: the parts, and the route that each one is of; those with `grams` are
    not among them."""

    key: Key
    parts: tuple[str, ...]
    routes: tuple[_Asked, ...]
    grams: Mapping[str, tuple[tuple[str, _Asked], ...]]


@dataclass(frozen=True, slots=True)
class _Node:
    """`sure` are routes of which nothing is left to ask, `asked` those that are asked one by one. `buckets` are by a
    value of the event, `heads` by the beginning of one, with the lengths that there are."""

    sure: tuple[int, ...]
    asked: tuple[_Asked, ...]
    parts: tuple[_Parts, ...]
    buckets: tuple[tuple[Key, Mapping[str, tuple[_Asked, ...] | _Node]], ...]
    heads: tuple[tuple[Key, tuple[int, ...], Mapping[str, tuple[_Asked, ...]]], ...]


@dataclass(frozen=True, slots=True)
class GateIndex:
    """A gate, made ready for many events. `rules` are what its routes say of trust, and `ruled` says which of these is
    each route's."""

    gate: Gate
    rules: tuple[Rule, ...]
    ruled: tuple[int, ...]
    root: _Node


def index_of(gate: Gate) -> GateIndex:
    known: dict[Clause, Clause] = {}
    routes = [
        (index, tuple(known.setdefault(clause, clause) for clause in clauses_of(route.match)))
        for index, route in enumerate(gate.routes)
    ]
    numbers: dict[Rule, int] = {}
    ruled = tuple(numbers.setdefault(rule_of(route.trust, route.bots), len(numbers)) for route in gate.routes)
    return GateIndex(gate=gate, rules=tuple(numbers), ruled=ruled, root=_node(routes, {}, depth=0))


def matching(index: GateIndex, event: Event) -> list[int]:
    """The indices (in routes.json, from 0) of the routes that match, in order."""
    found: set[int] = set()
    _collect(index.root, Facts(event), found)
    return sorted(found)


def _collect(node: _Node, facts: Facts, found: set[int]) -> None:
    found.update(node.sure)
    _ask(node.asked, facts, found)
    for parts in node.parts:
        for text in facts[parts.key]:
            _look_for(parts, text, facts, found)
    for key, buckets in node.buckets:
        for value in facts[key]:
            below = buckets.get(value)
            if below is None:
                continue
            if isinstance(below, tuple):
                _ask(below, facts, found)
            else:
                _collect(below, facts, found)
    for key, lengths, heads in node.heads:
        for value in facts[key]:
            for length in lengths:
                _ask(heads.get(value[:length], ()), facts, found)


def _look_for(parts: _Parts, text: str, facts: Facts, found: set[int]) -> None:
    _ask(compress(parts.routes, map(text.__contains__, parts.parts)), facts, found)
    if parts.grams:
        for at in range(0, len(text) - _GRAM + 1, _GRAM):
            hits = parts.grams.get(text[at : at + _GRAM])
            if hits is not None:
                _ask((one for part, one in hits if part in text), facts, found)


def _ask(routes: Iterable[_Asked], facts: Facts, found: set[int]) -> None:
    for index, clauses in routes:
        for clause in clauses:
            if not clause.holds(facts):
                break
        else:
            found.add(index)


def _node(routes: Sequence[_Asked], shared: dict[_Clauses, _Clauses], *, depth: int) -> _Node:
    """`shared` holds what routes have in common, once: what is met for each event is then little, and near at hand."""
    left = [one for one in routes if one[1]]
    crowd = Counter((clause.key, value) for _, clauses in left for clause in clauses for value in _sorted_by(clause))
    longest = _SHORT if 0 < depth < _DEPTH else None if depth == 0 else 0
    asked: list[_Asked] = []
    parts: dict[Key, list[tuple[str, _Asked]]] = {}
    buckets: dict[Key, dict[str, list[_Asked]]] = {}
    heads: dict[Key, dict[str, list[_Asked]]] = {}
    for one in left:
        index, clauses = one
        chosen = _chosen(clauses, crowd, longest=longest)
        if chosen is None:
            asked.append(one)
            continue
        others = tuple(clause for clause in clauses if clause is not chosen)
        rest = index, shared.setdefault(others, others)
        for value in chosen.equal:
            buckets.setdefault(chosen.key, {}).setdefault(value, []).append(rest)
        for pattern in chosen.patterns:
            heads.setdefault(chosen.key, {}).setdefault(pattern.head, []).append(one)
        for part in chosen.parts:
            parts.setdefault(chosen.key, []).append((part, rest))
    return _Node(
        sure=tuple(index for index, clauses in routes if not clauses),
        asked=tuple(asked),
        parts=tuple(_parts(key, pairs) for key, pairs in parts.items()),
        buckets=tuple(
            (key, {value: _below(of, shared, depth=depth + 1) for value, of in by_value.items()})
            for key, by_value in buckets.items()
        ),
        heads=tuple(
            (key, tuple(sorted({len(head) for head in by_head})), {head: tuple(of) for head, of in by_head.items()})
            for key, by_head in heads.items()
        ),
    )


def _below(routes: Sequence[_Asked], shared: dict[_Clauses, _Clauses], *, depth: int) -> tuple[_Asked, ...] | _Node:
    return tuple(routes) if len(routes) <= _FEW else _node(routes, shared, depth=depth)


def _parts(key: Key, pairs: Sequence[tuple[str, _Asked]]) -> _Parts:
    short = pairs if len(pairs) < _MANY else [pair for pair in pairs if len(pair[0]) < 2 * _GRAM - 1]
    grams: dict[str, list[tuple[str, _Asked]]] = {}
    for pair in pairs if len(pairs) >= _MANY else ():
        if len(pair[0]) >= 2 * _GRAM - 1:
            for at in range(_GRAM):
                grams.setdefault(pair[0][at : at + _GRAM], []).append(pair)
    return _Parts(
        key=key,
        parts=tuple(part for part, _ in short),
        routes=tuple(one for _, one in short),
        grams={gram: tuple(of) for gram, of in grams.items()},
    )


def _chosen(clauses: Sequence[Clause], crowd: Mapping[tuple[Key, str], int], *, longest: int | None) -> Clause | None:
    """The clause to sort a route by: of the keys with many values, that whose values the fewest routes ask for. Failing
    that, one that looks for a part of a text."""
    best, least = None, None
    for clause in clauses:
        values = _sorted_by(clause)
        if not values or (longest is not None and len(values) > longest):
            continue
        weight = (clause.key in _BROAD, max(crowd[clause.key, value] for value in values), _ORDER[clause.key])
        if least is None or weight < least:
            best, least = clause, weight
    return best or next((clause for clause in clauses if clause.parts and not clause.negated), None)


def _sorted_by(clause: Clause) -> tuple[str, ...]:
    """The values under which a route stands that is sorted by this clause, a pattern as its beginning and a `*`; none
    when it cannot be."""
    if clause.negated or any(not pattern.head for pattern in clause.patterns):
        return ()
    return (*clause.equal, *(f"{pattern.head}*" for pattern in clause.patterns))

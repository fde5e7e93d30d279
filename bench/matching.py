"""What the gate costs for one event, by how many routes there are: matching alone, and the whole verdict with trust."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.figure import Figure, median
from relayfleet.model.change import Changes
from relayfleet.model.event import Event
from relayfleet.model.gate import judge
from relayfleet.model.gate_index import GateIndex, index_of, matching
from relayfleet.model.item import Item, Note
from relayfleet.model.route import Gate, Keys, Match, Route

_SIZES = (100, 1_000, 10_000)
_EVENTS = 1_000
_ROUNDS = 9
_MOST_US = {"match": 20.0, "judge": 50.0}
_OF = {"match": "20 us, at most 1 % of the routes without an equality key", "judge": "half of 100 us an item"}
_FLAT = 1.5
_TEXT = "When it rains the label printer burns and the pump hums; the log below says what happened next.\n" * 20


_Work = Callable[[GateIndex, Event], object]


def run() -> list[Figure]:
    gates = {size: _gate(size) for size in _SIZES}
    begin = time.perf_counter()
    indices = {size: index_of(gate) for size, gate in gates.items()}
    built = time.perf_counter() - begin
    events = {size: _events(size) for size in _SIZES}
    matched = {size: sum(len(matching(indices[size], one)) for one in events[size]) / _EVENTS for size in _SIZES}
    works: dict[str, _Work] = {"match": matching, "judge": judge}
    figures = []
    for name, work in works.items():
        cost = _cost_us(work, indices, events)
        figures += [
            Figure(
                name=f"{name} one event, {size:,} routes ({matched[size]:.1f} match)",
                value=cost[size],
                unit="us",
                bound=_MOST_US[name],
                reference=_OF[name],
            )
            for size in _SIZES
        ]
        figures.append(
            Figure(
                name=f"{name} one event, {_SIZES[-1]:,} routes to {_SIZES[0]:,}",
                value=cost[_SIZES[-1]] / cost[_SIZES[0]],
                unit="x",
                bound=_FLAT,
                reference="flat within 1.5 x",
            )
        )
    index_all = Figure(
        name=f"index gates of {', '.join(f'{size:,}' for size in _SIZES)} routes",
        value=built,
        unit="s",
        bound=1,
        reference="1 s, once at start and after an edit",
    )
    return [*figures, index_all]


def _cost_us(work: _Work, indices: Mapping[int, GateIndex], events: Mapping[int, Sequence[Event]]) -> dict[int, float]:
    times: dict[int, list[float]] = {size: [] for size in indices}
    for _ in range(_ROUNDS):  # in turn, so that a slow moment of the machine meets all of them
        for size, index in indices.items():
            begin = time.perf_counter()
            for event in events[size]:
                work(index, event)
            times[size].append((time.perf_counter() - begin) / _EVENTS * 1e6)
    return {size: median(found) for size, found in times.items()}


def _gate(size: int) -> Gate:
    """Ten routes to a repository, of which an event there matches three; of a hundred routes, one has no equality
    key."""
    routes = []
    for number in range(size):
        repo = number // 10
        match = (
            Match(watch=f"watch-{repo}", event=("opened", "labeled")),
            Match(repo=f"acme/repo-{repo}", kind="issues", label=("bug", f"area-{repo % 7}")),
            Match(repo=f"acme/repo-{repo}", kind="pulls", base="main", not_=Keys(draft=True)),
            Match(repo=f"acme/repo-{repo}", label="needs-human"),
            Match(watch=f"watch-{repo}", event="check_failed"),
            Match(author=f"dev-{repo}", state="closed"),
            Match(assignee=f"hub-{repo}", association=("member", "owner")),
            Match(repo=f"acme/repo-{repo}", branch="release/*"),
            Match(title_contains=f"incident {number}") if repo % 10 == 9 else Match(label=f"team-{number}"),
            Match(workflow=f"build-{repo}.yml", conclusion="failure"),
        )[number % 10]
        routes.append(Route(match=match, to=(f"agent-{number}",), trust="contributors" if number % 3 else None))
    return Gate(routes=tuple(routes))


def _events(size: int) -> list[Event]:
    note = Note(
        kind="comment",
        node_id="IC_1",
        url="https://github.com/acme/repo/issues/1#issuecomment-1",
        author="eve",
        association="NONE",
        body=_TEXT,
        created_at="2026-01-31T10:00:00Z",
        updated_at="2026-01-31T10:00:00Z",
    )
    return [_event(number * 37 % (size // 10), note) for number in range(_EVENTS)]


def _event(repo: int, note: Note) -> Event:
    return Event(
        watch=f"watch-{repo}",
        names=("commented", "labeled"),
        item=Item(
            repo=f"acme/repo-{repo}",
            private=False,
            kind="issues",
            node_id=f"I_{repo}",
            number=41,
            title="The label printer burns when it rains",
            body=_TEXT,
            url="https://github.com/acme/repo/issues/41",
            author=f"dev-{repo}",
            association="MEMBER",
            state="open",
            labels=("Bug", "P1", "hardware"),
            assignees=(f"hub-{repo}",),
        ),
        key=f"issues/I_{repo}/0123456789abcdef",
        watched_repo=f"acme/repo-{repo}",
        changes=Changes(notes=(note,)),
    )

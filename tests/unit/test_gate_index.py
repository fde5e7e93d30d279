"""The index finds the routes that a plain scan of all routes finds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relayfleet.model.change import Changes
from relayfleet.model.event import Event
from relayfleet.model.gate_index import index_of, matching
from relayfleet.model.item import Item, Note
from relayfleet.model.route import Gate, Keys, Match, Route, matches

# Few values, in several cases, so that routes and events meet.
REPOS = ("acme/WMS", "ACME/wms", "acme/shop", "ghe.acme.com/acme/WMS", "acme/*", "acme/w*", "ghe.acme.com/Acme/*")
LOGINS = ("ann", "Bob", "BOB", "ci[bot]")
LABELS = ("bug", "Bug", "wip", "straße", "STRASSE")
BRANCHES = ("main", "Main", "release/1", "release/2", "topic")
WILD = (*BRANCHES, "release/*", "*", "*/2", "re*/1", "m*")
TEXTS = ("crash", "CRASH", "ash", "s", "straße", "strasse")


def wanted(values: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=6).map(tuple)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "watch": wanted(("w", "v", "W")),
    "repo": wanted(REPOS),
    "kind": wanted(("issues", "pulls", "runs")),
    "label": wanted(LABELS),
    "author": wanted(LOGINS),
    "association": wanted(("owner", "MEMBER", "stranger", "none")),
    "assignee": wanted(LOGINS),
    "state": wanted(("open", "closed", "merged", "completed", "failure")),
    "event": wanted(("opened", "commented", "labeled", "closed")),
    "draft": st.none() | st.booleans(),
    "base": wanted(WILD),
    "branch": wanted(WILD),
    "workflow": wanted(("CI", "ci.yml", "Nightly")),
    "conclusion": wanted(("failure", "success")),
    "title_contains": wanted(TEXTS),
    "body_contains": wanted(TEXTS),
}


def keys(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: VALUES[name] for name in names})


NAMES = st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True)
OF_TEXTS = st.sampled_from([["title_contains"], ["body_contains"], ["title_contains", "body_contains"]])
# What is left out is often of the same keys as what is asked for.
ROUTES = (NAMES | OF_TEXTS).flatmap(
    lambda names: st.builds(
        lambda given, left_out: Route(match=Match(**given, not_=Keys(**left_out)), to=("a",)),
        keys(names),
        st.just({}) | keys(names) | NAMES.flatmap(keys),
    )
)
SENTENCES = st.sampled_from(("", "It crashes", "the crash", "A CRASH in the Straße", "nothing", "ash"))
NOTES = st.builds(
    lambda body: Note(
        kind="comment", node_id="N", url="", author="a", association="", body=body, created_at="", updated_at=""
    ),
    SENTENCES,
)
ITEMS = st.builds(
    Item,
    host=st.sampled_from(["github.com", "ghe.acme.com"]),
    repo=st.sampled_from(["acme/WMS", "Acme/Shop", "other/WMS"]),
    private=st.just(False),
    kind=st.sampled_from(["issues", "pulls", "runs"]),
    node_id=st.just("I"),
    number=st.just(1),
    title=SENTENCES,
    body=SENTENCES,
    url=st.just(""),
    author=st.sampled_from(LOGINS),
    association=st.sampled_from(["OWNER", "MEMBER", "NONE", ""]),
    state=st.sampled_from(["open", "closed", "merged", "completed"]),
    labels=st.lists(st.sampled_from(LABELS), max_size=3).map(tuple),
    assignees=st.lists(st.sampled_from(LOGINS), max_size=2).map(tuple),
    draft=st.booleans(),
    base=st.sampled_from(["", *BRANCHES]),
    branch=st.sampled_from(["", *BRANCHES]),
    workflow=st.sampled_from(["", "ci", "nightly"]),
    workflow_file=st.sampled_from(["", "ci.yml"]),
    conclusion=st.sampled_from(["", "failure", "success"]),
)
EVENTS = st.builds(
    lambda item, watch, names, watched_repo, notes: Event(
        watch=watch, names=names, item=item, key="k", watched_repo=watched_repo, changes=Changes(notes=notes)
    ),
    ITEMS,
    st.sampled_from(["w", "v", "other"]),
    st.lists(st.sampled_from(["opened", "commented", "labeled", "updated"]), min_size=1, unique=True).map(tuple),
    st.sampled_from(["", "acme/wms", "GHE.acme.com/acme/WMS"]),
    st.lists(NOTES, max_size=2).map(tuple),
)


def scan(gate: Gate, event: Event) -> list[int]:
    return [index for index, route in enumerate(gate.routes) if matches(route, event)]


@settings(deadline=None, max_examples=300)
@given(st.lists(ROUTES, max_size=60), st.lists(EVENTS, min_size=1, max_size=5))
def test_the_index_answers_as_the_plain_scan_does(routes: list[Route], events: list[Event]) -> None:
    gate = Gate(routes=tuple(routes))
    index = index_of(gate)
    for event in events:
        assert matching(index, event) == scan(gate, event)


@settings(deadline=None, max_examples=50)
@given(st.lists(ROUTES, min_size=1, max_size=6), EVENTS)
def test_it_does_so_in_crowds(routes: list[Route], event: Event) -> None:
    """Many routes that share their keys: buckets below buckets, down to the last level."""
    gate = Gate(routes=tuple(routes * 40))
    assert matching(index_of(gate), event) == scan(gate, event)


def calls_while(action: Callable[[], object]) -> int:
    """How many Python functions `action` calls: what it costs, without a clock."""
    count = 0

    def note(frame: object, what: str, argument: object) -> None:
        nonlocal count
        count += what == "call"

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def test_its_cost_follows_the_routes_that_match_and_not_those_that_there_are() -> None:
    event = Event(
        watch="w-1",
        names=("labeled",),
        item=Item(
            repo="acme/r-1",
            private=False,
            kind="pulls",
            node_id="I",
            number=1,
            title="It crashes",
            body="",
            url="",
            author="dev-1",
            association="MEMBER",
            state="open",
            labels=("area-1", "Bug"),
            branch="topic-1",
            base="main",
        ),
        key="k",
    )

    def gate(repos: int) -> Gate:
        """Routes that share each of their keys with many others, but not all of them with any."""
        pairs = [(repo, area) for repo in range(repos) for area in range(repos)]
        grid = [Match(repo=f"acme/r-{repo}", label=f"area-{area}", state="open") for repo, area in pairs]
        lists = [Match(author=(f"dev-{n}", f"dev-{n + 1000}"), base="main") for n in range(repos)]
        owners = [Match(repo=f"owner-{n}/*", kind="pulls") for n in range(repos)]
        branches = [Match(branch=f"topic-{n}*", draft=False) for n in range(repos)]
        matches = [*grid, *lists, *owners, *branches]
        return Gate(routes=tuple(Route(match=match, to=("a",)) for match in matches))

    small, large = gate(20), gate(60)
    few, many = index_of(small), index_of(large)
    assert matching(few, event) == scan(small, event)
    assert matching(many, event) == scan(large, event)
    wider = len(scan(large, event)) - len(scan(small, event))
    assert calls_while(lambda: matching(many, event)) - calls_while(lambda: matching(few, event)) <= 10 + 20 * wider

"""Changes to routes.json, and JSON that reads well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relayfleet.fleet.gate_review import Remark, review_gate
from relayfleet.fleet.pretty_json import pretty_json
from relayfleet.fleet.routes_edit import Starter, add_starter, starter_of, take_out
from relayfleet.model.route import Gate, Keys, Match, Route
from relayfleet.model.watch import Watch

EMPTY: dict[str, Any] = {"watches": [], "routes": []}


def starter(role: Any, repo: str) -> Starter:
    made = starter_of(role, repo)
    assert made is not None
    return made


def test_starters_of_the_roles() -> None:
    coder, reviewer, manager = (starter(role, "acme/WMS") for role in ("coder", "reviewer", "manager"))
    assert (coder.name, coder.kind, coder.filter) == ("wms-assigned", "issues", "--search assignee:@me --state open")
    assert (reviewer.name, reviewer.kind, reviewer.filter) == ("wms-prs", "pulls", "--state open")
    assert (manager.name, manager.kind, manager.filter) == ("mentions", "issues", "--search mentions:@me --state open")
    assert starter_of("base", "acme/WMS") is None
    assert starter_of("orchestrator", "acme/WMS") is None
    assert starter("coder", "acme/.github").name == "github-assigned"
    assert starter("coder", "acme/___").name == "repo-assigned"


def test_a_watch_of_the_same_content_is_shared() -> None:
    raw, first = add_starter(EMPTY, starter("coder", "acme/WMS"), "a")
    raw, second = add_starter(raw, starter("coder", "ACME/wms"), "b")
    assert (first, second) == ("wms-assigned", "wms-assigned")
    assert len(raw["watches"]) == 1
    assert raw["routes"] == [
        {"match": {"watch": "wms-assigned"}, "to": ["a"]},
        {"match": {"watch": "wms-assigned"}, "to": ["b"]},
    ]


def test_a_name_that_is_taken_gets_a_number() -> None:
    raw, _ = add_starter(EMPTY, starter("coder", "acme/WMS"), "a")
    raw, second = add_starter(raw, starter("coder", "other/WMS"), "b")
    raw, third = add_starter(raw, starter("coder", "third/WMS"), "c")
    assert (second, third) == ("wms-assigned-2", "wms-assigned-3")


def test_adding_twice_is_adding_once() -> None:
    once, _ = add_starter(EMPTY, starter("coder", "acme/WMS"), "a")
    assert add_starter(once, starter("coder", "acme/WMS"), "a")[0] == once


def test_what_a_person_wrote_stays() -> None:
    raw = {"$schema": "s", "routes": [{"match": {"label": "x"}, "to": ["z"], "trust": "anyone"}], "watches": []}
    changed, _ = add_starter(raw, starter("reviewer", "acme/WMS"), "a")
    assert list(changed) == ["$schema", "routes", "watches"]
    assert changed["routes"][0] is raw["routes"][0]


def test_taking_out_undoes_the_starter() -> None:
    raw, _ = add_starter(EMPTY, starter("coder", "acme/WMS"), "a")
    assert take_out(raw, "a") == (EMPTY, 1, ("wms-assigned",))


def test_a_watch_stays_while_another_route_can_use_it() -> None:
    raw, _ = add_starter(EMPTY, starter("reviewer", "acme/WMS"), "a")
    for match in (
        {},
        {"repo": "ACME/wms"},
        {"repo": ["x/y", "acme/*"]},
        {"kind": "pulls", "label": "x"},
        {"watch": "wms-prs"},
        {"watch": ["v", "wms-prs"]},
    ):
        shared = {**raw, "routes": [*raw["routes"], {"match": match, "to": ["b"]}]}
        changed, touched, watches = take_out(shared, "a")
        assert (changed["watches"], touched, watches) == (raw["watches"], 1, ())
    for only in ({"kind": "runs"}, {"kind": ["runs", "pulls"], "not": {"watch": "wms-prs"}}):
        other = {**raw, "routes": [*raw["routes"], {"match": only, "to": ["b"]}]}
        assert take_out(other, "a")[2] == ("wms-prs",)
    listed = {**raw, "routes": [{"match": {"watch": ["wms-prs", "v"]}, "to": ["a"]}]}
    assert take_out(listed, "a")[2] == ("wms-prs",)


def test_others_of_a_route_stay() -> None:
    raw = {"watches": [], "routes": [{"match": {}, "to": ["b", "a"], "trust": "owner"}]}
    changed, touched, _ = take_out(raw, "a")
    assert (changed["routes"], touched) == ([{"match": {}, "to": ["b"], "trust": "owner"}], 1)


def test_taking_out_nobody_changes_nothing() -> None:
    raw = {"watches": [{"name": "lonely", "kind": "runs", "repo": "a/b"}], "routes": []}
    assert take_out(raw, "a") == (raw, 0, ())


def remarks_on(*routes: Route, watches: tuple[Watch, ...] = (), agents: tuple[str, ...] = ("coder",)) -> list[Remark]:
    seen = watches or (Watch(name="w", kind="issues", repo="acme/WMS"),)
    unused = {"unused-watch"} if not watches else set()
    return [r for r in review_gate(Gate(watches=seen, routes=routes), agents) if r.kind not in unused]


def whats(*matches: Match, watches: tuple[Watch, ...] = ()) -> list[str]:
    return [r.what for r in remarks_on(*(Route(match=match, to=("coder",)) for match in matches), watches=watches)]


def test_review_of_the_gate() -> None:
    gate = Gate(
        watches=(
            Watch(name="w", kind="issues", repo="acme/WMS"),
            Watch(name="lonely", kind="runs", repo="acme/Other"),
        ),
        routes=(
            Route(match=Match(watch="w"), to=("coder",)),
            Route(match=Match(watch="v"), to=("coder",)),
            Route(match=Match(repo="acme/none"), to=("codr",)),
            Route(match=Match(watch="w", kind="pulls"), to=("coder",), trust="anyone"),
            Route(match=Match(watch="w", state="Open"), to=("coder",)),
        ),
    )
    assert [(r.kind, r.where, r.what) for r in review_gate(gate, ["coder"])] == [
        ("unknown-watch", "routes[1]", "no watch is called 'v'"),
        ("unknown-agent", "routes[2]", "no agent is called 'codr', did you mean 'coder'?"),
        ("never-matches", "routes[2]", "it never matches: no watch finds what it asks for"),
        ("never-matches", "routes[3]", "it never matches: no watch finds what it asks for"),
        ("open", "routes[3]", "strangers can reach coder: trust is anyone"),
        ("unused-watch", "watches[1]", "no route can match what watch 'lonely' finds"),
    ]


def test_a_watch_is_found_by_any_of_the_values() -> None:
    watches = (
        Watch(name="here", kind="issues", repo="acme/wms-core"),
        Watch(name="there", kind="pulls", repo="ghe.acme.com/acme/WMS"),
    )
    fine = (
        Match(watch=("here", "there")),
        Match(repo=("acme/*", "x/y")),
        Match(repo="GHE.acme.com/acme/wms"),
        Match(kind=("issues", "runs")),
        Match(label="bug", not_=Keys(watch="here")),
    )
    assert whats(*fine, watches=watches) == []
    assert whats(Match(repo="acme/WMS"), *fine, watches=watches) == [
        "it never matches: no watch finds what it asks for"
    ]
    gone = Match(watch=("here", "ther"), not_=Keys(watch="hree"))
    assert whats(gone, *fine, watches=watches) == [
        "no watch is called 'ther', did you mean 'there'?",
        "no watch is called 'hree', did you mean 'here'?",
    ]


@pytest.mark.parametrize(
    ("match", "what"),
    [
        (Match(branch="main"), "branch 'main' is of pulls and runs, and its watches are of issues"),
        (Match(draft=False), "draft 'false' is of pulls, and its watches are of issues"),
        (Match(conclusion="failure"), "conclusion 'failure' is of runs, and its watches are of issues"),
        (Match(state="merged"), "state 'merged' is of pulls, and its watches are of issues"),
        (Match(event=("Pushed", "reviewed")), "event 'Pushed', 'reviewed' is of pulls, and its watches are of issues"),
        (Match(label="Bug", not_=Keys(label=("bug", "x"))), "not.label leaves out all that label asks for"),
        (Match(author=("a", "b"), not_=Keys(author=("b", "A"))), "not.author leaves out all that author asks for"),
        (Match(title_contains="burns down", not_=Keys(title_contains="Burn")),
         "not.title_contains leaves out all that title_contains asks for"),
        (Match(repo="acme/W*", not_=Keys(repo="ACME/w*")), "no watch finds what it asks for"),
    ],
)  # fmt: skip
def test_what_can_never_match(match: Match, what: str) -> None:
    assert whats(match) == [f"it never matches: {what}"]


def test_a_branch_that_leaves_itself_out() -> None:
    watches = (Watch(name="p", kind="pulls", repo="acme/WMS"),)
    none = "it never matches: not.branch leaves out all that branch asks for"
    for kept, left_out in (("rc-1", "rc-*"), ("rc-*", "rc-*"), (("rc-1", "rc-*"), "rc-*")):
        match = Match(branch=kept, not_=Keys(branch=left_out))
        assert whats(match, Match(kind="pulls"), watches=watches) == [none]
    for kept, left_out in (("rc-*", "rc-1"), (("rc-1", "main"), "rc-*"), ("rc-*", "RC-*")):
        match = Match(branch=kept, not_=Keys(branch=left_out))
        assert whats(match, Match(kind="pulls"), watches=watches) == []


def test_what_can_match_gets_no_remark() -> None:
    assert whats(
        Match(event=("pushed", "labeled")),
        Match(state=("merged", "closed")),
        Match(label=("bug", "wip"), not_=Keys(label="wip", author="bob")),
        Match(title_contains="burn", not_=Keys(title_contains="burns down")),
        Match(association="stranger", body_contains="x", assignee="ann"),
    ) == []  # fmt: skip


def test_who_can_be_reached_by_strangers() -> None:
    match = Match(watch="w")
    kinds = [
        (r.kind, r.what)
        for r in remarks_on(
            Route(match=match, to=("coder",), trust="contributors"),
            Route(match=match, to=("coder",), trust=("ann", "Renovate[bot]"), bots=("dependabot[bot]",)),
        )
    ]
    assert kinds == [
        ("open", "strangers can reach coder through dependabot[bot], Renovate[bot], if it repeats what others wrote")
    ]


def test_a_catch_all_is_flagged() -> None:
    gate = Gate(
        watches=(Watch(name="w", kind="runs", repo="a/b"),),
        routes=(Route(match=Match(), to=("a", "b")), Route(match=Match(not_=Keys(author="x")), to=("a",))),
    )
    assert [(r.kind, r.what) for r in review_gate(gate, ["a", "b"])] == [
        ("catch-all", "an empty match is a catch-all: everything goes to a, b"),
        ("catch-all", "an empty match is a catch-all: everything but what `not` leaves out goes to a"),
    ]


def test_json_as_a_person_would_write_it() -> None:
    raw, _ = add_starter(EMPTY, starter("coder", "acme/WMS"), "ä")
    assert pretty_json({**raw, "hosts": {"vm": {"host": "a", "os": "linux"}}, "none": {}}).decode() == (
        "{\n"
        '  "watches": [\n'
        "    {\n"
        '      "name": "wms-assigned",\n'
        '      "kind": "issues",\n'
        '      "repo": "acme/WMS",\n'
        '      "filter": "--search assignee:@me --state open",\n'
        '      "poll_sec": 240\n'
        "    }\n"
        "  ],\n"
        '  "routes": [\n'
        '    { "match": { "watch": "wms-assigned" }, "to": ["ä"] }\n'
        "  ],\n"
        '  "hosts": { "vm": { "host": "a", "os": "linux" } },\n'
        '  "none": {}\n'
        "}\n"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values))
def test_pretty_json_is_json(value: dict[str, Any]) -> None:
    try:
        text = pretty_json(value)
    except UnicodeEncodeError:
        return
    assert json.loads(text) == value
    assert text.endswith(b"}\n")

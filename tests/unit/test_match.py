"""Routes: what matches, and what the gate decides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.event import Event, Item, content_of, decode_event, encode_event, key_of
from relayfleet.model.gate import Recipient, explain_event, judge, recipients, seen_by
from relayfleet.model.names import EntryId
from relayfleet.model.route import Gate, Match, Route, explain, matches
from relayfleet.model.watch import Watch
from relayfleet.router.entry import entry_of


def event(watch: str = "w", watched_repo: str = "acme/WMS", **fields: object) -> Event:
    known: dict[str, object] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": "I_1",
        "number": 41,
        "title": "The Label printer burns",
        "body": "",
        "url": "",
        "author": "Ann",
        "association": "MEMBER",
        "state": "open",
        "labels": ("Bug", "needs-human"),
    }
    item = Item(**{**known, **fields})  # type: ignore[arg-type]
    return Event(watch=watch, name="updated", item=item, key=key_of(item), watched_repo=watched_repo)


def route(*to: str, trust: object = None, **match: str) -> Route:
    return Route(match=Match(**match), to=to or ("coder",), trust=trust)  # type: ignore[arg-type]


def test_every_key_must_match_and_an_absent_one_is_a_wildcard() -> None:
    whole = route(
        watch="w",
        repo="ACME/wms",
        kind="issues",
        label="bug",
        author="ann",
        state="open",
        title_contains="label PRINTER",
    )
    assert matches(whole, event())
    assert explain(whole, event()) == ()
    assert matches(route(), event())


def test_explain_names_every_key_that_failed() -> None:
    wrong = route(
        watch="v", repo="acme/Shop", kind="pulls", label="x", author="bob", state="closed", title_contains="y"
    )
    assert explain(wrong, event()) == (
        "watch: wanted 'v', is 'w'",
        "kind: wanted 'pulls', is 'issues'",
        "repo: wanted 'acme/Shop', is 'acme/WMS'",
        "state: wanted 'closed', is 'open'",
        "author: wanted 'bob', is 'Ann'",
        "label: wanted 'x', is ['Bug', 'needs-human']",
        "title_contains: wanted 'y', is 'The Label printer burns'",
    )


def test_a_renamed_repository_answers_to_both_names() -> None:
    moved = event(repo="acme/Warehouse", watched_repo="acme/WMS")
    assert matches(route(repo="acme/WMS"), moved)
    assert matches(route(repo="acme/warehouse"), moved)


def test_states_of_runs_and_of_merged_pulls() -> None:
    run = event(kind="runs", state="completed", conclusion="failure")
    assert matches(route(state="failure"), run) and matches(route(state="completed"), run)
    merged = event(kind="pulls", state="merged")
    assert matches(route(state="closed"), merged) and matches(route(state="merged"), merged)
    assert not matches(route(state="merged"), event(kind="pulls", state="closed"))


def test_the_union_of_the_routes_each_agent_once() -> None:
    gate = Gate(routes=(route("a", "b"), route("x", watch="other"), route("b", "c", "b", kind="issues")))
    found = recipients(gate, event())
    assert [(one.agent, one.routes) for one in found] == [("a", (0,)), ("b", (0, 2)), ("c", (2,))]


def test_trust_is_asked_route_by_route() -> None:
    gate = Gate(
        routes=(route("a", "b"), route("b", trust="anyone"), route("c", trust=("EVE",)), route("d", trust="owner"))
    )
    stranger = judge(gate, event(author="eve", association="NONE"))
    assert [(one.agent, one.routes) for one in stranger.recipients] == [("b", (1,)), ("c", (2,))]
    assert [one.agent for one in stranger.held] == ["a", "d"]
    assert "stranger" in stranger.reason
    findings = explain_event(gate, event(author="eve", association="NONE"))
    assert [one.delivers for one in findings] == [False, True, True, False]
    assert judge(gate, event(watch="z")).reason == "'Ann' is not among the logins named"


LOGINS = st.sampled_from(["ann", "ANN", "bob"])
MATCHES = st.builds(
    Match,
    watch=st.none() | st.sampled_from(["w", "v"]),
    repo=st.none() | st.sampled_from(["acme/WMS", "acme/wms", "x/y"]),
    label=st.none() | st.sampled_from(["bug", "z"]),
    author=st.none() | LOGINS,
    state=st.none() | st.sampled_from(["open", "closed"]),
)


@given(MATCHES, LOGINS, st.sampled_from(["w", "v"]))
def test_matching_is_having_nothing_to_explain(match: Match, author: str, watch: str) -> None:
    one = Route(match=match, to=("a",))
    seen = event(watch, author=author)
    assert matches(one, seen) == (explain(one, seen) == ())
    if match.is_empty():
        assert matches(one, seen)


def test_content_changes_with_what_is_news_and_with_nothing_else() -> None:
    plain = event().item
    for change in (
        {"title": "x"},
        {"body": "x"},
        {"labels": ("x",)},
        {"comments": 9},
        {"updated_at": "x"},
        {"head": "x"},
    ):
        assert content_of(event(**change).item) != content_of(plain)
    for same in ({"labels": ("needs-human", "Bug")}, {"repo": "acme/New"}, {"url": "x"}, {"association": "NONE"}):
        assert content_of(event(**same).item) == content_of(plain)
    run = event(kind="runs", updated_at="1").item
    assert content_of(run) == content_of(event(kind="runs", updated_at="2").item)
    assert content_of(run) != content_of(event(kind="runs", attempt=2).item)


def test_a_saved_event_is_the_event_again() -> None:
    one = event(assignees=("ann",), private=True)
    assert decode_event(json.loads(json.dumps(encode_event(one)))) == one
    with pytest.raises(ValueError, match="neither an `item` nor `metadata`"):
        decode_event({})
    with pytest.raises(ValueError, match="a part is missing"):
        decode_event({"item": {"repo": "a/b"}, "watch": "w"})


def test_an_inbox_line_is_judged_as_its_event_was() -> None:
    one = event()
    entry = entry_of(one, Recipient(agent="coder", routes=(0,)), entry_id=EntryId("e"), now=1.0)
    again = decode_event({"id": entry.id, "body": entry.body, "metadata": dict(entry.metadata)})
    assert (again.watch, again.name, again.key, again.item.node_id) == (one.watch, one.name, one.key, "I_1")
    gate = Gate(routes=(route(label="bug", repo="acme/WMS"), route("x", author="bob")))
    assert explain_event(gate, again) == explain_event(gate, one)


def test_which_watches_see_an_item() -> None:
    gate = Gate(
        watches=(
            Watch(name="p", kind="pulls", repo="acme/WMS"),
            Watch(name="s", kind="issues", repo="acme/Shop"),
            Watch(name="c", kind="issues", repo="ACME/wms", filter="--state closed"),
            Watch(name="m", kind="issues", repo="acme/old", filter="--mention @me --author @me"),
        )
    )
    found = seen_by(gate, event().item, repo="acme/Old", viewer="ann")
    assert [one.event.watch if one.event else None for one in found] == [None, None, None, "m"]
    assert [one.reason for one in found] == [
        "it watches pulls, and this is one of issues",
        "it watches 'acme/Shop', and this is in 'acme/WMS'",
        "its filter '--state closed' leaves it out",
        "if GitHub's search finds it by 'mentions:@me'",
    ]

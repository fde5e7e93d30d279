"""The gate's decision: who gets how much of an event, and what is held back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.change import EVENT_NAMES, Changes, EventName
from relayfleet.model.event import Event
from relayfleet.model.gate import Hold, Recipient, Verdict, explain_event, judge
from relayfleet.model.gate_index import index_of
from relayfleet.model.item import Item, Note
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.trust import Trust

NONE_WANTED = "collaborators wanted, the default of a public repository"


def note(node_id: str, author: str, association: str = "NONE", *, bot: bool = False) -> Note:
    return Note(
        kind="comment",
        node_id=node_id,
        url="",
        author=author,
        association=association,
        body="",
        created_at="",
        updated_at="",
        bot=bot,
    )


EVE = note("eve-1", "eve")
MAY = note("may-1", "may", "MEMBER")
CI = note("ci-1", "ci[bot]", "MEMBER", bot=True)


def event(
    author: str = "ann",
    association: str = "MEMBER",
    *,
    names: tuple[EventName, ...] = ("updated",),
    notes: tuple[Note, ...] = (),
    vouchers: tuple[str, ...] = (),
    private: bool = False,
) -> Event:
    return Event(
        watch="w",
        names=names,
        item=Item(
            repo="acme/WMS",
            private=private,
            kind="issues",
            node_id="I",
            number=1,
            title="t",
            body="",
            url="",
            author=author,
            association=association,
            state="open",
        ),
        key="k",
        changes=Changes(names=frozenset(names), notes=notes),
        vouchers=vouchers,
    )


def route(*to: str, trust: Trust | None = None, match: Match | None = None, **more: Any) -> Route:
    return Route(match=match or Match(), to=to, trust=trust, **more)


def verdict(one: Event, *routes: Route) -> Verdict:
    return judge(index_of(Gate(routes=routes)), one)


def test_the_union_of_the_routes_each_agent_once() -> None:
    other = route("x", match=Match(watch="other"))
    found = verdict(event(), route("a", "b"), other, route("b", "c", match=Match(kind="issues")))
    assert [(one.agent, one.routes, one.item) for one in found.recipients] == [
        ("a", (0,), "full"),
        ("b", (0, 2), "full"),
        ("c", (2,), "full"),
    ]
    assert found.held == ()
    assert verdict(event(), other) == Verdict()


def test_the_highest_priority_of_those_that_deliver() -> None:
    routes = (
        route("a", priority=-5),
        route("a", priority=7, trust=("bob",)),
        route("a", priority=3),
        route("b", priority=-1),
    )
    assert [(one.agent, one.priority) for one in verdict(event(), *routes).recipients] == [("a", 3), ("b", -1)]


def test_trust_is_asked_route_by_route() -> None:
    routes = (route("a", "b"), route("b", trust="anyone"), route("c", trust=("EVE",)), route("d", trust="owner"))
    stranger = event("eve", "NONE")
    found = verdict(stranger, *routes)
    assert [(one.agent, one.routes) for one in found.recipients] == [("b", (1,)), ("c", (2,))]
    assert found.held == (
        Hold(agent="a", routes=(0,), item=True, notes=(), reason=f"'eve' is stranger (NONE); {NONE_WANTED}"),
        Hold(agent="d", routes=(3,), item=True, notes=(), reason="'eve' is stranger (NONE); owner wanted"),
    )
    assert [one.delivers for one in explain_event(Gate(routes=routes), stranger)] == [False, True, True, False]


def test_a_stranger_s_comment_on_a_member_s_item_is_held_and_is_no_news() -> None:
    found = verdict(event(names=("commented",), notes=(EVE,)), route("a"))
    assert found.recipients == ()
    assert found.held == (
        Hold(agent="a", routes=(0,), item=False, notes=("eve-1",), reason=f"'eve' is stranger (NONE); {NONE_WANTED}"),
    )


def test_a_member_s_comment_on_a_stranger_s_item_comes_without_the_item_s_text() -> None:
    found = verdict(event("eve", "NONE", names=("commented", "labeled"), notes=(EVE, MAY)), route("a"))
    assert found.recipients == (Recipient(agent="a", routes=(0,), item="withheld", notes=("may-1",)),)
    assert [(one.item, one.notes) for one in found.held] == [(True, ("eve-1",))]


def test_what_happened_besides_notes_is_delivered_without_the_strangers_notes() -> None:
    found = verdict(event(names=("closed", "commented"), notes=(EVE, MAY)), route("a"))
    assert found.recipients == (Recipient(agent="a", routes=(0,), item="full", notes=("may-1",)),)
    assert [(one.item, one.notes) for one in found.held] == [(False, ("eve-1",))]


def test_an_item_that_was_vouched_for() -> None:
    found = verdict(event("eve", "NONE", names=("assigned",), vouchers=("may",)), route("a"), route("b", trust="owner"))
    assert found.recipients == (Recipient(agent="a", routes=(0,), item="vouched", vouchers=("may",)),)
    assert [(one.agent, one.item) for one in found.held] == [("b", True)]


def test_only_those_vouch_whose_word_counts_on_the_routes_that_lead_there() -> None:
    one = event("eve", "NONE", names=("assigned",), vouchers=("ci[bot]", "may", "ghost", "bob", "dep[bot]"))
    anybody, named = route("a"), route("a", trust=("bob",))
    with_bot = route("b", bots=("dep[bot]",))
    found = verdict(one, anybody, named, with_bot, route("c", trust=("bob",)))
    assert [(one.agent, one.vouchers) for one in found.recipients] == [
        ("a", ("may", "bob")),
        ("b", ("may", "bob", "dep[bot]")),
        ("c", ("bob",)),
    ]
    assert verdict(one, anybody, route("a", trust="anyone")).recipients[0].vouchers == ()


def test_who_was_told_of_an_item_learns_that_it_left_and_nothing_else() -> None:
    left = event("eve", "NONE", names=("left",))
    index = index_of(Gate(routes=(route("a", "b"), route("c", trust=("eve",)))))
    found = judge(index, left, told=frozenset({"a"}))
    assert [(one.agent, one.routes, one.item) for one in found.recipients] == [
        ("a", (0,), "withheld"),
        ("c", (1,), "full"),
    ]
    assert [(one.agent, one.item) for one in found.held] == [("a", True), ("b", True)]
    assert judge(index, event("eve", "NONE", names=("updated",)), told=frozenset({"a"})).recipients == (
        Recipient(agent="c", routes=(1,), item="full"),
    )


def test_a_route_that_is_cut_off_lets_nothing_through() -> None:
    members, anyone = route("a", "b"), route("a", trust="anyone")
    index = index_of(Gate(routes=(members, anyone)))
    one = event(names=("commented",), notes=(EVE, MAY))
    assert judge(index, one, cut=frozenset({1})).recipients == judge(index_of(Gate(routes=(members,))), one).recipients
    assert judge(index, one, cut=frozenset({0})).recipients == (
        Recipient(agent="a", routes=(1,), item="full", notes=("eve-1", "may-1")),
    )


def test_vouching_is_for_the_item_and_not_for_what_strangers_say_below_it() -> None:
    found = verdict(event("eve", "NONE", names=("commented",), notes=(EVE,), vouchers=("may",)), route("a"))
    assert found.recipients == ()
    assert [(one.item, one.notes) for one in found.held] == [(False, ("eve-1",))]


def test_one_agent_gets_what_its_routes_admit_together() -> None:
    members, eve, ci = route("a"), route("a", trust=("eve",)), route("a", trust="owner", bots=("ci[bot]",))
    one = event(names=("commented",), notes=(EVE, MAY, CI))
    assert verdict(one, members, eve, ci).recipients == (
        Recipient(agent="a", routes=(0, 1, 2), item="full", notes=("eve-1", "may-1", "ci-1")),
    )
    # A route that delivers nothing of its own still adds the item's text to what another one delivers.
    quiet = event(names=("commented",), notes=(EVE,))
    assert verdict(quiet, members, eve) == Verdict(
        recipients=(Recipient(agent="a", routes=(1,), item="full", notes=("eve-1",)),)
    )


def test_full_outweighs_vouched() -> None:
    one = event("eve", "NONE", names=("labeled",), vouchers=("may",))
    assert verdict(one, route("a"), route("a", trust="anyone")).recipients[0].item == "full"


def test_recipients_stand_in_the_order_of_the_routes_that_deliver() -> None:
    routes = (route("late", trust="owner"), route("early"), route("late"))
    assert [one.agent for one in verdict(event(), *routes).recipients] == ["early", "late"]


def test_bots_are_held_unless_named() -> None:
    routes = (route("a", trust="anyone"), route("b", trust="anyone", bots=("CI[bot]",)))
    one = event("ci[bot]", "MEMBER")
    found = verdict(replace(one, item=replace(one.item, bot=True)), *routes)
    assert [one.agent for one in found.recipients] == ["b"]
    assert [(one.agent, one.reason) for one in found.held] == [("a", "'ci[bot]' is a bot, and not named in bots")]


def test_an_event_without_its_notes_is_about_the_item() -> None:
    assert verdict(event(names=("commented",)), route("a")).recipients != ()


def test_explain_says_it_piece_by_piece() -> None:
    gate = Gate(routes=(route("a", match=Match(label="x")), route("a", trust="contributors")))
    nothing, found = explain_event(
        gate, event("eve", "NONE", names=("commented",), notes=(MAY, EVE), vouchers=("may",))
    )
    assert (nothing.failures, nothing.item, nothing.delivers) == (("label: wanted 'x', is []",), None, False)
    assert found.item is not None and found.item.reason == "'may' vouched for it"
    assert [(one.node_id, admission.reason) for one, admission in found.notes] == [
        ("may-1", "'may' is member (MEMBER); contributors wanted"),
        ("eve-1", "'eve' is stranger (NONE); contributors wanted"),
    ]
    assert found.delivers


NOTES = st.lists(st.sampled_from([EVE, MAY, CI]), unique=True, max_size=3).map(tuple)
ROUTES = st.lists(
    st.builds(
        Route,
        match=st.just(Match()),
        to=st.lists(st.sampled_from(["a", "b"]), min_size=1, unique=True).map(tuple),
        trust=st.sampled_from([None, "anyone", "contributors", "members", "owner", ("eve",), ("ann", "may")]),
        bots=st.sampled_from([(), ("ci[bot]",)]),
        priority=st.integers(-2, 2),
    ),
    max_size=4,
)


@given(
    ROUTES,
    st.sampled_from([("ann", "MEMBER"), ("eve", "NONE"), ("ci[bot]", "NONE")]),
    st.lists(st.sampled_from(EVENT_NAMES), min_size=1, max_size=3, unique=True).map(tuple),
    NOTES,
    st.sampled_from([(), ("may",), ("ci[bot]",)]),
    st.booleans(),
)
@pytest.mark.parametrize("agent", ["a", "b"])
def test_every_piece_is_delivered_or_held_and_explain_agrees(
    agent: str,
    routes: list[Route],
    author: tuple[str, str],
    names: tuple[EventName, ...],
    notes: tuple[Note, ...],
    vouchers: tuple[str, ...],
    private: bool,
) -> None:
    one = event(*author, names=names, notes=notes, vouchers=vouchers, private=private)
    found = judge(index_of(Gate(routes=tuple(routes))), one)
    getting = next((r for r in found.recipients if r.agent == agent), None)
    held = next((h for h in found.held if h.agent == agent), None)
    leading = [f for f in explain_event(Gate(routes=tuple(routes)), one) if agent in f.route.to]
    assert (getting.routes if getting else ()) == tuple(f.index for f in leading if f.delivers)
    admitted = {n.node_id for f in leading for n, admission in f.notes if admission.admitted}
    of_item = any(f.item is not None and f.item.admitted for f in leading)
    if leading:
        kept = {n.node_id for n in notes} - admitted
        assert (set(held.notes) if held else set()) == kept
        assert (held is not None and held.item) == (not of_item)
        assert held is None or (held.reason and held.routes == tuple(f.index for f in leading))
    else:
        assert held is None
    if getting:
        assert set(getting.notes) == admitted
        assert (getting.item != "withheld") == of_item
        assert getting.priority == max(routes[place].priority for place in getting.routes)

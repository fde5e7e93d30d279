from __future__ import annotations

import pytest

from relayfleet.model.change import Changes, EventName, in_order
from relayfleet.model.event import Event
from relayfleet.model.item import Act, Item, Note
from relayfleet.ports.cursor import Breaker
from relayfleet.router.loops import MOST_IN_A_ROW, ROW_S, besides_own, causes_of, step_breaker

MINE = "https://github.com/acme/WMS/issues/41#issuecomment-1"
NOW = 1_000_000.0
ITEM = Item(
    repo="acme/WMS",
    private=False,
    kind="issues",
    node_id="I_1",
    number=41,
    title="t",
    body="b",
    url="https://github.com/acme/WMS/issues/41",
    author="ann",
    association="MEMBER",
    state="open",
)


class Known:
    """What is known: who wrote what is at a URL, whose login is whose, who changed the item just now."""

    def __init__(self, urls: dict[str, str] | None = None, logins: dict[str, str] | None = None, *by: str) -> None:
        self.urls, self.logins, self.by = urls or {}, logins or {}, by

    def author(self, url: str, login: str) -> str:
        return self.urls.get(url) or self.logins.get(login, "")

    def touched(self, agent: str, repo: str, number: int, *, since: float) -> bool:
        assert (repo, number) == ("acme/WMS", 41) and since < NOW
        return agent in self.by


def note(url: str = MINE, author: str = "shared", kind: str = "comment") -> Note:
    return Note(
        kind=kind,  # type: ignore[arg-type]
        node_id=url,
        url=url,
        author=author,
        association="MEMBER",
        body="x",
        created_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z",
    )


def act(actor: str) -> Act:
    return Act(kind="labeled", node_id="LE_1", actor=actor, at="2026-01-01T00:00:00Z", subject="bug")


def event(*names: EventName, notes: tuple[Note, ...] = (), acts: tuple[Act, ...] = ()) -> Event:
    changes = Changes(names=frozenset(names) - {"matched", "left"}, notes=notes, acts=acts)
    return Event(watch="w", names=in_order(frozenset(names)), item=ITEM, key="k", changes=changes)


def left_of(shown: Event, known: Known, agent: str = "coder") -> tuple[EventName, ...] | None:
    told = besides_own(shown, agent, known, viewer="shared", now=NOW)
    return told.names if told else None


def test_an_agents_own_comment_does_not_come_back_and_another_agent_gets_it() -> None:
    known = Known({MINE: "coder"})
    shown = event("commented", notes=(note(),))
    assert left_of(shown, known) is None
    assert left_of(shown, known, "reviewer") == ("commented",)


def test_what_others_wrote_beside_it_is_told() -> None:
    theirs = note("https://github.com/acme/WMS/issues/41#issuecomment-2")
    told = besides_own(event("commented", notes=(note(), theirs)), "coder", Known({MINE: "coder"}), viewer="", now=NOW)
    assert told is not None and told.changes.notes == (theirs,)


def test_a_login_of_its_own_is_enough() -> None:
    shown = event("commented", notes=(note("https://elsewhere", "acme-coder"),))
    assert left_of(shown, Known({}, {"acme-coder": "coder"})) is None


def test_a_login_that_is_shared_says_nothing() -> None:
    assert left_of(event("commented", notes=(note("https://elsewhere"),)), Known()) == ("commented",)


def test_an_item_that_it_made() -> None:
    known = Known({ITEM.url: "coder"})
    assert left_of(event("opened", "matched"), known) is None
    assert left_of(event("opened", "matched", "commented", notes=(note("u"),)), known) == ("commented",)


def test_its_own_labels_by_a_login_that_is_shared() -> None:
    shown = event("labeled", acts=(act("shared"),))
    assert left_of(shown, Known({}, {}, "coder")) is None
    assert left_of(shown, Known()) == ("labeled",)
    assert left_of(event("labeled", acts=(act("shared"), act("ann"))), Known({}, {}, "coder")) == ("labeled",)


def test_its_own_review_whose_place_gh_does_not_print() -> None:
    shown = event("reviewed", notes=(note("https://elsewhere", kind="review"),))
    assert left_of(shown, Known({}, {}, "coder")) is None
    assert left_of(shown, Known()) == ("reviewed",)


def turns(known: Known, *authors: str) -> list[Breaker | None]:
    """The breaker after each comment by one of `authors`, one second apart."""
    state: Breaker | None = None
    states: list[Breaker | None] = []
    for second, author in enumerate(authors):
        shown = event("commented", notes=(note(f"u{second}", author),))
        after = step_breaker(state, causes_of(shown, known), route="r", event=shown, now=NOW + second)
        state = after or state
        states.append(state)
    return states


AGENTS = Known({}, {"bot-a": "a", "bot-b": "b"})


def test_two_agents_that_answer_each_other_are_cut_off() -> None:
    states = turns(AGENTS, *["bot-a", "bot-b"] * MOST_IN_A_ROW)
    assert [state is not None and state.open for state in states[: MOST_IN_A_ROW + 1]] == [False] * MOST_IN_A_ROW + [
        True
    ]
    assert all(state is not None and state.open for state in states[MOST_IN_A_ROW:]), "it stays open until it is reset"


def test_a_person_between_them_begins_the_count_anew() -> None:
    conversation = ["bot-a", "bot-b", "bot-a", "ann"] * 10
    assert not any(state is not None and state.open for state in turns(AGENTS, *conversation))


def test_people_are_never_cut_off() -> None:
    assert turns(AGENTS, *["ann", "bob"] * 50) == [None] * 100


def test_a_slow_conversation_is_none() -> None:
    state: Breaker | None = None
    for hour in range(20):
        shown = event("commented", notes=(note(f"u{hour}", "bot-a"),))
        state = step_breaker(state, causes_of(shown, AGENTS), route="r", event=shown, now=NOW + hour * (ROW_S + 1.0))
        assert state is not None and not state.open


@pytest.mark.parametrize("names", [("check_failed",), ("left",), ("updated",)])
def test_what_nobody_is_known_to_have_done_is_told(names: tuple[EventName, ...]) -> None:
    assert left_of(event(*names), Known({}, {}, "coder")) == names

"""Who is told what of a talk: breakers that cut a route off, what is an agent's own, what is held back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from relayfleet.model.item import Act, Note
from relayfleet.model.route import Match, Route
from relayfleet.model.watch import Watch
from relayfleet.ports.cursor import Cursor, Held
from relayfleet.ports.source import Budget
from relayfleet.store.router_db.breakers import reset_breakers
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.store.router_db.database import Database
from relayfleet.testing import MemoryCursor
from tests.standins.github import CHECKOUT
from tests.unit.test_router import WMS, Fleet, gate_of, watch

CIRCLE = Route(match=Match(), to=("coder", "reviewer"))


def said(number: int, author: str, *, association: str = "MEMBER", at: str) -> Note:
    return Note(
        kind="comment",
        node_id=f"IC_{number}",
        url=f"https://github.com/{WMS}/issues/1#issuecomment-{number}",
        author=author,
        association=association,
        body=f"said {number}",
        created_at=at,
        updated_at=at,
    )


class Talk:
    """A fleet where people and agents, each with a login of its own, talk below one issue."""

    def __init__(self, *routes: Route, watches: Sequence[Watch] = (), cursor: Cursor | None = None) -> None:
        gate = gate_of(*(watches or [watch(poll_sec=10.0)]), routes=routes)
        self.fleet = Fleet(gate, cursor=cursor)
        self.fleet.authorship.logins |= {"relay-a": "a", "relay-b": "b"}
        self.notes: list[Note] = []

    async def begin(self) -> None:
        self.fleet.put(1, ago=1000.0)
        await self.fleet.round(passing=10.0)

    async def say(self, *authors: str) -> None:
        """Each in a round of its own; who is no agent and not ann is a stranger."""
        for author in authors:
            at = self.fleet.at()
            known = author == "ann" or author.startswith("relay-")
            association = "MEMBER" if known else "NONE"
            self.notes.append(said(len(self.notes), author, association=association, at=at))
            self.fleet.put(1, notes=tuple(self.notes))
            await self.fleet.round(passing=10.0)

    def heard(self, agent: str) -> list[list[str]]:
        return [[note["body"] for note in one.metadata["notes"]] for one in self.fleet.transport.entries.get(agent, [])]


def held_by(fleet: Fleet) -> list[Held]:
    assert isinstance(fleet.cursor, MemoryCursor)
    return list(fleet.cursor.held.values())


async def test_a_breaker_counts_an_event_once_however_many_agents_and_watches_there_are() -> None:
    talk = Talk(CIRCLE, watches=[watch("w", poll_sec=10.0), watch("all", poll_sec=10.0, filter="--state all")])
    await talk.begin()
    await talk.say(*["relay-a", "relay-b"] * 3)
    assert talk.heard("coder") == talk.heard("reviewer") == [[f"said {number}"] for number in range(6)]
    assert talk.fleet.router.status().breakers == ()
    await talk.say("relay-a", "relay-b")
    assert len(talk.heard("coder")) == len(talk.heard("reviewer")) == 6
    [opened] = talk.fleet.log.of("router.breaker_opened")
    assert (opened[1]["route"], opened[1]["agents"]) == (0, ["coder", "reviewer"])
    await talk.say("ann")
    assert talk.heard("coder")[6:] == [["said 8"]]


async def test_a_breaker_that_was_reset_lets_events_through_again(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    with closing(SqliteCursor(path)) as cursor:
        await _reset(Talk(CIRCLE, cursor=cursor), path)


async def _reset(talk: Talk, path: Path) -> None:
    await talk.begin()
    await talk.say(*["relay-a"] * 8)
    assert len(talk.heard("coder")) == 6
    assert [one.route for one in talk.fleet.router.status().breakers] == [0]
    with closing(Database(path)) as database:
        reset_breakers(database, route=None)
    talk.fleet.router.forget_breakers()
    assert talk.fleet.router.status().breakers == ()
    await talk.say(*["relay-a"] * 8)
    assert talk.heard("coder")[6:] == [[f"said {number}"] for number in range(8, 14)], "and it counts from nothing"


async def test_what_only_the_route_let_through_that_is_cut_off_does_not_come_by_another() -> None:
    wide = Route(match=Match(), to=("coder",), trust="anyone")
    narrow = Route(match=Match(event="labeled"), to=("coder",))
    talk = Talk(wide, narrow)
    fleet = talk.fleet
    await talk.begin()
    await talk.say(*["relay-a"] * 7)
    assert len(talk.heard("coder")) == 6
    # An agent with a stranger's login, so that only the wide route would let it through, labels what it comments on.
    at = fleet.at()
    talk.notes += [said(100, "relay-b", association="NONE", at=at), said(101, "relay-a", at=at)]
    labeled = Act(kind="labeled", node_id="LE_1", actor="relay-a", at=at, subject="bug")
    fleet.put(1, labels=("bug",), notes=tuple(talk.notes), acts=(labeled,))
    await fleet.round(passing=10.0)
    last = fleet.transport.entries["coder"][-1]
    assert (last.metadata["route"], last.metadata["withheld"]) == (1, ["notes"])
    assert [note["body"] for note in last.metadata["notes"]] == ["said 101"]
    held = held_by(fleet)[-1]
    assert [(one.routes, one.item, one.notes) for one in held.holds] == [((0,), False, ("IC_100",))]
    assert "breaker" in held.holds[0].reason


async def test_an_agent_is_told_nothing_when_all_that_is_not_its_own_is_held_back() -> None:
    talk = Talk(Route(match=Match(), to=("a",)))
    await talk.begin()
    at = talk.fleet.at()
    talk.notes += [said(1, "relay-a", at=at), said(2, "eve", association="NONE", at=at)]
    talk.fleet.put(1, notes=tuple(talk.notes))
    await talk.fleet.round()
    assert talk.fleet.got("a") == []
    [held] = held_by(talk.fleet)
    assert [one.notes for one in held.holds] == [("IC_2",)]


async def test_who_was_told_of_a_strangers_item_learns_that_it_is_gone() -> None:
    fleet = Fleet(gate_of(watch(), routes=[Route(match=Match(), to=("coder",))]))
    fleet.put(1, ago=1000.0, author="eve", association="NONE")
    fleet.put(2, ago=1000.0, author="eve", association="NONE")
    await fleet.round()
    fleet.put(1, author="eve", association="NONE", notes=(said(1, "ann", at=fleet.at()),))
    await fleet.round()
    assert fleet.got() == ["1 commented"]
    fleet.github.remove("acme/WMS/issues/1")
    fleet.github.remove("acme/WMS/issues/2")
    await fleet.round()
    assert fleet.got() == ["1 commented", "1 left"]
    last = fleet.transport.entries["coder"][-1]
    assert (last.body, last.metadata["title"], last.metadata["why"]) == ("", "", "gone")
    assert (last.metadata["events"], last.metadata["withheld"]) == (["left"], ["item"])
    gone = [held for held in held_by(fleet) if held.event["why"] == "gone"]
    assert sorted(held.event["item"]["number"] for held in gone) == [1, 2]


def paths(value: object, place: str = "") -> set[str]:
    """Where values stand, as the documentation writes it: accounts[].budgets[].used."""
    if isinstance(value, dict):
        return {place}.union(*(paths(inner, f"{place}.{key}".lstrip(".")) for key, inner in value.items()))
    if isinstance(value, list | tuple):
        return {place}.union(*(paths(inner, f"{place}[]") for inner in value))
    return {place}


def documented(text: str) -> list[str]:
    """The fields that the first column of a table names; `.b` after `a.x` is `a.b`."""
    found: list[str] = []
    for row in re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE):
        before = ""
        for name in re.findall(r"`([^`]+)`", row):
            whole = before.rpartition(".")[0] + name if name.startswith(".") else name
            found.append(whole)
            before = whole
    return found


async def test_the_status_has_every_key_that_is_documented() -> None:
    talk = Talk(CIRCLE)
    talk.fleet.github.budgets = (Budget(resource="graphql", limit=5000, remaining=4000, reset_at=2e9),)
    await talk.begin()
    await talk.say(*["relay-a"] * 8, "eve")
    status = asdict(talk.fleet.router.status())
    [held] = [one for one in status["held_items"] if "stranger" in one["reason"]]
    assert (held["agents"], held["repo"], held["number"], held["author"]) == (("coder", "reviewer"), WMS, 1, "ann")
    assert status["held"] == len(status["held_items"]) == 3
    budget = {"account": "github.com", "resource": "graphql", "limit": 5000, "remaining": 4000, "reset_at": 2e9}
    assert status["budgets"] == (budget,)
    page = (CHECKOUT / "docs" / "json.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## fleet router status\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    there = paths(status) | {"polling"}
    assert len(documented(section)) > 20
    assert [name for name in documented(section) if name not in there] == []
    head = section.partition("| field |")[0]
    assert [name for name in ("reason", "paused_until", "owed", "delivered", "held") if f"`{name}`" not in head] == []
    told = re.findall(r"`([a-z_]+)`", head)
    for name in ("budgets", "held_items"):
        assert {key.split(".")[1].rstrip("[]") for key in there if key.startswith(f"{name}[].")} <= set(told)

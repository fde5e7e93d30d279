"""What docs/routes.md and docs/trust.md say of examples is what the gate decides."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.routes import RoutesFile, to_gate
from relayfleet.model.change import EVENT_NAMES, Changes
from relayfleet.model.event import Event
from relayfleet.model.filter import parse_filter
from relayfleet.model.gate import judge
from relayfleet.model.gate_index import index_of
from relayfleet.model.item import Item, Kind, Note
from relayfleet.model.route import KEYS, Gate, Match, Route
from relayfleet.model.trust import ASSOCIATIONS, TRUST_LABELS
from tests.conftest import CHECKOUT
from tests.documents import blocks

ROUTES = CHECKOUT / "docs" / "routes.md"
TRUST = CHECKOUT / "docs" / "trust.md"
LISTS = ("labels", "assignees")


def rows_below(page: Path, head: str) -> list[list[str]]:
    """The rows of the table that begins with `head`, cell by cell."""
    lines = page.read_text(encoding="utf-8").partition(f"{head}\n")[2].splitlines()
    rows = []
    for line in lines[1:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def event_with(words: str) -> Event:
    """An event with these facts (`key=value`, lists by commas), by a member unless it says otherwise."""
    said = dict(word.split("=", 1) for word in words.strip("`").split())
    about: dict[str, Any] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": "I",
        "number": 1,
        "title": "",
        "body": "",
        "url": "",
        "author": "ann",
        "association": "MEMBER",
        "state": "open",
    }
    notes = []
    for key, value in said.items():
        if key in Item.__slots__:
            about[key] = tuple(value.split(",")) if key in LISTS else value == "yes" if key == "draft" else value
    for key in ("note", "note_by"):
        if key in said:
            author, _, association = (said[key] if key == "note_by" else "ann:MEMBER").partition(":")
            body = said[key] if key == "note" else ""
            notes.append(
                Note(
                    kind="comment",
                    node_id="N",
                    url="",
                    author=author,
                    association=association or "NONE",
                    body=body,
                    created_at="",
                    updated_at="",
                )
            )
    happened = said.get("names", "commented" if notes else "updated").split(",")
    names = tuple(name for name in EVENT_NAMES if name in happened)
    return Event(
        watch=said.get("watch", "w"),
        names=names,
        item=Item(**about),
        key="k",
        changes=Changes(names=frozenset(names), notes=tuple(notes)),
        vouchers=tuple(said["vouched"].split(",")) if "vouched" in said else (),
    )


@pytest.mark.parametrize(("words", "agents"), rows_below(ROUTES, "| an event with | goes to |"))
def test_who_gets_what_in_the_example(words: str, agents: str) -> None:
    (block,) = blocks(ROUTES, "json")
    gate = to_gate(RoutesFile.model_validate(json.loads(block.text)))
    found = judge(index_of(gate), event_with(words))
    assert (", ".join(one.agent for one in found.recipients) or "nobody") == agents


def test_every_key_and_every_word_is_explained() -> None:
    table = {row[0].strip("`"): row[1] for row in rows_below(ROUTES, "| key | holds when |")}
    assert set(table) == {*KEYS, "not"}
    assert set(re.findall(r"`(\w+)`", table["event"])) == set(EVENT_NAMES)
    assert set(re.findall(r"`(\w+)`", table["association"])) == {
        *TRUST_LABELS,
        *(word.lower() for word in ASSOCIATIONS if word.lower() not in TRUST_LABELS),
    }


VALUES = {
    "is": "open", "state": "closed", "draft": "true", "in": "title", "reason": "completed", "review": "approved",
    "status": "failure", "archived": "false", "type": "Bug", "linked": "pr",
    **dict.fromkeys(("comments", "reactions", "interactions"), "5"),
    **dict.fromkeys(("created", "updated", "closed", "merged"), "2026-01-31"),
}  # fmt: skip


def searched(word: str) -> set[int]:
    """How many words GitHub's search gets of it, for the kinds and states that it can be of."""
    kinds: tuple[Kind, ...] = ("issues", "pulls")
    found = set()
    for kind in kinds:
        for state in ("open", "closed", "all"):
            with suppress(ValueError):
                found.add(len(parse_filter(f"--state {state} --search {word}", kind).search))
    return found


@pytest.mark.parametrize("place", [0, 1])
def test_where_each_qualifier_is_decided(place: int) -> None:
    here_or_there = rows_below(ROUTES, "| part | is |")[place][0]
    qualifiers = [found.partition(":") for found in re.findall(r"`([a-z-]+:[a-z]*)`", here_or_there)]
    assert len(qualifiers) > 10
    for name, _, value in qualifiers:
        word = "is:locked" if place and name == "is" else f"{name}:{value or VALUES.get(name, 'x')}"
        assert searched(word) == {place}, word


RULE = index_of(Gate(routes=(Route(match=Match(), to=("a",)),)))


@pytest.mark.parametrize(
    ("words", "item", "comment"), rows_below(TRUST, "| an event with | the item's text | the comment |")
)
def test_what_the_default_trust_lets_through(words: str, item: str, comment: str) -> None:
    found = judge(RULE, event_with(words))
    (getting,) = found.recipients or (None,)
    (held,) = found.held or (None,)
    said_of_item = {
        "delivered": getting is not None and getting.item == "full",
        "delivered, as vouched for": getting is not None and getting.item == "vouched",
        "held": held is not None and held.item,
        "not sent: it is no news": getting is None and held is not None and not held.item,
    }
    said_of_comment = {
        "delivered": getting is not None and getting.notes == ("N",),
        "held": held is not None and held.notes == ("N",),
        "-": not (getting and getting.notes) and not (held and held.notes),
    }
    assert said_of_item[item] and said_of_comment[comment]

"""What it comes to when something is let go, or delivered once more."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from relayfleet.model.change import Changes
from relayfleet.model.item import Check
from relayfleet.model.names import EntryId
from relayfleet.model.turn import Part, render
from relayfleet.ports.cursor import Held, Owed
from relayfleet.router.release import released
from relayfleet.router.replay import replayed
from tests.events import event_of, held_of, hold_of, note_of, owed_of


def release(held: Held) -> tuple[Owed, ...]:
    numbers = itertools.count(1)
    return released(held, new_id=lambda: EntryId(f"new{next(numbers)}"), now=7.0)


def test_an_item_goes_whole_to_each_agent_that_it_was_kept_from() -> None:
    event = event_of(41, "opened", checks=(Check(name="build", state="failure"),))
    one, two = release(held_of(event, hold_of("coder", routes=(2, 5)), hold_of("manager")))
    assert (one.agent, two.agent) == ("coder", "manager")
    assert (one.entry.id, two.entry.id) == ("new1", "new2")
    assert (one.key, one.item, one.priority, one.not_before) == (f"{event.key}#released", "I_41", 0, 0.0)
    assert one.entry.body == "The pump is loud\n\nIt hums since Monday."
    known = one.entry.metadata
    assert (known["released_by"], known["key"], known["route"]) == ("operator", one.key, 2)
    # Letting it go does not make the author anybody else.
    assert (known["trust"], known["author"], known["association"]) == ("stranger", "mallory", "NONE")
    assert (known["events"], known["labels"]) == (["opened"], ["bug"])
    assert "withheld" not in known


def test_of_a_comment_on_a_trusted_item_only_the_comment_goes() -> None:
    notes = [note_of("n1"), note_of("n2", "may", "MEMBER", body="known already")]
    event = event_of(41, "opened", "commented", notes=notes, author="ann", association="MEMBER")
    (owed,) = release(held_of(event, hold_of(item=False, notes=("n1",))))
    known = owed.entry.metadata
    assert [note["body"] for note in known["notes"]] == ["try this"]
    # The agent has had the rest: that the item was opened is not told a second time.
    assert (owed.entry.body, known["events"], known["event"]) == ("", ["commented"], "commented")
    assert (known["title"], known["trust"]) == ("The pump is loud", "stranger")
    assert "withheld" not in known
    turn = render([Part(entry=owed.entry)], limit=10_000)
    assert "> try this" in turn
    assert "known already" not in turn
    assert "withheld" not in turn
    assert "> let through by: operator" in turn


def test_of_an_item_whose_comments_were_delivered_only_the_item_goes() -> None:
    event = event_of(41, "opened", "commented", notes=[note_of("n1", "may", "MEMBER", body="known already")])
    (owed,) = release(held_of(event, hold_of(item=True)))
    assert owed.entry.body.startswith("The pump is loud")
    assert owed.entry.metadata["events"] == ["opened"]
    assert "notes" not in owed.entry.metadata
    assert "withheld" not in owed.entry.metadata


def test_what_is_held_from_one_agent_for_two_reasons_is_one_entry() -> None:
    notes = [note_of("n1"), note_of("n2")]
    event = event_of(41, "commented", notes=notes)
    (owed,) = release(
        held_of(
            event,
            hold_of(item=False, notes=("n2",), routes=(3,)),
            hold_of(item=True, notes=("n1",), routes=(1, 3), reason="the breaker of the route is open"),
        )
    )
    assert [note["url"][-2:] for note in owed.entry.metadata["notes"]] == ["n1", "n2"]
    assert owed.entry.body
    assert owed.entry.metadata["route"] == 3


def test_an_event_of_another_host_says_so() -> None:
    (owed,) = release(held_of(event_of(host="ghe.acme.test")))
    assert owed.entry.metadata["host"] == "ghe.acme.test"


@pytest.mark.parametrize("event", [{}, {"item": {}}, {"item": {"repo": "a/b"}, "watch": "w"}, {"item": 1}])
def test_what_makes_no_sense_is_refused(event: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        release(replace(held_of(event_of()), event=event))


def test_a_delivery_once_more() -> None:
    event = replace(event_of(author="ann", association="MEMBER"), changes=Changes())
    before = replace(owed_of(event, not_before=50.0), priority=3)
    again = replayed(before, 2, entry_id=EntryId("new1"), now=9.0)
    assert (again.agent, again.key, again.item, again.priority) == ("coder", f"{event.key}#replay-2", "I_41", 3)
    assert again.not_before == 0.0
    assert (again.entry.id, again.entry.ts, again.entry.body) == ("new1", 9.0, before.entry.body)
    assert again.entry.metadata == {**before.entry.metadata, "replay_of": before.entry.id, "key": again.key}
    assert f"> delivered again, as before with id: {before.entry.id}" in render([Part(entry=again.entry)], limit=99)

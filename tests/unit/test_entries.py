"""What a runner makes of an inbox and its receipts when it starts."""

from __future__ import annotations

from collections import Counter

import pytest

from relayfleet.model.agent import InboxPolicy
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import EntryState, Receipt
from relayfleet.runner.entries import Entries
from relayfleet.runner.session import Pending

NOW = 1000.0


def entry(name: str, body: str = "") -> Entry:
    return Entry(id=EntryId(name), ts=1.0, source="operator", body=body)


def receipts(name: str, *states: EntryState, attempt: int = 1) -> list[Receipt]:
    return [Receipt(id=EntryId(name), state=state, ts=1.0, attempt=attempt) for state in states]


def test_what_is_left_of_an_earlier_runner_and_its_priority() -> None:
    held = Entries(InboxPolicy())
    written = [
        *receipts("done", "offered", "seen", "handled"),
        *receipts("given-up", "failed"),
        *receipts("unseen", "offered", attempt=2),
        *receipts("in-turn", "offered", "seen"),
    ]
    urgent = Entry(id=EntryId("new"), ts=1.0, source="github", body="", metadata={"priority": 5})
    odd = Entry(id=EntryId("odd"), ts=1.0, source="github", body="", metadata={"priority": "high"})
    entries = [entry("done"), urgent, entry("given-up"), entry("unseen"), entry("in-turn")]
    found = held.restore(entries, written, now=NOW)
    assert found == (
        Pending(id=EntryId("new"), priority=5),
        Pending(id=EntryId("unseen"), attempts=2),
        Pending(id=EntryId("in-turn"), attempts=1, repeat="session-died"),
    )
    assert Entries(InboxPolicy()).add([odd], now=NOW) == (Pending(id=EntryId("odd")),)
    assert held.counts == Counter(handled=1, queued=1, failed=1, offered=1, seen=1)


def test_a_repeat_stays_one_when_it_was_only_offered_again() -> None:
    written = [*receipts("x", "offered", "seen"), *receipts("x", "offered", attempt=2)]
    found = Entries(InboxPolicy()).restore([entry("x")], written, now=NOW)
    assert found == (Pending(id=EntryId("x"), attempts=2, repeat="session-died"),)


def test_the_first_line_of_an_id_counts() -> None:
    held = Entries(InboxPolicy())
    assert len(held.restore([entry("x", "first"), entry("x", "second")], [], now=NOW)) == 1
    assert held.add([entry("x", "third"), entry("y")], now=NOW) == (Pending(id=EntryId("y")),)
    assert held.get(EntryId("x")).body == "first"


def test_counts_follow_the_receipts_and_ends_are_forgotten() -> None:
    held = Entries(InboxPolicy())
    held.add([entry("x"), entry("y")], now=NOW)
    for state in ("offered", "seen", "handled"):
        held.move(EntryId("x"), state)  # type: ignore[arg-type]
    assert {k: v for k, v in held.counts.items() if v} == {"handled": 1, "queued": 1}
    with pytest.raises(KeyError):
        held.get(EntryId("x"))
    held.move(EntryId("x"), "failed")
    assert held.counts["failed"] == 0, "an end is never left"


def test_receipts_of_entries_that_are_not_there_change_nothing() -> None:
    held = Entries(InboxPolicy())
    assert held.restore([], receipts("gone", "offered"), now=NOW) == ()
    assert not +held.counts


def receipt(name: str, state: EntryState, *, ts: float = 500.0, attempt: int = 1, via: str = "socket") -> Receipt:
    return Receipt(id=EntryId(name), state=state, ts=ts, attempt=attempt, via=via)


def test_what_the_operator_tries_again_has_fresh_attempts_and_says_so() -> None:
    written = [receipt("x", "dead", attempt=5), receipt("x", "queued", attempt=0, via="operator")]
    found = Entries(InboxPolicy()).restore([entry("x")], written, now=NOW)
    assert found == (Pending(id=EntryId("x"), repeat="retried"),)


def test_what_the_model_broke_off_goes_on_with_its_attempts() -> None:
    written = [receipt("x", "offered"), receipt("x", "seen"), receipt("x", "queued", attempt=2)]
    found = Entries(InboxPolicy()).restore([entry("x")], written, now=NOW)
    assert found == (Pending(id=EntryId("x"), attempts=2, repeat="model-failed"),)


def test_an_entry_that_had_ended_comes_back_and_counts_again() -> None:
    held = Entries(InboxPolicy(ttl_s=60))
    held.restore([entry("x"), entry("y")], [receipt("x", "dead", attempt=5)], now=NOW)
    assert held.revive([entry("x"), entry("y")], now=NOW) == (Pending(id=EntryId("x"), repeat="retried"),)
    assert {k: v for k, v in held.counts.items() if v} == {"queued": 2}
    assert held.get(EntryId("x")).id == "x"


@pytest.mark.parametrize(
    ("ts", "own", "expires"),
    [
        (900.0, None, 960.0),
        (0.0, None, NOW + 60),  # no time of its own
        (5000.0, None, NOW + 60),  # written by a clock that is ahead
        (900.0, 0, float("inf")),
        (900.0, 5.5, 905.5),
        (900.0, -1, 960.0),
        (900.0, "soon", 960.0),
        (900.0, True, 960.0),
        (900.0, float("nan"), 960.0),
    ],
)
def test_when_an_entry_expires(ts: float, own: object, expires: float) -> None:
    made = Entry(id=EntryId("x"), ts=ts, source="operator", body="", metadata={} if own is None else {"ttl_s": own})
    (found,) = Entries(InboxPolicy(ttl_s=60)).add([made], now=NOW)
    assert found.expires == expires


def test_what_was_seen_does_not_expire() -> None:
    written = [receipt("x", "offered"), receipt("x", "seen")]
    (found,) = Entries(InboxPolicy(ttl_s=60)).restore([entry("x")], written, now=NOW)
    assert found.expires == float("inf")

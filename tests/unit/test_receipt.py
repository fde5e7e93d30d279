"""The states of an entry are the fold of its receipts, and an end is never left."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relayfleet.model.names import EntryId
from relayfleet.model.receipt import (
    ENTRY_STATES,
    EntryState,
    Receipt,
    decode_receipt,
    encode_receipt,
    state_of,
    states_of,
)
from tests.unit.test_entry import json_values

receipts = st.builds(
    Receipt,
    id=st.sampled_from([EntryId("a"), EntryId("b")]),
    state=st.sampled_from(ENTRY_STATES),
    ts=st.floats(0, 2e9),
    via=st.sampled_from(["", "socket", "channel", "tool"]),
    attempt=st.integers(1, 9),
    detail=st.text(),
)


@given(receipts)
def test_a_receipt_comes_back_as_it_was(receipt: Receipt) -> None:
    line = encode_receipt(receipt)
    assert line.count(b"\n") == 1
    assert decode_receipt(line) == receipt


@given(
    st.dictionaries(st.sampled_from(["id", "ts", "via", "attempt", "detail"]), json_values),
    st.sampled_from(["seen", "lost", 7]),
)
@example({"id": "a", "ts": "yesterday"}, "seen")
@example({"id": "a", "attempt": [1]}, "seen")
@example({"id": "a", "attempt": float("inf")}, "seen")
def test_what_is_no_receipt_is_none_of_them(record: dict[str, object], state: object) -> None:
    found = decode_receipt(json.dumps({**record, "state": state}))
    assert found is None or (isinstance(found.ts, float) and isinstance(found.attempt, int))
    if not isinstance(record.get("id"), str) or state not in ENTRY_STATES:
        assert found is None


@given(st.lists(receipts))
def test_the_fold_of_all_agrees_with_the_fold_of_each(written: list[Receipt]) -> None:
    states = states_of(written)
    for entry in (EntryId("a"), EntryId("b")):
        own = [r for r in written if r.id == entry]
        assert states.get(entry, "queued") == state_of(own)
        if any(r.state == "handled" for r in own) and not {"failed", "dead", "dropped"} & {r.state for r in own}:
            assert states[entry] == "handled", "what was handled stays so"


@pytest.mark.parametrize(
    ("written", "state"),
    [
        (("dead", "queued"), "queued"),
        (("dead", "queued", "offered", "seen", "handled"), "handled"),
        (("failed", "seen", "handled"), "failed"),
        (("handled", "queued"), "handled"),
        (("handled", "dropped"), "handled"),
        (("offered", "seen", "dropped"), "seen"),
        (("offered", "dropped", "seen", "handled"), "dropped"),
        (("dead", "dropped", "queued"), "queued"),
        (("seen", "queued", "offered"), "offered"),
    ],
)
def test_an_end_is_left_by_the_operator_alone(written: tuple[EntryState, ...], state: EntryState) -> None:
    assert state_of(Receipt(id=EntryId("a"), state=one, ts=1.0) for one in written) == state

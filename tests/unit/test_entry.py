"""An inbox line in and out again; what is no entry is passed over, whatever it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relayfleet.model.entry import Entry, decode_entry, encode_entry, new_entry_id
from relayfleet.model.names import EntryId

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
encodable = st.text(alphabet=st.characters(codec="utf-8"))


@given(body=encodable, ts=st.floats(0, 2e9), source=encodable, about=st.dictionaries(encodable, encodable, max_size=3))
def test_an_entry_comes_back_as_it_was(body: str, ts: float, source: str, about: dict[str, str]) -> None:
    entry = Entry(id=new_entry_id(), ts=ts, source=source, body=body, metadata=about)
    line = encode_entry(entry)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1], "one entry is one line"
    assert decode_entry(line) == entry


def test_lone_surrogates_have_no_utf_8_form() -> None:
    line = encode_entry(Entry(id=EntryId("x"), ts=1, source="s", body="a\ud800b"))
    assert json.loads(line)["body"] == "a?b"


@given(st.binary())
@example(b"")
@example(b'{"id": "x", "ts": 1')
@example(b'{"id": "x", "metadata": ' + b"[" * 200_000)
@example(b'{"id": "x", "ts": ' + b"9" * 400 + b"}")
def test_what_is_no_entry_is_none_of_them(line: bytes) -> None:
    found = decode_entry(line)
    assert found is None or isinstance(found, Entry)


@given(st.dictionaries(st.sampled_from(["id", "ts", "source", "body", "metadata"]), json_values))
@settings(deadline=None)
@example({"id": "x", "ts": 10**400})
def test_every_field_has_its_type_whatever_stood_there(record: dict[str, object]) -> None:
    entry = decode_entry(json.dumps(record))
    assert entry is None or (
        isinstance(entry.ts, float)
        and isinstance(entry.body, str)
        and isinstance(entry.source, str)
        and isinstance(entry.metadata, dict)
    )


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "1",
        "null",
        "{}",
        '{"id": ""}',
        '{"id": 7}',
        "not json",
        '{"id": "a b"}',
        '{"id": "../x"}',
        '{"id": "a\\n"}',
    ],
)
def test_without_an_id_that_can_stand_in_a_frame_it_is_no_entry(line: str) -> None:
    assert decode_entry(line) is None


def test_ids_are_random() -> None:
    made = {new_entry_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(i) == 16 and int(i, 16) >= 0 for i in made)

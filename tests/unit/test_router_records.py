"""What stands in router.db as JSON comes out again as it went in, whatever text it is."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from relayfleet.model.entry import Entry, decode_entry, encode_entry
from relayfleet.model.item import Check
from relayfleet.model.names import EntryId
from relayfleet.model.snapshot import content_of, snapshot_of
from relayfleet.model.watch import Progress
from relayfleet.store.router_db.records import (
    decode_progress,
    decode_snapshot,
    encode_line,
    encode_progress,
    encode_snapshot,
)
from relayfleet.testing import a_report

texts = st.text(alphabet=st.characters(exclude_categories=[]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(body=texts, ts=st.floats(0, 2e9), metadata=st.dictionaries(texts, values, max_size=3))
@example(body="a\ud800b", ts=1.0, metadata={"number": 1 << 70})
@example(body="\x00\x1b\x7f\x85\u2028\n", ts=1.5, metadata={})
def test_a_line_is_what_every_inbox_takes(body: str, ts: float, metadata: dict[str, Any]) -> None:
    entry = Entry(id=EntryId("x"), ts=ts, source="github", body=body, metadata=metadata)
    line = encode_line(entry)
    assert line.endswith(b"\n") and b"\n" not in line[:-1], "one entry is one line"
    assert decode_entry(line) == decode_entry(encode_entry(entry))


@given(title=texts, label=texts, check=texts)
def test_a_snapshot_comes_back_as_it_was(title: str, label: str, check: str) -> None:
    report = a_report(1, title=title, labels=(label,), checks=(Check(name=check, state="success"),))
    snapshot = snapshot_of(report)
    found = decode_snapshot(encode_snapshot(snapshot))
    if not re.search("[\ud800-\udfff]", title + label + check):
        assert found == snapshot
    assert found.content == snapshot.content, "nothing happened to it meanwhile"


def test_a_snapshot_of_another_version_is_read() -> None:
    known = encode_snapshot(snapshot_of(a_report(1)))
    assert decode_snapshot(known[:-1] + ',"mood":"good"}') == decode_snapshot(known)


def test_progress_comes_back_as_it_was() -> None:
    progress = Progress(mark="a", settled_at="b", count=3, recent=("r",), etags={"u": "e"}, open_runs={7: "queued"})
    assert decode_progress(encode_progress(progress)) == progress


@given(texts, texts)
@example("a\ud800", "a\ud801")
def test_another_text_is_another_content(first: str, second: str) -> None:
    item = a_report(1).item
    contents = {content_of(replace(item, body=body)) for body in (first, second)}
    assert len(contents) == len({first, second})

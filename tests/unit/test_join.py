"""Two entries about one item become one."""

from __future__ import annotations

from typing import Any

from relayfleet.model.entry import Entry
from relayfleet.model.join import join_entries
from relayfleet.model.names import EntryId


def entry(name: str, *, body: str = "title\n\ntext", **more: Any) -> Entry:
    metadata = {"title": "title", "labels": [], "events": ["updated"], "event": "updated", "trust": "member", **more}
    return Entry(id=EntryId(name), ts=float(len(name)), source="github", body=body, metadata=metadata)


def note(number: int, body: str = "text") -> dict[str, Any]:
    return {"url": f"https://github.com/acme/WMS/issues/1#issuecomment-{number}", "body": body}


def test_the_later_tells_what_the_item_is_and_both_what_happened() -> None:
    earlier = entry("one", body="old", events=["commented"], notes=[note(1)], state="open", labels_added=["bug"])
    later = entry("two", body="new", events=["labeled", "closed"], state="closed", labels_added=["bug", "wip"])
    joined = join_entries(earlier, later)
    assert (joined.id, joined.ts, joined.body) == ("one", 3.0, "new")
    assert joined.metadata["state"] == "closed"
    # The weightiest first.
    assert (joined.metadata["event"], joined.metadata["events"]) == ("closed", ["closed", "commented", "labeled"])
    assert joined.metadata["labels_added"] == ["bug", "wip"]
    assert joined.metadata["notes"] == [note(1)]
    assert joined.metadata["joined"] == 2
    assert join_entries(joined, entry("three")).metadata["joined"] == 3


def test_no_comment_is_lost_and_an_edited_one_is_told_as_it_is_now() -> None:
    earlier = entry("one", events=["commented"], notes=[note(1, "first"), note(2, "before")])
    later = entry("two", events=["commented"], notes=[note(2, "after"), note(3)])
    assert join_entries(earlier, later).metadata["notes"] == [note(1, "first"), note(2, "after"), note(3)]


def test_it_is_trusted_as_far_as_the_least_trusted_of_both() -> None:
    for earlier, later in (("owner", "stranger"), ("stranger", "owner")):
        assert join_entries(entry("one", trust=earlier), entry("two", trust=later)).metadata["trust"] == "stranger"


def test_what_only_the_later_withholds_is_told_as_it_was_let_through() -> None:
    earlier = entry("one", body="a text that was vouched for", title="title", labels=["bug"], vouched_by=["ann"])
    later = entry("two", body="", title="", labels=[], events=["commented"], notes=[note(1)], withheld=["item"])
    joined = join_entries(earlier, later)
    assert (joined.body, joined.metadata["title"]) == ("a text that was vouched for", "title")
    assert joined.metadata["labels"] == ["bug"] and joined.metadata["vouched_by"] == ["ann"]
    assert "withheld" not in joined.metadata


def test_what_both_withhold_stays_withheld() -> None:
    closed: dict[str, Any] = {"body": "", "title": "", "withheld": ["item"]}
    joined = join_entries(entry("one", **closed, notes=[note(1)]), entry("two", **closed, notes=[note(2)]))
    assert (joined.body, joined.metadata["title"], joined.metadata["withheld"]) == ("", "", ["item"])
    opened = join_entries(joined, entry("three", body="let through now", withheld=["notes"]))
    assert (opened.body, opened.metadata["withheld"]) == ("let through now", ["notes"])

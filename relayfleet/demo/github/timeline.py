"""What a change of an item says in its timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from relayfleet.demo.github.thing import Thing, TimelineType


class Act(NamedTuple):
    """A timeline event without its who and when."""

    type: TimelineType
    name: str = ""
    before: str = ""
    after: str = ""
    reason: str | None = None


def acts_between(was: Thing, now: Thing) -> Iterator[Act]:
    """In the order in which GitHub records them. A push is none of them; a forced one is, and is not seen here."""
    if was.title != now.title:
        yield Act("RenamedTitleEvent", before=was.title, after=now.title)
    yield from _members("LabeledEvent", "UnlabeledEvent", was.labels, now.labels)
    yield from _members("AssignedEvent", "UnassignedEvent", was.assignees, now.assignees)
    yield from _members("ReviewRequestedEvent", "ReviewRequestRemovedEvent", was.reviewers, now.reviewers)
    if was.milestone != now.milestone:
        if was.milestone is not None:
            yield Act("DemilestonedEvent", name=was.milestone)
        if now.milestone is not None:
            yield Act("MilestonedEvent", name=now.milestone)
    if was.base != now.base:
        yield Act("BaseRefChangedEvent", before=was.base, after=now.base)
    if was.draft != now.draft:
        yield Act("ConvertToDraftEvent" if now.draft else "ReadyForReviewEvent")
    if now.merged and not was.merged:
        yield Act("MergedEvent", after=now.head)
    if was.state != now.state:
        yield Act("ReopenedEvent" if now.state == "open" else "ClosedEvent", reason=now.reason)


def _members(added: TimelineType, removed: TimelineType, was: list[str], now: list[str]) -> Iterator[Act]:
    for name in now:
        if name not in was:
            yield Act(added, name=name)
    for name in was:
        if name not in now:
            yield Act(removed, name=name)

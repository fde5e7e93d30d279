"""From what was seen to what happened. Pure.

`matched`: an item came into a watch's view. `updated`: its content changed within it. A first look is a silent
snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relayfleet.model.event import Event, Item, content_of, key_of
from relayfleet.model.filter import Filter, matches_filter
from relayfleet.model.watch import Watch, fingerprint_of
from relayfleet.ports.cursor import Member, WatchChange
from relayfleet.ports.source import Sight


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The events of one look, in the order in which GitHub's clock puts them, and what changes in the watch's view."""

    events: tuple[Event, ...]
    change: WatchChange


def detect(
    watch: Watch, chosen: Filter, sight: Sight, members: Mapping[str, Member], *, viewer: str, first: bool
) -> Detection:
    """`members` are those of the sight's items that were in view before."""
    events: list[Event] = []
    entered: list[Member] = []
    left: list[str] = []
    for item in sorted(sight.items, key=lambda item: (item.updated_at, item.number)):
        known = members.get(item.node_id)
        if not matches_filter(chosen, item, viewer=viewer):
            if known is not None:
                left.append(item.node_id)
            continue
        member = _member(item, glimpsed=item.node_id in sight.glimpsed)
        if known == member:
            continue
        entered.append(member)
        if first or (known is not None and _same(known, member)):
            continue
        events.append(
            Event(
                watch=watch.name,
                name="matched" if known is None else "updated",
                item=item,
                key=key_of(item),
                watched_repo=watch.repo,
            )
        )
    change = WatchChange(
        watch=watch.name,
        fingerprint=fingerprint_of(watch),
        progress=sight.progress,
        fresh=first,
        entered=tuple(entered),
        left=tuple(left),
    )
    return Detection(events=tuple(events), change=change)


def _same(known: Member, member: Member) -> bool:
    """What was only glimpsed is known by its time: the source reads whole whatever may change under the same time."""
    if not known.content:
        return known.updated_at == member.updated_at
    return known.content == member.content


def _member(item: Item, *, glimpsed: bool) -> Member:
    content = "" if glimpsed else content_of(item)
    return Member(node_id=item.node_id, number=item.number, content=content, updated_at=item.updated_at)

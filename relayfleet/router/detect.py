"""From what was seen to what happened, for every watch of a feed. Pure.

A watch's view is the set of items that its filter lets in. A first look fills it silently. From then on, an item that
changes within the view, comes into it (`matched`) or goes out of it (`left`) is an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from relayfleet.model.change import NOTHING, Changes, EventName, compare, in_order
from relayfleet.model.event import Event, Why, key_of
from relayfleet.model.filter import Filter, matches_filter
from relayfleet.model.item import Act, Item, Kind, Report
from relayfleet.model.moment import earlier
from relayfleet.model.snapshot import Snapshot, content_of, glimpse_of, is_same, rewound, snapshot_of
from relayfleet.model.vouch import vouchers_of
from relayfleet.model.watch import Progress, Watch, fingerprint_of
from relayfleet.ports.cursor import FeedChange, FreshWatch
from relayfleet.ports.source import Found, Sight

_UNKNOWN: Found = Found(items={}, whole=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A watch and what is known of its view: of the items that matter now, those that are in it. `late` is the time
    before which GitHub's search must know an item as it is."""

    watch: Watch
    filter: Filter
    fresh: bool
    members: Set[str] = frozenset()
    late: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The events of one look, in the order in which GitHub's clock puts them, and what changes in what is known."""

    events: tuple[Event, ...]
    change: FeedChange


@dataclass(slots=True)
class _Noted:
    """What a look comes to, while it is worked out."""

    events: list[Event]
    entered: list[tuple[str, str]]
    left: list[tuple[str, str]]


def detect(
    sight: Sight,
    views: Sequence[View],
    before: Mapping[str, Snapshot],
    *,
    progress: Mapping[Kind, Progress],
    viewer: str,
) -> Detection:
    """`before` are the snapshots of the items in the sight; `progress` says up to when each kind was read before, and
    lacks the kinds that are seen for the first time."""
    noted = _Noted([], [], [])
    snapshots: dict[str, Snapshot] = {}
    for report in sorted(sight.reports, key=lambda report: (report.item.updated_at, report.item.number)):
        snapshot = _take_report(sight, report, views, before, noted, progress=progress, viewer=viewer)
        known = before.get(snapshot.node_id)
        if snapshot is not known and snapshot != known:
            snapshots[snapshot.node_id] = snapshot
    for node_id in sight.gone:
        known = before.get(node_id)
        if known is not None:
            _leave(sight, views, known, noted, why="gone")
    for view in views:
        found = sight.found.get(view.watch.name)
        if found is not None and found.whole and not view.fresh:
            _leave_unfound(sight, view, found, before, noted)
    fresh = []
    for view in views:
        if view.fresh and (view.watch.name in sight.listed or view.watch.name in sight.found):
            fresh.append(_begin(sight, view, before, snapshots, viewer=viewer))
    change = FeedChange(
        feed=sight.feed,
        progress=sight.progress,
        snapshots=tuple(snapshots.values()),
        gone=sight.gone,
        entered=tuple(noted.entered),
        left=tuple(noted.left),
        fresh=tuple(fresh),
    )
    return Detection(events=tuple(noted.events), change=change)


def _take_report(
    sight: Sight,
    report: Report,
    views: Sequence[View],
    before: Mapping[str, Snapshot],
    noted: _Noted,
    *,
    progress: Mapping[Kind, Progress],
    viewer: str,
) -> Snapshot:
    """Notes what happened to one item. Gives what is to be remembered of it."""
    item = report.item
    known = _of_here(before.get(item.node_id), sight, report.acts)
    if item.kind not in progress:
        return snapshot_of(report, known or glimpse_of(item, since=sight.progress[item.kind].mark))
    since, looked_at = progress[item.kind].mark, progress[item.kind].settled_at
    since = progress[item.kind].unshown.get(item.node_id, since)
    came = max([act.at for act in report.acts if act.kind == "transferred" and act.at > since], default="")
    if came:
        # What happened to it elsewhere is no news here.
        since = earlier(came, 1.0)
    then = known or rewound(report, since=since)
    content = content_of(item, report.notes, then)
    changes = compare(report, known, content=content, since=since, looked_at=looked_at)
    same = known is not None and changes is None and is_same(item, known)
    snapshot = known if known and same else snapshot_of(report, then, content=content)
    moved = item.repo != sight.named and bool(sight.named) and item.repo.casefold() != sight.named.casefold()
    existed = item.created_at <= since and not came
    for view in views:
        if view.fresh or view.watch.kind != item.kind:
            continue
        was = item.node_id in view.members
        if known is None and existed and not view.filter.search:
            was = matches_filter(view.filter, _as_it_was(item, then), viewer=viewer)
        now = not moved and _is_in(view, item, was=was, found=sight.found.get(view.watch.name), viewer=viewer)
        if now and item.node_id not in view.members:
            noted.entered.append((view.watch.name, item.node_id))
        if not now and item.node_id in view.members:
            noted.left.append((view.watch.name, item.node_id))
        why: Why = ""
        if was and not now:
            why = "transferred" if moved else _why(view.filter, report.item, changes or NOTHING, viewer=viewer)
        if (was or now) and (was != now or changes is not None):
            noted.events.append(
                _event(view.watch, report, changes, was=was, now=now, why=why, content=snapshot.content)
            )
    return snapshot


def _is_in(view: View, item: Item, *, was: bool, found: Found | None, viewer: str) -> bool:
    if not matches_filter(view.filter, item, viewer=viewer):
        return False
    if not view.filter.search:
        return True
    shown = found or _UNKNOWN
    if item.node_id in shown.items:
        return True
    # The index is late: that it does not show what just changed says nothing.
    return was and (not shown.whole or item.updated_at >= view.late)


def _event(
    watch: Watch, report: Report, changes: Changes | None, *, was: bool, now: bool, why: Why, content: str
) -> Event:
    names: set[EventName] = set(changes.names if changes else ())
    if now and not was:
        # That it is in view now says all that there is to say, when nothing else stands out.
        names = (names - {"updated"} if not (changes and changes.edited) else names) | {"matched"}
    elif was and not now:
        names |= {"left"}
    return Event(
        watch=watch.name,
        names=in_order(frozenset(names)),
        item=report.item,
        # Whoever watches both repositories is told that it left the one and came into the other.
        key=key_of(report.item, content if why != "transferred" else f"{why}@{content}"),
        watched_repo=watch.repo,
        changes=changes or NOTHING,
        why=why,
        vouchers=vouchers_of(report),
    )


def _why(chosen: Filter, item: Item, changes: Changes, *, viewer: str) -> Why:
    """The change that took it out of view; of several, the weightiest."""
    if chosen.states and item.state not in chosen.states:
        return {"merged": "merged", "closed": "closed", "open": "reopened"}.get(item.state, "changed")  # type: ignore[return-value]
    lost = {
        term.field
        for term in chosen.terms
        if not term.negated and not matches_filter(Filter(kind=chosen.kind, terms=(term,)), item, viewer=viewer)
    }
    if "assignee" in lost and changes.unassigned:
        return "unassigned"
    return "unlabeled" if "label" in lost and changes.labels_removed else "changed"


def _leave(sight: Sight, views: Sequence[View], known: Snapshot, noted: _Noted, *, why: Why) -> None:
    """An item of which there is nothing but what is remembered went out of every view that it was in."""
    for view in views:
        if not view.fresh and view.watch.kind == known.kind and known.node_id in view.members:
            item = replace(_remembered(known), repo=sight.named or known.repo)
            noted.left.append((view.watch.name, known.node_id))
            noted.events.append(
                Event(
                    watch=view.watch.name,
                    names=("left",),
                    item=item,
                    key=key_of(item, f"{why}@{known.updated_at}"),
                    watched_repo=view.watch.repo,
                    why=why,
                    vouchers=known.vouchers,
                )
            )


def _leave_unfound(sight: Sight, view: View, found: Found, before: Mapping[str, Snapshot], noted: _Noted) -> None:
    read = {report.item.node_id for report in sight.reports}
    for node_id in sorted(view.members - found.items.keys() - read - set(sight.gone)):
        known = before.get(node_id)
        if known is not None and known.updated_at < view.late:
            _leave(sight, (view,), known, noted, why="changed")


def _begin(
    sight: Sight, view: View, before: Mapping[str, Snapshot], snapshots: dict[str, Snapshot], *, viewer: str
) -> FreshWatch:
    """Fills the view of a fresh watch. What is not known yet is remembered as a glimpse."""
    name = view.watch.name
    listed: Mapping[str, Item] = {item.node_id: item for item in sight.listed.get(name, ())}
    if view.filter.search:
        listed = sight.found[name].items
    shown = {**listed, **{one.item.node_id: one.item for one in sight.reports if one.item.kind == view.watch.kind}}
    members = [
        node_id
        for node_id, item in shown.items()
        if matches_filter(view.filter, item, viewer=viewer) and (not view.filter.search or node_id in listed)
    ]
    since = sight.progress[view.watch.kind].settled_at
    for node_id in members:
        if _of_here(before.get(node_id), sight) is None and node_id not in snapshots:
            snapshots[node_id] = glimpse_of(shown[node_id], since=since)
    return FreshWatch(name=name, fingerprint=fingerprint_of(view.watch), members=tuple(members))


def _of_here(known: Snapshot | None, sight: Sight, acts: Sequence[Act] = ()) -> Snapshot | None:
    """None for what another feed remembered of an item that was here already when this one began: it is out of date."""
    if known is None:
        return None
    began = sight.progress[known.kind].began if known.kind in sight.progress else ""
    if known.updated_at >= began or known.heard >= began:
        return known
    if any(act.kind == "transferred" and act.at >= began for act in acts):
        return known
    return None


def _as_it_was(item: Item, then: Snapshot) -> Item:
    return replace(
        item,
        state=then.state,
        labels=then.labels,
        assignees=then.assignees,
        reviewers=then.reviewers,
        draft=then.draft,
        base=then.base,
    )


def _remembered(known: Snapshot) -> Item:
    return Item(
        host=known.host,
        repo=known.repo,
        private=known.private,
        kind=known.kind,
        node_id=known.node_id,
        number=known.number,
        title=known.title,
        body="",
        url=known.url,
        author=known.author,
        bot=known.bot,
        association=known.association,
        state=known.state,
        labels=known.labels,
        assignees=known.assignees,
        reviewers=known.reviewers,
        draft=known.draft,
        base=known.base,
        head=known.head,
        updated_at=known.updated_at,
    )

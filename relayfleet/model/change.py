"""What happened to an item between two looks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.item import FAILING, PASSING, Act, Check, Item, Note, Report
from relayfleet.model.snapshot import Snapshot, checks_of, is_new, rewound, text_hash

EventName = Literal[
    "opened", "matched", "left", "closed", "merged", "reopened", "check_failed", "reviewed", "commented",
    "review_requested", "assigned", "unassigned", "labeled", "unlabeled", "pushed", "readied", "drafted",
    "transferred", "completed", "checks_passed", "updated",
]  # fmt: skip
# In the order of their weight: the first one that applies names the event.
EVENT_NAMES: tuple[EventName, ...] = (
    "opened", "merged", "closed", "reopened", "left", "check_failed", "reviewed", "commented", "review_requested",
    "assigned", "matched", "unassigned", "labeled", "unlabeled", "pushed", "readied", "drafted", "transferred",
    "completed", "checks_passed", "updated",
)  # fmt: skip
_WEIGHT: Mapping[EventName, int] = {name: place for place, name in enumerate(EVENT_NAMES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """`names` without `matched` and `left`, which are a watch's view of it. `failing` are the checks that fail now and
    did not before. `acts` are what was done since, with who did it. `edited`: the title or the body is another."""

    names: frozenset[EventName] = frozenset()
    labels_added: tuple[str, ...] = ()
    labels_removed: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()
    unassigned: tuple[str, ...] = ()
    review_requested: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    failing: tuple[Check, ...] = ()
    acts: tuple[Act, ...] = ()
    edited: bool = False


NOTHING = Changes()


def compare(
    report: Report, before: Snapshot | None, *, content: str, since: str, looked_at: str = ""
) -> Changes | None:
    """What happened since `before`, None when nothing did. `content` is the report's, after what `before` had heard.

    Without `before` the item was never seen, and what happened after `since` (the time up to which its repository was
    read) is told, of checks what happened after the last look, which was `looked_at`: they leave no trace in when the
    item was updated."""
    item = report.item
    known = before or rewound(report, since=since)
    untouched = _is_untouched(report, known, content=content, seen=before is not None)
    if untouched and known.whole and known.updated_at == item.updated_at and known.checks == checks_of(item):
        return None
    # Of what was only glimpsed, or never seen, GitHub's record of what was done tells what it was.
    then = known if known.whole else rewound(report, since=known.heard)
    labels, assignees, reviewers = then.labels, then.assignees, then.reviewers
    acts = tuple(act for act in report.acts if act.at > (before.updated_at if before else since))
    opened = before is None and item.created_at > since
    names: set[EventName] = {"opened"} if opened else set()
    notes = tuple(note for note in report.notes if is_new(note, known))
    if notes:
        names |= {"reviewed" if note.kind == "review" else "commented" for note in notes}
    if item.kind == "runs":
        names |= _of_run(item, None if before is None and (opened or not untouched) else known)
    else:
        names |= _of_state(item, known)
    if _is_transferred(item, known, acts):
        names.add("transferred")
    checked = known.heard if before else max(since, looked_at)
    failing = _failing(item, known, since=checked)
    if failing:
        names.add("check_failed")
    elif not opened and _passed(item, known, since=checked):
        names.add("checks_passed")
    labels_added = () if opened else _new(item.labels, labels)
    labels_removed = () if opened else _new(labels, item.labels)
    assigned = () if opened else _new(item.assignees, assignees)
    unassigned = () if opened else _new(assignees, item.assignees)
    # Who is asked again after a review was not asked for in between.
    asked = {act.subject for act in acts if act.kind == "review_requested"}
    review_requested = () if opened else _new(item.reviewers, tuple(set(reviewers) - asked))
    named: tuple[tuple[EventName, tuple[str, ...]], ...] = (
        ("labeled", labels_added),
        ("unlabeled", labels_removed),
        ("assigned", assigned),
        ("unassigned", unassigned),
        ("review_requested", review_requested),
    )
    names |= {name for name, found in named if found}
    if untouched and not names and not acts:
        return None
    edited = not opened and _is_edited(report, known)
    if edited or not names:
        names.add("updated")
    return Changes(
        names=frozenset(names),
        labels_added=labels_added,
        labels_removed=labels_removed,
        assigned=assigned,
        unassigned=unassigned,
        review_requested=review_requested,
        notes=notes,
        failing=failing,
        acts=acts,
        edited=edited,
    )


def in_order(names: frozenset[EventName]) -> tuple[EventName, ...]:
    return tuple(sorted(names & _WEIGHT.keys(), key=_WEIGHT.__getitem__))


def _is_untouched(report: Report, known: Snapshot, *, content: str, seen: bool) -> bool:
    """Whether nothing shows that something happened, apart from checks and acts."""
    item = report.item
    if known.whole:
        return known.content == content
    if item.updated_at <= known.heard:
        return True
    # Of a push to what was never seen there is no trace, nor of what a run was before.
    if not seen and item.kind != "issues":
        return False
    stood = (known.state, known.draft, known.base, known.head, known.conclusion, known.attempt)
    stands = (item.state, item.draft, item.base, item.head, item.conclusion, item.attempt)
    return stood == stands and not _is_edited(report, known)


def _is_edited(report: Report, known: Snapshot) -> bool:
    if known.whole:
        return known.text != text_hash(report.item)
    renamed = (act.at for act in report.acts if act.kind == "renamed")
    return max([report.item.edited_at, *renamed]) > known.heard


def _is_transferred(item: Item, known: Snapshot, acts: Sequence[Act]) -> bool:
    """A renamed repository is another one, too, but its items keep their numbers."""
    moved = (known.host, known.repo.casefold()) != (item.host, item.repo.casefold())
    return (moved and known.number != item.number) or any(act.kind == "transferred" for act in acts)


def _of_run(item: Item, known: Snapshot | None) -> set[EventName]:
    """`known` is None for a run that went on unseen."""
    if item.state != "completed":
        return set()
    names: set[EventName] = set()
    if known is None or (known.state, known.attempt) != (item.state, item.attempt):
        names.add("completed")
    if item.conclusion in FAILING and (
        known is None or (known.conclusion, known.attempt) != (item.conclusion, item.attempt)
    ):
        names.add("check_failed")
    return names


def _of_state(item: Item, known: Snapshot) -> set[EventName]:
    names: set[EventName] = set()
    if item.state != known.state:
        names.add({"merged": "merged", "closed": "closed"}.get(item.state, "reopened"))  # type: ignore[arg-type]
    if known.draft != item.draft:
        names.add("drafted" if item.draft else "readied")
    if known.head and known.head != item.head:
        names.add("pushed")
    return names


def _failing(item: Item, known: Snapshot, *, since: str) -> tuple[Check, ...]:
    return tuple(check for check in item.checks if check.state in FAILING and _is_news(check, known, since=since))


def _passed(item: Item, known: Snapshot, *, since: str) -> bool:
    """All checks have ended well, and before that they had not."""
    if not item.checks or any(check.state not in PASSING for check in item.checks):
        return False
    if not known.whole:
        return any(_is_news(check, known, since=since) for check in item.checks)
    before = [state.partition("@")[0] for state in known.checks.values()]
    return known.head != item.head or not before or any(state not in PASSING for state in before)


def _is_news(check: Check, known: Snapshot, *, since: str) -> bool:
    if not known.whole:
        return check.at > since
    return known.checks.get(check.name) != f"{check.state}@{check.at}"


def _new(now: tuple[str, ...], before: tuple[str, ...]) -> tuple[str, ...]:
    return () if now == before else tuple(sorted(set(now) - set(before)))

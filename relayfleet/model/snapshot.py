"""A snapshot: what is remembered of an item between two looks, so that the next one can tell what happened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import msgspec

from relayfleet.model.item import RUNNING, Act, Item, Kind, Note, Report
from relayfleet.model.vouch import vouchers_of

_to_json = msgspec.json.Encoder().encode


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`text` is a hash of title and body. A snapshot that is not `whole` was only glimpsed on a first look: of its
    text, labels, assignees, reviewers and checks nothing is known.

    `heard` is the time up to which notes were read, and `heard_ids` those of exactly that second: GitHub's times are
    whole seconds. When it is not whole, nothing that happened up to `heard` is news. `checks` maps a check's name to
    `state@at`. `vouchers` are those who vouched for the text as it was then: see `vouch.py`.
    """

    node_id: str
    kind: Kind
    host: str
    repo: str
    number: int
    url: str
    title: str
    author: str
    association: str
    private: bool
    state: str
    updated_at: str
    bot: bool = False
    whole: bool = False
    text: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    draft: bool = False
    base: str = ""
    head: str = ""
    checks: Mapping[str, str] = msgspec.field(default_factory=dict)
    conclusion: str = ""
    attempt: int = 0
    content: str = ""
    heard: str = ""
    heard_ids: tuple[str, ...] = ()
    vouchers: tuple[str, ...] = ()


def snapshot_of(report: Report, before: Snapshot | None = None, *, content: str = "") -> Snapshot:
    """What is remembered of an item that was read whole. `before` gives what was heard already. `content` is what
    `content_of` says of the three, for who has asked it."""
    item = report.item
    heard, heard_ids = _heard(report.notes, before)
    return Snapshot(
        node_id=item.node_id,
        kind=item.kind,
        host=item.host,
        repo=item.repo,
        number=item.number,
        url=item.url,
        title=item.title,
        author=item.author,
        association=item.association,
        private=item.private,
        bot=item.bot,
        state=item.state,
        updated_at=item.updated_at,
        whole=True,
        text=text_hash(item),
        labels=item.labels,
        assignees=item.assignees,
        reviewers=item.reviewers,
        draft=item.draft,
        base=item.base,
        head=item.head,
        checks=checks_of(item),
        conclusion=item.conclusion,
        attempt=item.attempt,
        content=content or content_of(item, report.notes, before),
        heard=heard,
        heard_ids=heard_ids,
        vouchers=vouchers_of(report),
    )


def glimpse_of(item: Item, *, since: str) -> Snapshot:
    """What is remembered of an item that a first look listed. What happened up to `since` is no news."""
    return Snapshot(
        node_id=item.node_id,
        kind=item.kind,
        host=item.host,
        repo=item.repo,
        number=item.number,
        url=item.url,
        title=item.title,
        author=item.author,
        association=item.association,
        private=item.private,
        bot=item.bot,
        state=item.state,
        updated_at=item.updated_at,
        draft=item.draft,
        base=item.base,
        head=item.head,
        conclusion=item.conclusion,
        attempt=item.attempt,
        heard=since,
    )


def is_same(item: Item, before: Snapshot) -> bool:
    """Whether an item of which nothing is news is remembered as it is."""
    return (
        before.whole
        and before.updated_at == item.updated_at
        and before.url == item.url
        and before.repo == item.repo
        and before.private == item.private
        and before.author == item.author
        and before.association == item.association
        and before.checks == checks_of(item)
    )


def is_new(note: Note, before: Snapshot) -> bool:
    """Whether a note was written or edited since the snapshot."""
    if note.updated_at != before.heard or not before.whole:
        return note.updated_at > before.heard
    return note_id(note) not in before.heard_ids


def is_open_pull(snapshot: Snapshot) -> bool:
    return snapshot.kind == "pulls" and snapshot.state == "open"


def is_busy(snapshot: Snapshot) -> bool:
    """Whether checks of an open pull request are under way."""
    return is_open_pull(snapshot) and any(state.partition("@")[0] in RUNNING for state in snapshot.checks.values())


def note_id(note: Note) -> str:
    """Of a note and its text: an edit within the same second makes another."""
    return f"{note.node_id}.{_hash(note.state, note.body)[:8]}"


def checks_of(item: Item) -> dict[str, str]:
    return {check.name: f"{check.state}@{check.at}" for check in item.checks} if item.checks else {}


def text_hash(item: Item) -> str:
    return _hash(item.title, item.body)


def content_of(item: Item, notes: Sequence[Note] = (), before: Snapshot | None = None) -> str:
    """A hash of everything whose change makes the item news: 24 hex digits.

    A repository's name is no part of it (a rename is not news of every item), nor is `updated_at` (GitHub touches an
    item while nothing that concerns anybody has changed), nor are checks, whose every beginning and end is not news.
    """
    heard = _heard(notes, before)
    encoded = _encode(
        (
            item.title,
            item.body,
            item.state,
            sorted(item.labels),
            sorted(item.assignees),
            sorted(item.reviewers),
            item.draft,
            item.base,
            item.branch,
            item.head,
            item.workflow,
            item.conclusion,
            item.attempt,
            item.comments,
            item.edited_at,
            item.milestone,
            heard,
        )
    )
    return hashlib.sha256(encoded).hexdigest()[:24]


def _encode(parts: tuple[object, ...]) -> bytes:
    try:
        return _to_json(parts)
    except (UnicodeEncodeError, OverflowError):  # a lone surrogate, a number beyond 64 bits
        return json.dumps(parts).encode()


def rewound(report: Report, *, since: str) -> Snapshot:
    """What an item that was never seen must have been at `since`: as it is now, with what was done later undone."""
    item = report.item
    labels, assignees, reviewers = set(item.labels), set(item.assignees), set(item.reviewers)
    state, draft, base = item.state, item.draft, item.base
    for act in reversed(report.acts):
        if act.at <= since:
            break
        state, draft = _undo(act, labels, assignees, reviewers, state=state, draft=draft)
        base = act.subject if act.kind == "retargeted" else base
    return msgspec.structs.replace(
        glimpse_of(item, since=since),
        state=state,
        draft=draft,
        base=base,
        labels=tuple(sorted(labels)),
        assignees=tuple(sorted(assignees)),
        reviewers=tuple(sorted(reviewers)),
    )


def _undo(
    act: Act, labels: set[str], assignees: set[str], reviewers: set[str], *, state: str, draft: bool
) -> tuple[str, bool]:
    match act.kind:
        case "labeled":
            labels.discard(act.subject)
        case "unlabeled":
            labels.add(act.subject)
        case "assigned":
            assignees.discard(act.subject)
        case "unassigned":
            assignees.add(act.subject)
        case "review_requested":
            reviewers.discard(act.subject)
        case "review_unrequested":
            reviewers.add(act.subject)
        case "closed" | "merged":
            state = "open"
        case "reopened":
            state = "closed"
        case "readied":
            draft = True
        case "drafted":
            draft = False
        case _:
            pass
    return state, draft


def _heard(notes: Sequence[Note], before: Snapshot | None) -> tuple[str, tuple[str, ...]]:
    known, known_ids = (before.heard, before.heard_ids) if before else ("", ())
    newest = max([note.updated_at for note in notes]) if notes else ""
    if newest < known or not newest:
        return known, known_ids
    ids = {note_id(note) for note in notes if note.updated_at == newest}
    return newest, tuple(sorted(ids | (set(known_ids) if newest == known else set())))


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]

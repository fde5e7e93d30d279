"""An event as an entry of an inbox: what one agent is to know, and nothing that trust keeps from it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from relayfleet.model.entry import Entry
from relayfleet.model.event import Event
from relayfleet.model.gate import Recipient
from relayfleet.model.item import FAILING, Note
from relayfleet.model.names import EntryId
from relayfleet.model.trust import label_of

SOURCE = "github"


def entry_of(event: Event, recipient: Recipient, *, entry_id: EntryId, now: float) -> Entry:
    """The body is the item's own text: its title, a blank line, its body; it is empty when that is withheld.

    Everything else is metadata. `events` are all that happened, `event` the weightiest. `route` is the index of the
    first route that led to the agent, `trust` how far the least trusted author of what the entry tells is trusted
    (`owner member collaborator contributor stranger`). `notes` are the new comments and reviews, each with its author,
    association, trust, url and body. `withheld` lists what trust kept back.
    """
    item, changes = event.item, event.changes
    withheld = recipient.item == "withheld"
    admitted = set(recipient.notes)
    notes = [note for note in changes.notes if note.node_id in admitted]
    names = [name for name in event.names if _is_told(name, notes, withheld=withheld)]
    metadata: dict[str, Any] = {
        "repo": item.repo,
        "kind": item.kind,
        "number": item.number,
        "event": names[0] if names else event.name,
        "events": names,
        "url": item.url,
        "title": "" if withheld else item.title,
        "author": item.author,
        "association": item.association,
        "trust": _least_trusted(event, notes, withheld=withheld),
        "state": item.state,
        "labels": [] if withheld else list(item.labels),
        "assignees": list(item.assignees),
        "updated_at": item.updated_at,
        "watch": event.watch,
        "route": recipient.routes[0],
        "key": event.key,
    }
    if item.host != "github.com":
        metadata["host"] = item.host
    if event.why:
        metadata["why"] = event.why
    if recipient.priority:
        metadata["priority"] = recipient.priority
    if notes:
        metadata["notes"] = [_note(note) for note in notes]
    if recipient.item == "vouched":
        metadata["vouched_by"] = list(recipient.vouchers)
    kept_back = (["item"] if withheld else []) + (["notes"] if len(notes) < len(changes.notes) else [])
    if kept_back:
        metadata["withheld"] = kept_back
    if not withheld:
        metadata |= _of_kind(event, full=recipient.item == "full")
    body = "" if withheld else f"{item.title}\n\n{item.body}" if item.body else item.title
    return Entry(id=entry_id, ts=now, source=SOURCE, body=body, metadata=metadata)


def _of_kind(event: Event, *, full: bool) -> dict[str, Any]:
    """What changed, and what only one kind of item has. Not `full`: nothing that may be newer than the vouching."""
    item, changes = event.item, event.changes
    named: dict[str, Collection[str]] = {
        "labels_added": changes.labels_added,
        "labels_removed": changes.labels_removed,
        "assigned": changes.assigned,
        "unassigned": changes.unassigned,
        "review_requested": changes.review_requested,
    }
    found: dict[str, Any] = {name: list(values) for name, values in named.items() if values}
    if item.kind == "pulls":
        found |= {"draft": item.draft, "base": item.base, "branch": item.branch, "head": item.head}
        if full:
            failing = changes.failing or tuple(check for check in item.checks if check.state in FAILING)
            found["head_message"] = item.head_message
            found["failing"] = [{"name": one.name, "state": one.state, "url": one.url} for one in failing]
    elif item.kind == "runs":
        found |= {
            "branch": item.branch,
            "head": item.head,
            "workflow": item.workflow,
            "trigger": item.trigger,
            "conclusion": item.conclusion,
            "attempt": item.attempt,
        }
    return found


def _is_told(name: str, notes: list[Note], *, withheld: bool) -> bool:
    """Of an item whose own text is withheld, only what was said is told, and that it left."""
    if name == "commented":
        return any(note.kind != "review" for note in notes)
    if name == "reviewed":
        return any(note.kind == "review" for note in notes)
    return not withheld or name == "left"


def _note(note: Note) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "kind": note.kind,
        "author": note.author,
        "association": note.association,
        "trust": label_of(note.association),
        "url": note.url,
        "created_at": note.created_at,
        "body": note.body,
    }
    if note.updated_at > note.created_at:
        shown["updated_at"] = note.updated_at
    if note.state:
        shown["state"] = note.state
    if note.path:
        shown |= {"path": note.path, "line": note.line}
    return shown


_ORDER = ("stranger", "contributor", "collaborator", "member", "owner")


def _least_trusted(event: Event, notes: list[Note], *, withheld: bool) -> str:
    labels = [label_of(note.association) for note in notes]
    if not withheld:
        labels.append(label_of(event.item.association))
    return min(labels, key=_ORDER.index, default="stranger")

"""An event as an entry of an inbox. Pure."""

from __future__ import annotations

from typing import Any

from relayfleet.model.entry import Entry
from relayfleet.model.event import Event
from relayfleet.model.gate import Recipient
from relayfleet.model.names import EntryId
from relayfleet.model.trust import label_of

SOURCE = "github"


def entry_of(event: Event, recipient: Recipient, *, entry_id: EntryId, now: float) -> Entry:
    """The body is the item's own text: its title, a blank line, its body. Everything else is metadata.

    `metadata.route` is the index of the first route that led to the agent, `metadata.trust` how far the author is
    trusted (`owner member collaborator contributor stranger`).
    """
    item = event.item
    metadata: dict[str, Any] = {
        "repo": item.repo,
        "kind": item.kind,
        "number": item.number,
        "event": event.name,
        "url": item.url,
        "title": item.title,
        "author": item.author,
        "association": item.association,
        "trust": label_of(item.association),
        "state": item.state,
        "labels": list(item.labels),
        "assignees": list(item.assignees),
        "updated_at": item.updated_at,
        "watch": event.watch,
        "route": recipient.routes[0],
        "key": event.key,
    }
    if item.kind == "pulls":
        metadata |= {"draft": item.draft, "base": item.base, "branch": item.branch, "head": item.head}
    elif item.kind == "runs":
        metadata |= {
            "branch": item.branch,
            "head": item.head,
            "workflow": item.workflow,
            "trigger": item.trigger,
            "conclusion": item.conclusion,
            "attempt": item.attempt,
        }
    body = f"{item.title}\n\n{item.body}" if item.body else item.title
    return Entry(id=entry_id, ts=now, source=SOURCE, body=body, metadata=metadata)

"""An event: something happened outside, in the fleet's own words, independent of how it was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from relayfleet.model.change import EVENT_NAMES, NOTHING, Changes, EventName
from relayfleet.model.item import Act, Check, Item, Note

# Why an item left a watch's view. `gone`: deleted, moved away, or no longer shown to this token.
Why = Literal["", "closed", "merged", "unassigned", "unlabeled", "reopened", "transferred", "gone", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one poll found new about one item, as one watch sees it. `names` says what happened, the weightiest first:
    `matched` when the item came into the watch's view, `left` when it went out of it (`why`).

    `key` identifies the item's content: the same content never makes a second event for the same agent, and two
    edits within one second make two keys. `watched_repo` is the repository as the watch spells it: after a rename
    GitHub answers with the new name, and routes that name the old one go on matching. `vouchers` are the logins of
    those who assigned, labeled or asked for a review of somebody else's item after its text was last touched: see
    `vouch.py`.
    """

    watch: str
    names: tuple[EventName, ...]
    item: Item
    key: str
    watched_repo: str = ""
    changes: Changes = NOTHING
    why: Why = ""
    vouchers: tuple[str, ...] = ()

    @property
    def name(self) -> EventName:
        return self.names[0]


def key_of(item: Item, content: str) -> str:
    """The dedup key of an item as it is now, the same for every watch that sees it: what an item was before and is
    again has another time."""
    checks = ",".join(f"{check.name}={check.state}@{check.at}" for check in item.checks)
    moment = "" if item.kind == "runs" else item.updated_at
    stood = hashlib.sha256(f"{moment} {checks}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{item.kind}/{item.node_id}/{content}{stood}"


def encode_event(event: Event) -> dict[str, Any]:
    """For JSON: {"watch", "names", "key", "watched_repo", "why", "vouchers", "item": {...}, "changes": {...}}."""
    record = asdict(event)
    record["changes"]["names"] = sorted(event.changes.names)
    return record


def decode_event(record: Mapping[str, Any]) -> Event:
    """An event as `encode_event` gives it, or the entry that one became (an inbox line, with its `metadata`).

    An entry does not say whether its repository is private: it is taken for public, which is the stricter reading.
    Raises ValueError, in words, for anything else.
    """
    item, known = record.get("item"), record.get("metadata")
    if isinstance(item, Mapping):
        given, about = item, record
    elif isinstance(known, Mapping):
        given = {**known, "body": str(record.get("body", "")), "node_id": str(known.get("key", "//")).split("/")[1]}
        about = {**known, "names": known.get("events") or [known.get("event")]}
    else:
        raise ValueError("it has neither an `item` nor `metadata`")
    try:
        names = tuple(name for name in about.get("names") or () if name in EVENT_NAMES) or ("updated",)
        changes = about.get("changes")
        why = about.get("why", "")
        return Event(
            watch=str(about["watch"]),
            names=names,
            item=_item(given),
            key=str(about.get("key") or ""),
            watched_repo=str(about.get("watched_repo", "")),
            changes=_changes(changes) if isinstance(changes, Mapping) else _told(about),
            why=why if why in get_args(Why) else "",
            vouchers=tuple(map(str, about.get("vouchers") or ())),
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"a part is missing: {error}") from error


def _item(given: Mapping[str, Any]) -> Item:
    values = {one.name: given[one.name] for one in fields(Item) if one.name in given}
    values |= {
        name: tuple(values[name]) for name in ("labels", "assignees", "reviewers", "code_owners") if name in values
    }
    values["checks"] = tuple(Check(**check) for check in values.get("checks") or ())
    values.setdefault("private", False)
    return Item(**values)


def _told(about: Mapping[str, Any]) -> Changes:
    """What the metadata of an entry tells of the changes; a note's address takes the place of its node id."""
    notes = tuple(
        Note(
            kind=note["kind"],
            node_id=note["url"],
            url=note["url"],
            author=note["author"],
            bot=note["author"].endswith("[bot]"),
            association=note["association"],
            body=note["body"],
            created_at=note["created_at"],
            updated_at=note.get("updated_at", note["created_at"]),
            state=note.get("state", ""),
        )
        for note in about.get("notes") or ()
    )
    names = frozenset(name for name in about.get("names") or () if name in EVENT_NAMES)
    return Changes(names=names - {"matched", "left"}, notes=notes) if notes else NOTHING


def _changes(given: Mapping[str, Any]) -> Changes:
    values = {one.name: given[one.name] for one in fields(Changes) if one.name in given}
    values["names"] = frozenset(values.get("names") or ())
    for name in ("labels_added", "labels_removed", "assigned", "unassigned", "review_requested"):
        values[name] = tuple(values.get(name) or ())
    values["notes"] = tuple(Note(**note) for note in values.get("notes") or ())
    values["failing"] = tuple(Check(**check) for check in values.get("failing") or ())
    values["acts"] = tuple(Act(**act) for act in values.get("acts") or ())
    return Changes(**values)

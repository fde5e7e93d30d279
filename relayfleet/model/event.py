"""An event: something happened outside, in the fleet's own words, independent of how it was read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Kind = Literal["issues", "pulls", "runs"]
EventName = Literal["matched", "updated"]
KINDS: tuple[Kind, ...] = ("issues", "pulls", "runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One issue, pull request or workflow run as GitHub showed it at one moment.

    `number` is the issue's or pull request's number, or the run's id. `association` is what GitHub attests of the
    author towards the repository (`OWNER`, `MEMBER`, `COLLABORATOR`, `CONTRIBUTOR`, `NONE` ...); of a run's author,
    see `sources/github/runs.py`. `updated_at` is ISO 8601 in UTC with a trailing Z, by GitHub's clock. `state` is
    `open`, `closed`, `merged`, or a run's status. `workflow_file` is the last part of the workflow's path and `trigger`
    what set a run off (`push`, `pull_request` ...); both are empty for issues and pull requests.
    """

    repo: str
    private: bool
    kind: Kind
    node_id: str
    number: int
    title: str
    body: str
    url: str
    author: str
    association: str
    state: str
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    draft: bool = False
    base: str = ""
    branch: str = ""
    head: str = ""
    workflow: str = ""
    workflow_file: str = ""
    trigger: str = ""
    conclusion: str = ""
    attempt: int = 0
    comments: int = 0
    created_at: str = ""
    updated_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An item came into a watch's view (`matched`) or changed within it (`updated`).

    `key` identifies the item's content: the same content never makes a second event for the same agent, and two
    edits within one second make two keys. `watched_repo` is the repository as the watch spells it: after a rename
    GitHub answers with the new name, and routes that name the old one go on matching.
    """

    watch: str
    name: EventName
    item: Item
    key: str
    watched_repo: str = ""


def content_of(item: Item) -> str:
    """A hash of everything whose change makes the item news: 24 hex digits.

    A repository's name is no part of it (a rename is not news of every item), nor is the time of a run (GitHub
    touches it while nothing that concerns us has changed).
    """
    parts = (
        item.title,
        item.body,
        item.state,
        sorted(item.labels),
        sorted(item.assignees),
        item.draft,
        item.base,
        item.branch,
        item.head,
        item.workflow,
        item.conclusion,
        item.attempt,
        item.comments,
        "" if item.kind == "runs" else item.updated_at,
    )
    encoded = json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()
    return hashlib.sha256(encoded).hexdigest()[:24]


def key_of(item: Item) -> str:
    """The dedup key of an item's present content, the same for every watch that sees it."""
    return f"{item.kind}/{item.node_id}/{content_of(item)}"


def encode_event(event: Event) -> dict[str, Any]:
    """For JSON: {"watch", "name", "key", "watched_repo", "item": {...}}."""
    return asdict(event)


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
        about = {**known, "name": known.get("event")}
    else:
        raise ValueError("it has neither an `item` nor `metadata`")
    values = {one.name: given[one.name] for one in fields(Item) if one.name in given}
    values |= {name: tuple(values[name]) for name in ("labels", "assignees") if name in values}
    values.setdefault("private", False)
    try:
        shown = Item(**values)
        name: EventName = "matched" if about.get("name") == "matched" else "updated"
        key = str(about.get("key") or key_of(shown))
        return Event(
            watch=str(about["watch"]), name=name, item=shown, key=key, watched_repo=str(about.get("watched_repo", ""))
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"a part is missing: {error}") from error

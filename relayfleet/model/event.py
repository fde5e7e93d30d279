"""An event: something happened outside, in the fleet's own words, independent of how it was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["issues", "pulls", "runs"]
EventName = Literal["matched", "updated"]
KINDS: tuple[Kind, ...] = ("issues", "pulls", "runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One issue, pull request or workflow run as GitHub showed it at one moment.

    `number` is the issue's or pull request's number, or the run's id. `association` is what GitHub attests of the
    author towards the repository (`OWNER`, `MEMBER`, `COLLABORATOR`, `CONTRIBUTOR`, `NONE` ...). `updated_at` is
    ISO 8601 in UTC with a trailing Z, by GitHub's clock. `state` is `open`, `closed`, `merged`, or a run's status.
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
    conclusion: str = ""
    attempt: int = 0
    comments: int = 0
    created_at: str = ""
    updated_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An item came into a watch's view (`matched`) or changed within it (`updated`).

    `key` identifies the item's content: the same content never makes a second event for the same agent, and two
    edits within one second make two keys.
    """

    watch: str
    name: EventName
    item: Item
    key: str

"""What lies in a repository: issues, pull requests and runs, and what is said and done about them.

Everything below a `Thing` is frozen, and replaced when it changes: what a `Thing` was stays as it was.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from relayfleet.demo.github.repository import Repository

ThingKind = Literal["issues", "pulls", "runs"]
TimelineType = Literal[
    "AssignedEvent",
    "BaseRefChangedEvent",
    "ClosedEvent",
    "CommentDeletedEvent",
    "ConvertToDraftEvent",
    "DemilestonedEvent",
    "HeadRefForcePushedEvent",
    "LabeledEvent",
    "MergedEvent",
    "MilestonedEvent",
    "ReadyForReviewEvent",
    "RenamedTitleEvent",
    "ReopenedEvent",
    "ReviewDismissedEvent",
    "ReviewRequestRemovedEvent",
    "ReviewRequestedEvent",
    "TransferredEvent",
    "UnassignedEvent",
    "UnlabeledEvent",
]
HEAD = "0" * 40
_BOT = "[bot]"


@functools.lru_cache(maxsize=1 << 16)
def _printed(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(moment: float) -> str:
    """As GitHub prints times: whole seconds, UTC."""
    return _printed(int(moment))


@dataclass(frozen=True, slots=True)
class Account:
    """Who did something. `login` as REST prints it: a bot's ends in `[bot]`. A deleted account's is empty."""

    login: str

    @property
    def bot(self) -> bool:
        return self.login.endswith(_BOT)

    @property
    def name(self) -> str:
        """As GraphQL prints it: a bot's without the ending."""
        return self.login.removesuffix(_BOT)


@dataclass(frozen=True, slots=True)
class Team:
    """Who may be asked for a review, too. Where a login is expected it is written `organization/slug`."""

    organization: str
    slug: str


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Somebody whose review is asked for; `as_code_owner`, because a CODEOWNERS file says so."""

    reviewer: Account | Team
    as_code_owner: bool


def reviewer(name: str) -> Account | Team:
    organization, slash, slug = name.partition("/")
    return Team(organization, slug) if slash else Account(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """Under an item, or, with a `path`, at a line of a pull request's changes: then it is a part of a review."""

    id: int
    author: str
    body: str
    created: float
    updated: float
    edited: float | None = None
    path: str | None = None
    line: int | None = None

    @property
    def node_id(self) -> str:
        return f"IC_{self.id}" if self.path is None else f"PRRC_{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """`state` as GraphQL prints it."""

    id: int
    author: str
    state: str
    body: str
    submitted: float
    updated: float
    edited: float | None = None
    head: str = HEAD
    comments: tuple[Comment, ...] = ()

    @property
    def node_id(self) -> str:
        return f"PRR_{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """What somebody did. `name` is the label, login, team or milestone; `before` and `after` are titles, branches,
    commits, states or repositories; `reason` is why it was closed, or a dismissal's words.
    """

    id: int
    type: TimelineType
    actor: str
    at: float
    name: str = ""
    before: str = ""
    after: str = ""
    reason: str | None = None

    @property
    def node_id(self) -> str:
        return f"{''.join(char for char in self.type if char.isupper())}_{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRun:
    """`status` and `conclusion` as GraphQL prints them."""

    id: int
    name: str
    status: str
    conclusion: str | None
    workflow: str
    url: str
    started: float
    completed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusContext:
    """What the older API reports of a commit. `state` as GraphQL prints it."""

    id: int
    context: str
    state: str
    url: str
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The checks of it are what is true of them by now, not their history."""

    oid: str
    message: str
    committed: float
    contexts: tuple[CheckRun | StatusContext, ...] = ()

    @property
    def headline(self) -> str:
        return self.message.partition("\n")[0]


@dataclass(slots=True, kw_only=True, eq=False)
class Thing:
    """An issue, a pull request or a run. `past` is what it was, for a search index that is late."""

    id: int
    number: int
    kind: ThingKind
    repository: Repository = field(repr=False)
    title: str
    body: str = ""
    state: str = "open"
    reason: str | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    code_owners: list[str] = field(default_factory=list)
    milestone: str | None = None
    author: str = "octocat"
    created: float
    updated: float
    edited: float | None = None
    closed: float | None = None
    merged: bool = False
    draft: bool = False
    base: str = "main"
    branch: str = "main"
    head: str = HEAD
    fork: bool = False
    comments: tuple[Comment, ...] = ()
    reviews: tuple[Review, ...] = ()
    timeline: tuple[TimelineEvent, ...] = ()
    commits: tuple[Commit, ...] = ()
    workflow: str = "CI"
    event: str = "push"
    status: str = "queued"
    conclusion: str | None = None
    attempt: int = 1
    past: list[tuple[float, Thing]] = field(default_factory=list, repr=False)

    @property
    def node_id(self) -> str:
        return f"{_PREFIX[self.kind]}_{self.id}"

    @property
    def url(self) -> str:
        return f"{self.repository.url}/{_PATH[self.kind]}/{self.number}"

    def parts(self) -> Iterator[Comment | Review]:
        """All that has a text of its own."""
        yield from self.comments
        for review in self.reviews:
            yield review
            yield from review.comments


_PREFIX: dict[ThingKind, str] = {"issues": "I", "pulls": "PR", "runs": "WFR"}
_PATH: dict[ThingKind, str] = {"issues": "issues", "pulls": "pull", "runs": "actions/runs"}

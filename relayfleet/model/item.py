"""An item: an issue, a pull request or a workflow run, and what hangs on it, as GitHub showed it at one moment.

Every text carries who wrote it and what GitHub attests of them: trust is judged text by text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["issues", "pulls", "runs"]
KINDS: tuple[Kind, ...] = ("issues", "pulls", "runs")
NoteKind = Literal["comment", "review", "review_comment"]
ActKind = Literal[
    "labeled", "unlabeled", "assigned", "unassigned", "review_requested", "review_unrequested",
    "closed", "reopened", "merged", "renamed", "readied", "drafted", "pushed", "retargeted", "transferred",
    "milestoned", "demilestoned", "uncommented",
]  # fmt: skip
GITHUB = "github.com"
FAILING = frozenset({"failure", "timed_out", "startup_failure", "action_required", "error"})
PASSING = frozenset({"success", "neutral", "skipped"})
RUNNING = frozenset({"queued", "in_progress", "waiting", "pending", "requested", "expected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a pull request's head. `state` is its conclusion in lower case, or its status until it has one;
    `at` is when it ended or began."""

    name: str
    state: str
    url: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`node_id` is as `id_on` gives it. `number` is the issue's or pull request's number, or the run's id.
    `association` is what GitHub attests of the author towards the repository (`OWNER`, `MEMBER`, `COLLABORATOR`,
    `CONTRIBUTOR`, `NONE` ...); of a run's author, see `sources/github/runs.py`. `bot`: the author is an app, and
    its login ends in `[bot]`. Times are ISO 8601 in UTC with a trailing Z, by GitHub's clock; `edited_at` is when
    the body was last edited, empty when never. `state` is `open`, `closed`, `merged`, or a run's status.
    `workflow_file` is the last part of the workflow's path and `trigger` what set a run off (`push`, `pull_request`
    ...); both are empty for issues and pull requests. `reviewers` are the logins and `team/<slug>`s whose review is
    asked for, `code_owners` those of them whom a CODEOWNERS file names. `head_message` is the head commit's
    message.
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
    host: str = GITHUB
    bot: bool = False
    reason: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    code_owners: tuple[str, ...] = ()
    milestone: str = ""
    draft: bool = False
    base: str = ""
    branch: str = ""
    head: str = ""
    head_message: str = ""
    checks: tuple[Check, ...] = ()
    workflow: str = ""
    workflow_file: str = ""
    trigger: str = ""
    conclusion: str = ""
    attempt: int = 0
    comments: int = 0
    created_at: str = ""
    updated_at: str = ""
    edited_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A comment, a review, or a review's comment on a line. `state` is a review's verdict (`approved`,
    `changes_requested`, `commented`, `dismissed`); `path` and `line` say where a review comment stands."""

    kind: NoteKind
    node_id: str
    url: str
    author: str
    association: str
    body: str
    created_at: str
    updated_at: str
    bot: bool = False
    state: str = ""
    path: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that somebody did to an item. `subject` is the label, the login or `team/<slug>`, or what the title or
    the base was before. `uncommented`: a comment was deleted."""

    kind: ActKind
    node_id: str
    actor: str
    at: str
    bot: bool = False
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An item as it is now, the notes that may be new, and what was done to it lately, oldest first."""

    item: Item
    notes: tuple[Note, ...] = ()
    acts: tuple[Act, ...] = ()


def address_of(host: str, repo: str) -> str:
    """OWNER/NAME on github.com, HOST/OWNER/NAME elsewhere: as `gh --repo` takes it."""
    return repo if host == GITHUB else f"{host}/{repo}"


def id_on(host: str, node_id: str) -> str:
    """A node id as it is known here: two hosts may give the same one, so that away from github.com the host stands
    before it."""
    return node_id if host == GITHUB else f"{host}:{node_id}"


def id_there(node_id: str) -> str:
    """The node id as its host knows it."""
    return node_id.rpartition(":")[2]


def split_address(address: str) -> tuple[str, str]:
    """(host, OWNER/NAME) of an address."""
    host, _, rest = address.partition("/")
    return (host.lower(), rest) if "/" in rest else (GITHUB, address)

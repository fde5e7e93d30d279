"""What is true on the stand-in at one moment: plain copies, and nothing of how the router sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from relayfleet.demo.github.repository import Repository
from relayfleet.demo.github.state import State
from relayfleet.demo.github.thing import CheckRun, Comment, Review, Thing, ThingKind

KINDS: tuple[ThingKind, ...] = ("issues", "pulls")


class Said(NamedTuple):
    """A comment, a review or a review's comment on a line. `at` is when it was written or last edited."""

    kind: str
    author: str
    state: str
    body: str
    association: str
    at: int


class Done(NamedTuple):
    """One event of an item's timeline, at a whole second. `name` is a label, a login or a team."""

    id: int
    type: str
    actor: str
    at: int
    name: str


class Checked(NamedTuple):
    state: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One item. Times are whole seconds, as GitHub tells them; `edited` is 0 when the body never was."""

    node_id: str
    repository: int
    repo: str
    private: bool
    kind: ThingKind
    number: int
    title: str
    body: str
    author: str
    association: str
    state: str
    labels: frozenset[str]
    assignees: frozenset[str]
    reviewers: frozenset[str]
    code_owners: frozenset[str]
    milestone: str
    draft: bool
    base: str
    branch: str
    head: str
    message: str
    created: int
    updated: int
    edited: int
    comments: int
    notes: Mapping[str, Said]
    checks: Mapping[str, Checked]
    acts: tuple[Done, ...]


def truth_of(state: State) -> dict[str, Truth]:
    """Every issue and pull request of a host, by node id."""
    return {
        thing.node_id: _copy(thing, repository)
        for repository in state.repositories.values()
        for kind in KINDS
        for thing in repository.things[kind].values()
    }


def login(name: str) -> str:
    """A deleted account is shown as `ghost`."""
    return name or "ghost"


def _copy(thing: Thing, repository: Repository) -> Truth:
    return Truth(
        node_id=thing.node_id,
        repository=repository.id,
        repo=repository.full,
        private=repository.private,
        kind=thing.kind,
        number=thing.number,
        title=thing.title,
        body=thing.body,
        author=login(thing.author),
        association=repository.association_of(thing.author),
        state="merged" if thing.merged else thing.state,
        labels=frozenset(thing.labels),
        assignees=frozenset(thing.assignees),
        reviewers=frozenset(thing.reviewers),
        code_owners=frozenset(thing.reviewers).intersection(thing.code_owners),
        milestone=thing.milestone or "",
        draft=thing.draft,
        base=thing.base if thing.kind == "pulls" else "",
        branch=thing.branch if thing.kind == "pulls" else "",
        head=thing.head if thing.kind == "pulls" else "",
        message=thing.commits[-1].message if thing.commits else "",
        created=int(thing.created),
        updated=int(thing.updated),
        edited=int(thing.edited or 0),
        comments=len(thing.comments),
        notes=_notes(thing, repository),
        checks=_checks(thing),
        acts=tuple(Done(one.id, one.type, login(one.actor), int(one.at), one.name) for one in thing.timeline),
    )


def _notes(thing: Thing, repository: Repository) -> dict[str, Said]:
    def said(one: Comment | Review, kind: str, *, state: str = "", at: float) -> Said:
        at = max(at, one.updated if state == "dismissed" else one.edited or 0)
        return Said(kind, login(one.author), state, one.body, repository.association_of(one.author), int(at))

    found = {one.node_id: said(one, "comment", at=one.created) for one in thing.comments}
    for review in thing.reviews:
        # What only carries comments says nothing of its own.
        if review.state != "COMMENTED" or review.body or not review.comments:
            found[review.node_id] = said(review, "review", state=review.state.lower(), at=review.submitted)
        found |= {one.node_id: said(one, "review_comment", at=one.created) for one in review.comments}
    return found


def _checks(thing: Thing) -> dict[str, Checked]:
    found = {}
    for one in thing.commits[-1].contexts if thing.commits else ():
        if isinstance(one, CheckRun):
            state = (one.conclusion or one.status).lower()
            found[one.name] = Checked(state, int(one.completed or one.started))
        else:
            found[one.context] = Checked(one.state.lower(), int(one.created))
    return found

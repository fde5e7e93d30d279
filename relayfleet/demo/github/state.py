"""What the stand-in knows of one host: repositories, their items, and the clocks that can be set wrong.

Every change is one method. It records in the item's timeline what was done and by whom, moves `updatedAt` where GitHub
does, and leaves what the item was to a search index that is late.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from relayfleet.demo.github.fault import Fault
from relayfleet.demo.github.repository import Repository
from relayfleet.demo.github.thing import (
    CheckRun,
    Comment,
    Commit,
    Review,
    StatusContext,
    Thing,
    ThingKind,
    TimelineEvent,
    iso,
)
from relayfleet.demo.github.timeline import Act, acts_between

__all__ = ["State", "Thing", "ThingKind", "iso"]

Line = tuple[str, int, str]
Text = TypeVar("Text", Comment, Review)
_CHANGEABLE = frozenset(
    {
        "title", "body", "state", "reason", "labels", "assignees", "reviewers", "code_owners", "milestone", "author",
        "draft", "merged", "base", "branch", "head", "fork", "workflow", "event", "status", "conclusion", "attempt",
    }
)  # fmt: skip


class State:
    """Everything; `clock_skew`, `search_lag` and `latency` are in seconds, and so is what `clock` gives.

    `viewer` is the login behind a token, unless `viewers` names another for it. With `token` every other token is
    refused. Who did something is the `actor`: by default the owner of the repository, who may do everything; but what
    an item is opened with was put there by its author, as GitHub has it of an issue template's labels and assignees.
    A login that ends with `[bot]` is a bot's, and an empty one a deleted account's. A reviewer written
    `organization/slug` is a team. `at` is the time of a change, by default the server's.
    """

    def __init__(self, host: str = "github.com") -> None:
        self.host = host
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, str] = {}
        self.viewer = "relaybot"
        self.viewers: dict[str, str] = {}
        self.token: str | None = None
        self.clock: Callable[[], float] = time.time
        self.clock_skew = 0.0
        self.search_lag = 0.0
        self.latency = 0.0
        self.log: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self._holders: dict[str, Thing] = {}
        self._transferred: dict[tuple[int, int], Thing] = {}
        self._last_id = 1000

    def now(self) -> float:
        return self.clock() + self.clock_skew

    def viewer_of(self, token: str) -> str:
        return self.viewers.get(token, self.viewer)

    def repository(self, full: str) -> Repository | None:
        """A renamed one answers to its old names, too, until another takes them."""
        name = full.lower()
        while name not in self.repositories and name in self.moved:
            name = self.moved[name].lower()
        return self.repositories.get(name)

    def add_repository(self, full: str, *, private: bool = False) -> Repository:
        found = self.repositories.get(full.lower())
        if found is None:
            found = self.repositories[full.lower()] = Repository(id=self._new_id(), full=full, host=self.host)
            self.moved.pop(full.lower(), None)
        found.private = private
        return found

    def rename(self, old: str, new: str) -> None:
        repository = self.repositories.pop(old.lower())
        repository.full = new
        self.repositories[new.lower()] = repository
        self.moved.pop(new.lower(), None)
        self.moved[old.lower()] = new

    def associate(self, full: str, login: str, association: str) -> None:
        repository = self.repository(full) or self.add_repository(full)
        repository.associations[login.casefold()] = association

    def item(self, full: str, number: int) -> Thing:
        """An issue or a pull request. Raises KeyError."""
        repository = self.repository(full)
        found = repository.item(number) if repository else None
        if found is None:
            raise KeyError(f"{full}#{number}")
        return found

    def holder(self, node_id: str) -> Thing | None:
        """The item that this is the id of, or of a comment or review of which."""
        return self._holders.get(node_id)

    def moved_item(self, repository: Repository, number: int) -> Thing | None:
        """Where an item went that was transferred out of `repository`."""
        return self._transferred.get((repository.id, number))

    def put(
        self,
        full: str,
        kind: ThingKind,
        number: int | None = None,
        *,
        at: float | None = None,
        actor: str | None = None,
        association: str | None = None,
        **fields: Any,
    ) -> Thing:
        """Creates a thing or changes one. `association` is noted for its author. Raises KeyError for another field.

        Labels, assignees, reviewers, the title, the state and so on may be given as they are to be: what that changes
        goes into the timeline. Another `body` is an edit of it, another `head` a push.
        """
        if unknown := fields.keys() - _CHANGEABLE:
            raise KeyError(*sorted(unknown))
        repository = self.repository(full) or self.add_repository(full)
        moment = self.now() if at is None else at
        thing = repository.things[kind].get(number) if number is not None else None
        opened = thing is None
        if thing is None:
            thing = self._open(repository, kind, number, moment, fields)
        was = copy.copy(thing)
        for name, value in fields.items():
            setattr(thing, name, list(value) if isinstance(value, list | tuple) else value)
        if association is not None:
            repository.associations[thing.author.casefold()] = association
        if kind != "runs":
            self._settle(was, thing, moment, opened=opened)
            doer = actor if actor is not None else thing.author if opened else repository.owner
            self._record(thing, acts_between(was, thing), doer, moment)
        self._touch(thing, moment)
        return thing

    def remove(self, full: str, kind: ThingKind, number: int) -> None:
        """Deleted: its number and its id lead nowhere."""
        repository = self.repository(full)
        if repository is not None and (thing := repository.things[kind].pop(number, None)) is not None:
            self._forget(thing)
            repository.changed(kind)
            if kind != "runs":
                repository.deleted.add(number)

    def comment(
        self,
        full: str,
        number: int,
        body: str,
        *,
        author: str,
        association: str | None = None,
        at: float | None = None,
        id: int | None = None,
    ) -> Comment:
        thing, moment = self.item(full, number), self.now() if at is None else at
        comment = Comment(id=id or self._new_id(), author=author, body=body, created=moment, updated=moment)
        thing.comments += (comment,)
        if association is not None:
            self.associate(full, author, association)
        self._hold(thing, comment)
        self._touch(thing, moment)
        return comment

    def review(
        self,
        full: str,
        number: int,
        *,
        author: str,
        state: str = "COMMENTED",
        body: str = "",
        comments: Iterable[Line] = (),
        association: str | None = None,
        at: float | None = None,
        id: int | None = None,
    ) -> Review:
        """Submitted, with its comments as (path, line, body)."""
        thing, moment = self.item(full, number), self.now() if at is None else at
        inline = tuple(
            Comment(id=self._new_id(), author=author, body=said, created=moment, updated=moment, path=path, line=line)
            for path, line, said in comments
        )
        review = Review(
            id=id or self._new_id(),
            author=author,
            state=state,
            body=body,
            submitted=moment,
            updated=moment,
            head=thing.head,
            comments=inline,
        )
        thing.reviews += (review,)
        thing.reviewers = [one for one in thing.reviewers if one.casefold() != author.casefold()]
        if association is not None:
            self.associate(full, author, association)
        self._hold(thing, review, *inline)
        self._touch(thing, moment)
        return review

    def review_comment(
        self,
        full: str,
        number: int,
        body: str,
        *,
        path: str,
        line: int | None,
        author: str,
        review_id: int | None = None,
        association: str | None = None,
        at: float | None = None,
        id: int | None = None,
    ) -> Comment:
        """One more for a review; for one that is not there it is the first."""
        thing, moment = self.item(full, number), self.now() if at is None else at
        review = next((one for one in thing.reviews if one.id == review_id), None)
        if review is None:
            review = self.review(full, number, author=author, association=association, at=at, id=review_id)
        comment = Comment(
            id=id or self._new_id(), author=author, body=body, created=moment, updated=moment, path=path, line=line
        )
        grown = replace(review, comments=(*review.comments, comment))
        thing.reviews = tuple(grown if one is review else one for one in thing.reviews)
        if association is not None:
            self.associate(full, author, association)
        self._hold(thing, comment)
        self._touch(thing, moment)
        return comment

    def edit_comment(self, full: str, number: int, id: int, body: str, *, at: float | None = None) -> None:
        """Another text for a comment, a review or one of its comments. Raises KeyError."""
        thing, moment = self.item(full, number), self.now() if at is None else at
        if id not in (one.id for one in thing.parts()):
            raise KeyError(id)
        thing.comments = _edited(thing.comments, id, body, moment)
        thing.reviews = tuple(
            replace(_edited((one,), id, body, moment)[0], comments=_edited(one.comments, id, body, moment))
            for one in thing.reviews
        )
        self._touch(thing, moment)

    def delete_comment(
        self, full: str, number: int, id: int, *, actor: str | None = None, at: float | None = None
    ) -> None:
        """A comment, or one of a review, which goes with its last one when it says nothing else. Raises KeyError."""
        thing, moment = self.item(full, number), self.now() if at is None else at
        gone = next((one for one in thing.parts() if one.id == id and isinstance(one, Comment)), None)
        if gone is None:
            raise KeyError(id)
        self._forget(thing)
        if gone in thing.comments:
            thing.comments = tuple(one for one in thing.comments if one is not gone)
            by = thing.repository.owner if actor is None else actor
            self._record(thing, [Act("CommentDeletedEvent", name=gone.author)], by, moment)
        else:
            thinned = [replace(one, comments=tuple(c for c in one.comments if c is not gone)) for one in thing.reviews]
            thing.reviews = tuple(one for one in thinned if one.comments or one.body or one.state != "COMMENTED")
        self._hold(thing, thing, *thing.parts())
        self._touch(thing, moment)

    def dismiss_review(
        self, full: str, number: int, id: int, *, reason: str = "", actor: str | None = None, at: float | None = None
    ) -> None:
        thing, moment = self.item(full, number), self.now() if at is None else at
        [review] = [one for one in thing.reviews if one.id == id]
        thing.reviews = tuple(
            replace(one, state="DISMISSED", updated=moment) if one is review else one for one in thing.reviews
        )
        by = thing.repository.owner if actor is None else actor
        act = Act("ReviewDismissedEvent", name=review.node_id, before=review.state, reason=reason)
        self._record(thing, [act], by, moment)
        self._touch(thing, moment)

    def label(self, full: str, number: int, *names: str, actor: str | None = None, at: float | None = None) -> None:
        self._join(full, number, "labels", names, actor=actor, at=at)

    def unlabel(self, full: str, number: int, *names: str, actor: str | None = None, at: float | None = None) -> None:
        self._leave(full, number, "labels", names, actor=actor, at=at)

    def assign(self, full: str, number: int, *logins: str, actor: str | None = None, at: float | None = None) -> None:
        self._join(full, number, "assignees", logins, actor=actor, at=at)

    def unassign(self, full: str, number: int, *logins: str, actor: str | None = None, at: float | None = None) -> None:
        self._leave(full, number, "assignees", logins, actor=actor, at=at)

    def request_review(
        self, full: str, number: int, *names: str, actor: str | None = None, at: float | None = None
    ) -> None:
        self._join(full, number, "reviewers", names, actor=actor, at=at)

    def unrequest_review(
        self, full: str, number: int, *names: str, actor: str | None = None, at: float | None = None
    ) -> None:
        self._leave(full, number, "reviewers", names, actor=actor, at=at)

    def change(
        self, full: str, number: int, *, actor: str | None = None, at: float | None = None, **fields: Any
    ) -> Thing:
        """As `put`, of an item that is there: `change(..., state="closed", reason="NOT_PLANNED")`. Raises KeyError."""
        return self.put(full, self.item(full, number).kind, number, actor=actor, at=at, **fields)

    def push(
        self,
        full: str,
        number: int,
        *,
        message: str = "",
        oid: str | None = None,
        forced: bool = False,
        actor: str | None = None,
        at: float | None = None,
    ) -> Commit:
        """A new head. A forced push takes the place of the last one, and stands in the timeline."""
        thing, moment = self.item(full, number), self.now() if at is None else at
        commit = Commit(oid=oid or self._new_oid(), message=message or f"Commit {self._new_id()}", committed=moment)
        if forced:
            by = thing.author if actor is None else actor
            self._record(thing, [Act("HeadRefForcePushedEvent", before=thing.head, after=commit.oid)], by, moment)
        thing.commits = (*(thing.commits[:-1] if forced else thing.commits), commit)
        thing.head = commit.oid
        self._touch(thing, moment)
        return commit

    def check(
        self,
        full: str,
        number: int,
        name: str,
        *,
        status: str = "COMPLETED",
        conclusion: str | None = "SUCCESS",
        workflow: str = "CI",
        url: str | None = None,
        at: float | None = None,
    ) -> CheckRun:
        """A check run of the head, or what has become of it. One that begins again is another with the same name.

        Without a `workflow` it is not of GitHub Actions but of an app.

        As on GitHub the item's `updatedAt` does not move.
        """
        thing, moment = self.item(full, number), self.now() if at is None else at
        done = status == "COMPLETED"
        last = next((one for one in _contexts(thing) if isinstance(one, CheckRun) and one.name == name), None)
        goes_on = last is not None and last.completed is None
        id = last.id if last is not None and goes_on else self._new_id()
        run = CheckRun(
            id=id,
            name=name,
            status=status,
            conclusion=conclusion if done else None,
            workflow=workflow,
            url=url or f"{thing.repository.url}/actions/runs/{id}/job/{id}",
            started=last.started if last is not None and goes_on else moment,
            completed=moment if done else None,
        )
        self._report(thing, last, run)
        return run

    def status(
        self, full: str, number: int, context: str, *, state: str = "SUCCESS", url: str = "", at: float | None = None
    ) -> StatusContext:
        """A commit status of the head. As on GitHub the item's `updatedAt` does not move."""
        thing, moment = self.item(full, number), self.now() if at is None else at
        last = next(
            (one for one in _contexts(thing) if isinstance(one, StatusContext) and one.context == context), None
        )
        given = StatusContext(id=self._new_id(), context=context, state=state, url=url, created=moment)
        self._report(thing, last, given)
        return given

    def touch(self, full: str, number: int, *, at: float | None = None) -> None:
        """`updatedAt` moves and nothing else, as it does when GitHub thinks about a merge again."""
        self._touch(self.item(full, number), self.now() if at is None else at)

    def transfer(
        self,
        full: str,
        number: int,
        to: str,
        *,
        actor: str | None = None,
        at: float | None = None,
        keeps_id: bool = True,
    ) -> Thing:
        """An issue goes to another repository and gets a number there; the milestone stays behind.

        Its old number leads there over REST and nowhere over GraphQL. Its id stays the same, or (`keeps_id` false) it
        and its comments get new ones and the old ones lead nowhere. Raises ValueError for a pull request.
        """
        thing, moment = self.item(full, number), self.now() if at is None else at
        if thing.kind == "pulls":
            raise ValueError("a pull request cannot be transferred")
        source, target = thing.repository, self.repository(to) or self.add_repository(to)
        del source.things["issues"][number]
        source.changed("issues")
        self._forget(thing)
        target.last_number += 1
        thing.repository, thing.number, thing.milestone = target, target.last_number, None
        if not keeps_id:
            thing.id = self._new_id()
            thing.comments = tuple(replace(one, id=self._new_id()) for one in thing.comments)
        target.things["issues"][thing.number] = thing
        self._transferred[source.id, number] = thing
        self._hold(thing, thing, *thing.parts())
        by = source.owner if actor is None else actor
        self._record(thing, [Act("TransferredEvent", before=source.full)], by, moment)
        self._touch(thing, moment)
        return thing

    def seed(self, repositories: int, *, issues: int = 20, pulls: int = 5, runs: int = 5, owner: str = "acme") -> None:
        """Fills repositories <owner>/repo<i> with things of yesterday."""
        start = int(self.now()) - 86_400
        for index in range(repositories):
            full = f"{owner}/repo{index}"
            for turn in range(issues):
                self.put(
                    full,
                    "issues",
                    at=start + turn * 60,
                    title=f"Issue {turn}",
                    assignees=[self.viewer] if turn % 4 == 0 else [],
                    labels=["bug"] if turn % 3 == 0 else ["enhancement"],
                )
            for turn in range(pulls):
                self.put(full, "pulls", at=start + turn * 60, title=f"PR {turn}")
            for turn in range(runs):
                self.put(full, "runs", 90_000 + turn, at=start + turn * 60, status="completed", conclusion="success")

    def _open(
        self, repository: Repository, kind: ThingKind, number: int | None, moment: float, fields: dict[str, Any]
    ) -> Thing:
        """A thing that has only what it could not be without."""
        if kind == "runs":
            id = number = self._new_id() if number is None else number
        else:
            id, number = self._new_id(), repository.last_number + 1 if number is None else number
            repository.last_number = max(repository.last_number, number)
            if repository.item(number) is not None:
                raise ValueError(f"{repository.full}#{number} is there, and of the other kind")
        thing = Thing(
            id=id,
            number=number,
            kind=kind,
            repository=repository,
            title=fields.get("title", f"{kind} {number}"),
            base=fields.get("base", "main"),
            draft=fields.get("draft", False),
            created=moment,
            updated=moment,
        )
        if kind == "pulls":
            thing.head = fields.get("head") or self._new_oid()
            thing.commits = (Commit(oid=thing.head, message=thing.title, committed=moment),)
        repository.things[kind][number] = thing
        self._hold(thing, thing)
        return thing

    def _settle(self, was: Thing, thing: Thing, moment: float, *, opened: bool) -> None:
        """What follows from the fields that were set."""
        if thing.merged:
            thing.state = "closed"
        if thing.state != was.state:
            thing.closed = moment if thing.state == "closed" else None
            if thing.kind == "issues" and thing.reason == was.reason:
                thing.reason = "COMPLETED" if thing.state == "closed" else "REOPENED"
        if thing.body != was.body and not opened:
            thing.edited = moment
        if thing.head != was.head and not opened:
            thing.commits += (Commit(oid=thing.head, message=f"Commit {self._new_id()}", committed=moment),)

    def _join(
        self, full: str, number: int, field: str, names: Sequence[str], *, actor: str | None, at: float | None
    ) -> None:
        have = getattr(self.item(full, number), field)
        self.change(full, number, actor=actor, at=at, **{field: [*have, *(one for one in names if one not in have)]})

    def _leave(
        self, full: str, number: int, field: str, names: Sequence[str], *, actor: str | None, at: float | None
    ) -> None:
        have = getattr(self.item(full, number), field)
        self.change(full, number, actor=actor, at=at, **{field: [one for one in have if one not in names]})

    def _record(self, thing: Thing, acts: Iterable[Act], actor: str, moment: float) -> None:
        thing.timeline += tuple(
            TimelineEvent(
                id=self._new_id(),
                type=act.type,
                actor=actor,
                at=moment,
                name=act.name,
                before=act.before,
                after=act.after,
                reason=act.reason,
            )
            for act in acts
        )

    def _report(self, thing: Thing, last: CheckRun | StatusContext | None, new: CheckRun | StatusContext) -> None:
        head = thing.commits[-1]
        contexts = (*(one for one in head.contexts if one is not last), new)
        thing.commits = (*thing.commits[:-1], replace(head, contexts=contexts))

    def _touch(self, thing: Thing, moment: float) -> None:
        thing.updated = moment
        thing.repository.changed(thing.kind)
        snapshot = copy.copy(thing)
        snapshot.past = []
        thing.past.append((time.time(), snapshot))

    def _hold(self, thing: Thing, *parts: Thing | Comment | Review) -> None:
        self._holders.update((part.node_id, thing) for part in parts)

    def _forget(self, thing: Thing) -> None:
        for part in (thing, *thing.parts()):
            self._holders.pop(part.node_id, None)

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _new_oid(self) -> str:
        return hashlib.sha1(f"{self.host} {self._new_id()}".encode(), usedforsecurity=False).hexdigest()


def _contexts(thing: Thing) -> tuple[CheckRun | StatusContext, ...]:
    return thing.commits[-1].contexts


def _edited(parts: tuple[Text, ...], id: int, body: str, moment: float) -> tuple[Text, ...]:
    return tuple(
        replace(one, body=body, updated=moment, edited=moment) if one.id == id and one.body != body else one
        for one in parts
    )

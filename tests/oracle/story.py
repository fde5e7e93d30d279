"""What may happen on GitHub, at random: one small act at a time, by people who may do it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from relayfleet.demo.github.repository import Repository
from relayfleet.demo.github.thing import Thing
from tests.oracle.truth import KINDS
from tests.standins.github import GitHubStandin

OWNER, VIEWER, BOT, GHOST = "acme", "relaybot", "dep[bot]", ""
PEOPLE = {"ann": "MEMBER", "bob": "COLLABORATOR", "cid": "CONTRIBUTOR", "eve": "FIRST_TIMER", "mallory": "NONE"}
AUTHORS = (OWNER, *PEOPLE, BOT, GHOST)
TRUSTED = (OWNER, "ann", "bob", BOT)
LABELS = ("bug", "wip", "Help Wanted", "x")
ASSIGNEES = (VIEWER, "ann", "bob")
REVIEWERS = (VIEWER, "ann", "cid", "acme/core")
CHECKS = ("build", "test", "lint", "cla/check")
CONCLUSIONS = ("SUCCESS", "FAILURE", "NEUTRAL", "TIMED_OUT", "CANCELLED", "SKIPPED", "ACTION_REQUIRED")


class Story:
    """Acts on the stand-in. `moment` is when: the server's time, or one that several acts share.

    The checks of a pull request change by themselves only when it is `swept`: who else looks at them cannot know when
    they changed. An issue is transferred when it is `settled`, and rests until somebody looked at both repositories.
    """

    def __init__(self, github: GitHubStandin, rng: random.Random) -> None:
        self.github = github
        self.rng = rng
        self.repositories: list[int] = []
        self.moment: float | None = None
        self.swept: Callable[[Thing], bool] = lambda thing: False
        self.settled: Callable[[Thing], bool] = lambda thing: False
        self.resting: set[int] = set()
        self._count = 0
        self._names = 0

    def begin(self, full: str, *, items: int, at: float, private: bool = False) -> int:
        """A repository with items of some time ago, which nobody looks at yet. Gives its id."""
        self.swept = lambda thing: True
        state = self.github.state
        repository = self.github.do(lambda: state.add_repository(full, private=private))
        for login, association in PEOPLE.items():
            self.github.associate(full, login, association)
        for number in range(items):
            self.moment = at + number * 60
            self.open(repository)
        self.moment = None
        for thing in list(self._things(repository)):
            self.moment = max(thing.updated, at + self.rng.random() * items * 60)
            self.rng.choice((self.comment, self.label, self.assign, self.close, self.edit))(thing)
            if thing.kind == "pulls":
                self.moment += self.rng.random() * items * 600
                self.check(thing)
        self.moment = None
        self.swept = lambda thing: False
        self.repositories.append(repository.id)
        return repository.id

    def act(self) -> None:
        """One thing happens somewhere."""
        repository = self._repository(self.rng.choice(self.repositories))
        things = list(self._things(repository))
        if not things or self.rng.random() < 0.08:
            self.open(repository)
            return
        thing = self.rng.choice(things)
        both: list[tuple[float, Callable[[Thing], None]]] = [
            (6, self.comment), (2, self.edit_note), (1, self.delete_note), (4, self.label), (3, self.assign),
            (4, self.edit), (3, self.close), (1, self.flip), (1, self.touch), (1, self.milestone), (0.7, self.delete),
            (1, self.hide),
        ]  # fmt: skip
        if thing.kind == "pulls":
            both += [
                (4, self.review), (1, self.dismiss), (2, self.request), (2, self.push), (1, self.retarget),
                (1, self.draft), (4, self.check),
            ]  # fmt: skip
        else:
            both += [(0.5, self.transfer)]
        [do] = self.rng.choices([act for _, act in both], [weight for weight, _ in both])
        do(thing)

    def burst(self) -> None:
        """More of a kind in one place than fits on a page, or what hides one change behind another."""
        repository = self._repository(self.rng.choice(self.repositories))
        things = list(self._things(repository))
        pulls = [thing for thing in things if thing.kind == "pulls"]
        count = self.rng.randint(21, 60)
        if not pulls:
            return
        thing, pull = self.rng.choice(things), self.rng.choice(pulls)
        match self.rng.randrange(6):
            case 0:
                for _ in range(2 * count):
                    self.comment(thing)
                self.hide(thing, first=True)
            case 1:
                for _ in range(count):
                    self.review(pull)
                for _ in range(3):
                    self.edit_note(pull)
            case 2:
                lines = [("src/b.py", line, self._text("line")) for line in range(1, 2 * count)]
                self.github.review(*self._of(pull), author=self.rng.choice(TRUSTED), comments=lines, at=self.moment)
            case 3:
                for one in things:
                    self.edit(one)
            case 4:
                for _ in range(count // 2):
                    self.open(repository)
                for one in things:
                    self.label(one)
            case _:
                self._swap(repository)

    def _swap(self, repository: Repository) -> None:
        """One comes from elsewhere, and one goes: there are as many as before."""
        for number in self.rng.sample(self.repositories, len(self.repositories)):
            there = self._repository(number)
            coming = [thing for thing in self._things(there) if thing.kind == "issues" and self.settled(thing)]
            going = [thing for thing in self._things(repository) if thing.kind == "issues"]
            if there is not repository and coming and going:
                self.delete(self.rng.choice(going))
                self._move(self.rng.choice(coming), repository.full)
                return

    def open(self, repository: Repository) -> None:
        kind = self.rng.choice(KINDS)
        fields: dict[str, Any] = {"draft": self.rng.random() < 0.3, "base": self._base()} if kind == "pulls" else {}
        if kind == "pulls" and self.rng.random() < 0.3:
            fields["reviewers"] = [self.rng.choice(REVIEWERS)]
        self.github.put(
            repository.full,
            kind,
            author=self.rng.choice(AUTHORS),
            title=self._text("title"),
            body=self.rng.choice(["", self._text("body")]),
            labels=self.rng.sample(LABELS, self.rng.choice([0, 0, 1, 2])),
            assignees=self.rng.sample(ASSIGNEES, self.rng.choice([0, 0, 1])),
            at=self.moment,
            **fields,
        )

    def comment(self, thing: Thing) -> None:
        self.github.comment(*self._of(thing), self._text("said"), author=self.rng.choice(AUTHORS), at=self.moment)

    def edit_note(self, thing: Thing) -> None:
        parts = list(thing.parts())
        if parts:
            self.github.edit_comment(*self._of(thing), self.rng.choice(parts).id, self._text("edited"), at=self.moment)

    def hide(self, thing: Thing, *, first: bool = False) -> None:
        """GitHub touches a comment that somebody hid, and nobody said anything."""
        if thing.comments:
            hidden = thing.comments[0] if first else self.rng.choice(thing.comments)
            moment = self.moment or self.github.do(self.github.state.now)
            touched = tuple(replace(one, updated=moment) if one is hidden else one for one in thing.comments)
            self.github.do(lambda: setattr(thing, "comments", touched))
            self.touch(thing)

    def delete_note(self, thing: Thing) -> None:
        if thing.comments:
            self.github.delete_comment(*self._of(thing), self.rng.choice(thing.comments).id, at=self.moment)

    def review(self, thing: Thing) -> None:
        """Everybody may review; with a verdict, some words, comments on lines, or several of these."""
        state = self.rng.choice(["COMMENTED", "APPROVED", "CHANGES_REQUESTED"])
        lines = [("src/a.py", line, self._text("line")) for line in range(1, self.rng.choice([1, 1, 2, 4]))]
        self.github.review(
            *self._of(thing),
            author=self.rng.choice([one for one in AUTHORS if one != GHOST]),
            state=state,
            body=self.rng.choice(["", self._text("reviewed")]),
            comments=lines,
            at=self.moment,
        )

    def dismiss(self, thing: Thing) -> None:
        reviews = [one for one in thing.reviews if one.state != "DISMISSED"]
        if reviews:
            self.github.dismiss_review(*self._of(thing), self.rng.choice(reviews).id, at=self.moment)

    def label(self, thing: Thing) -> None:
        self._toggle(thing, self.rng.choice(LABELS), thing.labels, self.github.label, self.github.unlabel)

    def assign(self, thing: Thing) -> None:
        self._toggle(thing, self.rng.choice(ASSIGNEES), thing.assignees, self.github.assign, self.github.unassign)

    def request(self, thing: Thing) -> None:
        name = self.rng.choice(REVIEWERS)
        if name not in thing.reviewers and self.rng.random() < 0.2:
            self._change(thing, reviewers=[*thing.reviewers, name], code_owners=[*thing.code_owners, name])
        else:
            self._toggle(thing, name, thing.reviewers, self.github.request_review, self.github.unrequest_review)

    def edit(self, thing: Thing) -> None:
        field = self.rng.choice(["title", "body"])
        self._change(thing, self.rng.choice([thing.author, OWNER]), **{field: self._text(field)})

    def close(self, thing: Thing) -> None:
        if thing.state == "open":
            merged = thing.kind == "pulls" and self.rng.random() < 0.4
            self._change(thing, **({"merged": True} if merged else {"state": "closed"}))
        elif not thing.merged:
            self._change(thing, state="open")

    def flip(self, thing: Thing) -> None:
        """There and back again."""
        if thing.merged:
            return
        for _ in range(2):
            self._change(thing, state="closed" if thing.state == "open" else "open")

    def milestone(self, thing: Thing) -> None:
        self._change(thing, milestone=self.rng.choice([None, "v1", "v2"]))

    def retarget(self, thing: Thing) -> None:
        if thing.state == "open":
            self._change(thing, base=self._base())

    def draft(self, thing: Thing) -> None:
        if thing.state == "open":
            self._change(thing, thing.author, draft=not thing.draft)

    def push(self, thing: Thing) -> None:
        if thing.state == "open":
            forced = self.rng.random() < 0.3
            self.github.push(*self._of(thing), message=self._text("commit"), forced=forced, at=self.moment)

    def check(self, thing: Thing) -> None:
        """As on GitHub, it leaves no mark on the pull request."""
        if thing.state != "open":
            return
        name = self.rng.choice(CHECKS)
        if "/" in name:
            state = self.rng.choice(["SUCCESS", "FAILURE", "PENDING", "ERROR"])
            self.github.status(*self._of(thing), name, state=state, at=self.moment)
        elif self.rng.random() < 0.3:
            self.github.check(*self._of(thing), name, status="IN_PROGRESS", at=self.moment)
        else:
            self.github.check(*self._of(thing), name, conclusion=self.rng.choice(CONCLUSIONS), at=self.moment)
        if not self.swept(thing):
            self.comment(thing)

    def touch(self, thing: Thing) -> None:
        self.github.touch(*self._of(thing), at=self.moment)

    def delete(self, thing: Thing) -> None:
        self.github.remove(thing.repository.full, thing.kind, thing.number)

    def transfer(self, thing: Thing) -> None:
        """Within the organization, or out of sight."""
        if not self.settled(thing):
            return
        target = self.rng.choice([*map(self.name, self.repositories), "acme/attic"])
        if target == thing.repository.full:
            return
        if target == "acme/attic":
            self.github.do(lambda: self.github.state.add_repository("acme/attic"))
        self._move(thing, target)

    def _move(self, thing: Thing, target: str) -> None:
        self.github.transfer(*self._of(thing), target, keeps_id=self.rng.random() < 0.5, at=self.moment)
        self.resting.add(thing.id)

    def rename(self) -> None:
        old = self.name(self.rng.choice(self.repositories))
        self._names += 1
        self.github.rename(old, f"acme/renamed{self._names}")

    def _things(self, repository: Repository) -> Sequence[Thing]:
        return [thing for kind in KINDS for thing in repository.things[kind].values() if thing.id not in self.resting]

    def _toggle(
        self, thing: Thing, name: str, have: Sequence[str], join: Callable[..., None], leave: Callable[..., None]
    ) -> None:
        (leave if name in have else join)(*self._of(thing), name, actor=self._actor(thing), at=self.moment)

    def _change(self, thing: Thing, actor: str | None = None, **fields: Any) -> None:
        self.github.change(
            *self._of(thing), actor=self._actor(thing) if actor is None else actor, at=self.moment, **fields
        )

    def _actor(self, thing: Thing) -> str:
        return self.rng.choice([*TRUSTED, thing.author])

    def _repository(self, number: int) -> Repository:
        return next(one for one in self.github.state.repositories.values() if one.id == number)

    def name(self, number: int) -> str:
        return self._repository(number).full

    def _of(self, thing: Thing) -> tuple[str, int]:
        return thing.repository.full, thing.number

    def _base(self) -> str:
        return self.rng.choice(["main", "main", "release"])

    def _text(self, what: str) -> str:
        self._count += 1
        return f"{what} {self._count}"

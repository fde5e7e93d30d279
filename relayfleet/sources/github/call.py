"""One request through `gh api -i`: what came back, or the failure that it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.model.item import GITHUB
from relayfleet.model.moment import moment_of
from relayfleet.ports.github import Gh, GhAnswer
from relayfleet.ports.source import Budget, Failure, Purpose, Spent
from relayfleet.sources.github.answer import Answer, parse_answer
from relayfleet.sources.github.failure import budget_of, failure_of, failure_of_graphql, failure_of_program, unreadable
from relayfleet.sources.github.query import Query, Question, compose

# GitHub's times are whole seconds, and its answers may be a little late.
SETTLE_S = 2.0


def settled_at(date: float) -> str:
    """The time up to which an answer of `date` (seconds, by GitHub's clock) surely shows everything."""
    return moment_of(date - SETTLE_S)


class Caller:
    """Speaks to one GitHub host through `gh`, keeps the newest budget of each resource, and an account of what was
    spent."""

    def __init__(self, gh: Gh, now: Callable[[], float], *, host: str = GITHUB, timeout_s: float = 15.0) -> None:
        self._gh = gh
        self._now = now
        self._api = ("api", "-i") if host == GITHUB else ("api", "-i", "--hostname", host)
        self._timeout_s = timeout_s
        self._spent: list[Spent] = []
        self.host = host
        self.budgets: dict[str, Budget] = {}

    async def ask(
        self, questions: Sequence[Question], purpose: Purpose, feeds: Sequence[str] = ()
    ) -> Replies | Failure:
        """All questions in one GraphQL query. `feeds` are the keys of those that it is for."""
        query = compose(questions)
        sent = json.dumps({"query": query.text, "variables": query.variables}, ensure_ascii=False).encode()
        began = time.monotonic()
        answer = await self._run((*self._api, "graphql", "--input", "-"), stdin=sent)
        replies = self._read(answer, query) if isinstance(answer, Answer) else answer
        points = replies.cost if isinstance(replies, Replies) else 1
        self._note(purpose, "graphql", points, time.monotonic() - began, feeds)
        return replies

    async def get(self, path: str, *, etag: str = "", feed: str = "") -> Answer | Failure:
        """A REST request; with `etag` the answer may be a 304 without a body, which costs no point."""
        headers = ("-H", f"If-None-Match: {etag}") if etag else ()
        began = time.monotonic()
        answer = await self._run((*self._api, *headers, path))
        points = 0 if isinstance(answer, Answer) and answer.status == 304 else 1
        self._note("runs", "core", points, time.monotonic() - began, (feed,) if feed else ())
        return answer

    def take_spent(self) -> tuple[Spent, ...]:
        """What was spent since the last call."""
        spent, self._spent = tuple(self._spent), []
        return spent

    def _note(self, purpose: Purpose, resource: str, points: int, seconds: float, feeds: Sequence[str]) -> None:
        self._spent.append(
            Spent(purpose=purpose, resource=resource, points=points, seconds=seconds, feeds=tuple(feeds))
        )

    def _read(self, answer: Answer, query: Query) -> Replies | Failure:
        try:
            body = answer.json()
        except ValueError:
            return unreadable(answer)
        failure = failure_of_graphql(answer, body, now=self._now())
        if failure is not None:
            return failure
        cost = (body["data"].get("rateLimit") or {}).get("cost")
        return Replies(
            date=answer.date or self._now(),
            data=[body["data"].get(alias) for alias in query.aliases],
            aliases=query.aliases,
            errors=body.get("errors") or (),
            cost=cost if isinstance(cost, int) else 1,
        )

    async def _run(self, args: Sequence[str], *, stdin: bytes = b"") -> Answer | Failure:
        try:
            printed: GhAnswer = await self._gh.run(args, stdin=stdin, timeout_s=self._timeout_s)
        except FleetError as error:
            return failure_of_program(error)
        answer = parse_answer(printed.stdout)
        if answer is not None:
            budget = budget_of(answer)
            if budget is not None:
                self.budgets[budget.resource] = budget
        failure = failure_of(answer, printed, now=self._now())
        if failure is not None:
            return failure
        assert answer is not None
        return answer


class Replies:
    """The answers to the questions of one query, in their order. `date` is the server's clock, seconds UTC; `cost` is
    in points."""

    def __init__(
        self, *, date: float, data: list[Any], aliases: Sequence[str], errors: Sequence[Mapping[str, Any]], cost: int
    ) -> None:
        self.date = date
        self.cost = cost
        self.data = data
        self.aliases = aliases
        self.errors = errors

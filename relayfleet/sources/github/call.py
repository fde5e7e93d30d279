"""One request through `gh api -i`: what came back, or the failure that it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.ports.github import Gh, GhAnswer
from relayfleet.ports.source import Budget, Failure
from relayfleet.sources.github.answer import Answer, parse_answer
from relayfleet.sources.github.failure import budget_of, failure_of, failure_of_graphql, failure_of_program, unreadable
from relayfleet.sources.github.query import Question, compose


class Caller:
    """Speaks to GitHub through `gh`, and keeps the newest budget of each resource."""

    def __init__(self, gh: Gh, now: Callable[[], float], *, timeout_s: float = 15.0) -> None:
        self._gh = gh
        self._now = now
        self._timeout_s = timeout_s
        self.budgets: dict[str, Budget] = {}

    async def ask(self, questions: Sequence[Question]) -> Replies | Failure:
        """All questions in one GraphQL query."""
        query = compose(questions)
        sent = json.dumps({"query": query.text, "variables": query.variables}, ensure_ascii=False).encode()
        answer = await self._run(("api", "-i", "graphql", "--input", "-"), stdin=sent)
        if isinstance(answer, Failure):
            return answer
        try:
            body = answer.json()
        except ValueError:
            return unreadable(answer)
        failure = failure_of_graphql(answer, body, now=self._now())
        if failure is not None:
            return failure
        return Replies(
            date=answer.date or self._now(),
            data=[body["data"].get(alias) for alias in query.aliases],
            aliases=query.aliases,
            errors=body.get("errors") or (),
        )

    async def get(self, path: str, *, etag: str = "") -> Answer | Failure:
        """A REST request; with `etag` the answer may be a 304 without a body."""
        headers = ("-H", f"If-None-Match: {etag}") if etag else ()
        return await self._run(("api", "-i", *headers, path))

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
    """The answers to the questions of one query, in their order. `date` is the server's clock, seconds UTC."""

    def __init__(
        self, *, date: float, data: list[Any], aliases: Sequence[str], errors: Sequence[Mapping[str, Any]]
    ) -> None:
        self.date = date
        self.data = data
        self.aliases = aliases
        self.errors = errors

"""GitHub as the router's source: issues and pull requests over GraphQL, workflow runs over REST."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relayfleet.errors import FleetError
from relayfleet.model.event import Item
from relayfleet.ports.github import Gh
from relayfleet.ports.source import Failure, Look, Round
from relayfleet.sources.github.call import Caller
from relayfleet.sources.github.decode import decode_item, errors_by_alias
from relayfleet.sources.github.failure import failure_of_errors
from relayfleet.sources.github.items import ItemReader
from relayfleet.sources.github.query import single, viewer
from relayfleet.sources.github.runs import RunReader, decode_run

_ITEM_URL = re.compile(r"https?://[^/]+/([^/]+/[^/]+)/(?:(issues|pull)/([0-9]+)|actions/runs/([0-9]+))(?:[/?#].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A single item. `repo` is as the URL spells it, `viewer` the login of the token."""

    item: Item
    repo: str
    viewer: str


class GitHubSource:
    """Implements ports.Source."""

    def __init__(self, gh: Gh, now: Callable[[], float], *, timeout_s: float = 15.0) -> None:
        """`now` is seconds since the epoch; it stands in where GitHub's own clock is missing."""
        self._caller = Caller(gh, now, timeout_s=timeout_s)
        self._items = ItemReader(self._caller)
        self._runs = RunReader(self._caller)

    async def look(self, looks: Sequence[Look]) -> Round:
        """Looks at watches that are all runs, or none of them runs: the two have budgets of their own."""
        reader = self._runs if looks and looks[0].watch.kind == "runs" else self._items
        sights, failures, failure = await reader.look(looks)
        return Round(
            sights=tuple(sights),
            failures=failures,
            failure=failure,
            budgets=tuple(self._caller.budgets.values()),
            viewer=self._items.viewer,
        )

    async def find(self, url: str) -> Found:
        """The item behind the URL of an issue, a pull request or a run. Raises FleetError."""
        doing = f"read {url!r}"
        shape = _ITEM_URL.fullmatch(url)
        if shape is None:
            raise FleetError(
                doing,
                "it is no URL of an issue, a pull request or a run",
                hint="like https://github.com/acme/WMS/issues/41",
            )
        repo, number, run = shape[1], shape[3], shape[4]
        replies = await self._caller.ask([viewer(), *([single(repo, int(number))] if number else [])])
        if isinstance(replies, Failure):
            raise FleetError(doing, replies.message)
        if replies.data[0] is None:
            raise FleetError(doing, "GitHub did not say whose token this is")
        if run:
            item = await self._find_run(doing, repo, int(run))
        else:
            data = replies.data[1]
            if not data or not data.get("issueOrPullRequest"):
                errors = errors_by_alias(replies.errors).get(replies.aliases[1], ())
                raise FleetError(doing, failure_of_errors(errors).message)
            item = decode_item(data["issueOrPullRequest"])
        return Found(item=item, repo=repo, viewer=str(replies.data[0]["login"]))

    async def _find_run(self, doing: str, repo: str, run_id: int) -> Item:
        answer = await self._caller.get(f"repos/{repo}/actions/runs/{run_id}")
        if isinstance(answer, Failure):
            raise FleetError(doing, answer.message)
        try:
            return decode_run(answer.json())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FleetError(doing, f"the answer cannot be read: {error!r}") from error

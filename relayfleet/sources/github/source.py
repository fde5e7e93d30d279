"""GitHub as the router's source: issues and pull requests over GraphQL, workflow runs over REST."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relayfleet.errors import FleetError
from relayfleet.model.item import GITHUB, Item, Report, address_of
from relayfleet.ports.github import Gh
from relayfleet.ports.source import Failure, Look, Round
from relayfleet.sources.github.call import Caller
from relayfleet.sources.github.decode import decode_report, errors_by_alias, login_of
from relayfleet.sources.github.failure import failure_of_errors
from relayfleet.sources.github.items import ItemReader
from relayfleet.sources.github.query import single, viewer
from relayfleet.sources.github.runs import RunReader, decode_run

_ITEM_URL = re.compile(r"https?://([^/]+)/([^/]+/[^/]+)/(?:(issues|pull)/([0-9]+)|actions/runs/([0-9]+))(?:[/?#].*)?")

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A single item, with what was said and done. `repo` is as the URL spells it (HOST/OWNER/NAME away from
    github.com), `viewer` the login of the token."""

    report: Report
    repo: str
    viewer: str


class GitHubSource:
    """Implements ports.Source for one account on one host."""

    def __init__(self, gh: Gh, now: Callable[[], float], *, host: str = GITHUB, timeout_s: float = 15.0) -> None:
        """`now` is seconds since the epoch; it stands in where GitHub's own clock is missing."""
        # Each lane keeps its own account of what it spent.
        self._graphql = Caller(gh, now, host=host, timeout_s=timeout_s)
        self._rest = Caller(gh, now, host=host, timeout_s=timeout_s)
        self._items = ItemReader(self._graphql, now)
        self._runs = RunReader(self._rest)

    async def look(self, looks: Sequence[Look]) -> Round:
        """Looks at feeds that are all of one lane."""
        if looks and looks[0].feed.lane == "runs":
            sights, failures, failure = await self._runs.look(looks)
            watch_failures: Mapping[str, Failure] = {}
            caller = self._rest
            if failure is None and not self._items.viewer and any(look.needs_viewer for look in looks):
                await self._learn_viewer()
        else:
            read = await self._items.look(looks)
            sights, failures = list(read.sights), dict(read.failures)
            watch_failures, failure = read.watch_failures, read.failure
            caller = self._graphql
        return Round(
            sights=tuple(sights),
            failures=failures,
            watch_failures=watch_failures,
            failure=failure,
            budgets=tuple(caller.budgets.values()),
            spent=caller.take_spent(),
            viewer=self._items.viewer,
        )

    async def _learn_viewer(self) -> None:
        """Over REST: a second GraphQL query must not be under way while the other lane has one."""
        answer = await self._rest.get("user")
        with contextlib.suppress(*_UNREADABLE):
            self._items.viewer = "" if isinstance(answer, Failure) else str(answer.json()["login"])

    async def find(self, url: str) -> Lookup:
        """The item behind the URL of an issue, a pull request or a run. Raises FleetError."""
        doing = f"read {url!r}"
        shape = _ITEM_URL.fullmatch(url)
        if shape is None:
            raise FleetError(
                doing,
                "it is no URL of an issue, a pull request or a run",
                hint="like https://github.com/acme/WMS/issues/41",
            )
        host, repo, number, run = shape[1].lower(), shape[2], shape[4], shape[5]
        if host != self._graphql.host:
            raise FleetError(doing, f"it is on {host}, and this account on {self._graphql.host}")
        replies = await self._graphql.ask([viewer(), *([single(repo, int(number))] if number else [])], "details")
        if isinstance(replies, Failure):
            raise FleetError(doing, replies.message)
        if replies.data[0] is None:
            raise FleetError(doing, "GitHub did not say whose token this is")
        if run:
            report = Report(item=await self._find_run(doing, repo, int(run)))
        else:
            data = replies.data[1]
            if not data or not data.get("issueOrPullRequest"):
                errors = errors_by_alias(replies.errors).get(replies.aliases[1], ())
                raise FleetError(doing, failure_of_errors(errors).message)
            report = decode_report(data["issueOrPullRequest"], host=host)
        return Lookup(report=report, repo=address_of(host, repo), viewer=login_of(replies.data[0])[0])

    async def _find_run(self, doing: str, repo: str, run_id: int) -> Item:
        answer = await self._rest.get(f"repos/{repo}/actions/runs/{run_id}")
        if isinstance(answer, Failure):
            raise FleetError(doing, answer.message)
        try:
            return decode_run(answer.json(), host=self._rest.host)
        except _UNREADABLE as error:
            raise FleetError(doing, f"the answer cannot be read: {error!r}") from error

"""GitHub as the router's source: issues and pull requests over GraphQL, workflow runs over REST."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relayfleet.ports import Gh, Look, Round
from relayfleet.sources.github.call import Caller
from relayfleet.sources.github.items import ItemReader
from relayfleet.sources.github.runs import RunReader


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

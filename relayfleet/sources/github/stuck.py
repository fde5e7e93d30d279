"""Single items that GitHub fails to show: a look waits for one a few times, then it is read around.

What is counted lives as long as the process; that an item was read around is in the feed's progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

# So many looks in a row fail for an item's sake before it is read around, and so often it is tried again then.
MOST_FAILED = 5
RETRY_S = 900.0


class Stuck:
    """The items, by node id, at which GitHub failed lately."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._suspects: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._tried_at: dict[str, float] = {}

    def fails(self, node_id: str) -> bool:
        """Notes a failure. Whether there were so many in a row that the item is to be read around."""
        self._failed[node_id] = self._failed.get(node_id, 0) + 1
        self._tried_at[node_id] = self._now()
        return self._failed[node_id] >= MOST_FAILED

    def suspect(self, node_ids: Sequence[str]) -> None:
        """GitHub failed at a query for these: it may be for any of them."""
        self._suspects.update(dict.fromkeys(node_ids, max(1, len(node_ids) // 2)))

    def suspected(self, node_id: str) -> int:
        """How many such items may be asked for in a query of their own; 0 for one that is no suspect."""
        return self._suspects.get(node_id, 0)

    def shown(self, node_id: str) -> None:
        self._suspects.pop(node_id, None)
        self._failed.pop(node_id, None)
        self._tried_at.pop(node_id, None)

    def rests(self, node_id: str) -> bool:
        """Whether it is too early to try again what was read around."""
        tried_at = self._tried_at.get(node_id)
        # A clock that was set back is not waited for.
        return tried_at is not None and 0 <= self._now() - tried_at < RETRY_S

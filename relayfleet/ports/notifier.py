"""Tells the user of what should not wait until somebody looks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from relayfleet.model.notice import Notice


class Notifier(Protocol):
    def notify(self, notice: Notice) -> None:
        """Returns at once and raises nothing; a notice may be left out when there are too many."""
        ...


class NullNotifier:
    """For who has nothing to be told through. `pids` are the processes that tell at this moment."""

    pids: Collection[int] = ()

    def notify(self, notice: Notice) -> None:
        pass

"""Which agent wrote what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from relayfleet.model.writing import Writing


class Authorship(Protocol):
    """What is known of the fleet's own writing on GitHub: what an agent's own `gh` calls made, and the logins that are
    its own."""

    def author(self, url: str, login: str) -> str:
        """The agent that wrote what is at `url` under `login`, empty when none did."""
        ...

    def touched(self, agent: str, repo: str, number: int, *, since: float) -> bool:
        """Whether the agent changed an item after `since` (seconds since the epoch)."""
        ...


class Writings(Protocol):
    """The record of what one agent wrote."""

    def append(self, writings: Sequence[Writing]) -> None:
        """Raises StorageFailed."""
        ...

"""The fleet as its supervisor looks at it and acts on it. A daemon is an agent's runner, by the agent's name, or the
router, by `ROUTER` of `model/supervision.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from relayfleet.model.fault import Reason
from relayfleet.model.fleet import Limits
from relayfleet.model.supervision import Memory, Past
from relayfleet.model.wish import Wish
from relayfleet.ports.daemon import Handle


class FleetView(Protocol):
    """Cheap to look through: it is done once a second for every daemon."""

    def names(self) -> Sequence[str]:
        """The router, then every agent."""
        ...

    def wish(self, name: str) -> Wish:
        """What is wanted of it at this moment; nothing while the fleet rests and it was not asked for since."""
        ...

    def alive(self, name: str) -> bool:
        """Whether its lock is held."""
        ...

    def holder(self, name: str) -> Handle | None:
        """The process that holds its lock."""
        ...

    def failure(self, name: str) -> tuple[float, Reason, str] | None:
        """When, why and in which words it gave up last, None when it did not."""
        ...

    def signature(self, name: str) -> str:
        """Changes whenever something does that a start of it depends on: its configuration, its login."""
        ...

    def has_space(self) -> bool:
        """Whether the disk has room for a daemon to work."""
        ...

    def free_mb(self) -> int:
        """The memory of this machine that is available."""
        ...

    def limits(self) -> Limits:
        """Those of fleet.json; while that has faults, the last that had none."""
        ...

    def ask(self, names: Sequence[str], *, timeout_s: float) -> Mapping[str, str | None]:
        """The state that each says it is in, None for those that do not answer."""
        ...

    def ask_to_stop(self, names: Sequence[str]) -> None: ...

    def session_id(self, name: str) -> str | None:
        """The conversation of an agent, None when it has none yet."""
        ...

    def launch(self, name: str) -> Handle:
        """Reads its configuration and launches it. Raises FleetError."""
        ...

    def record_failure(self, name: str, error: Exception) -> None:
        """Writes down why it could not be launched, as it would itself."""
        ...

    def load(self) -> Mapping[str, Past]: ...

    def save(self, memory: Memory) -> None:
        """Raises StorageFailed."""
        ...

"""Where the gate is written."""

from __future__ import annotations

from typing import Protocol

from relayfleet.model.route import Gate


class GateFile(Protocol):
    """The gate as a person wrote it, who may write it anew at any time."""

    def has_changed(self) -> bool:
        """Whether it is another than at the last `read`, and stands still: nobody is in the middle of writing it."""
        ...

    def read(self) -> Gate:
        """Raises ConfigError with every fault."""
        ...

"""The `gh` program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class GhAnswer:
    """What one run of `gh` gave: its exit code and its two streams, undecoded."""

    code: int
    stdout: bytes
    stderr: bytes


class Gh(Protocol):
    """Runs the `gh` program. Raises FleetError when the program cannot be started or outlives `timeout_s`."""

    async def run(self, args: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 15.0) -> GhAnswer: ...

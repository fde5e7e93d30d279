"""What plugins offer to a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that a plugin offers to its session, as MCP describes it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]


class ToolHost(Protocol):
    """The plugins of one agent, loaded."""

    def tools(self) -> Sequence[Tool]: ...

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """The tool's answer as text. Raises FleetError when there is no such tool or it failed."""
        ...

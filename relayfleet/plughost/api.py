"""What a plugin's `async def setup(api)` is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.plughost.schema import schema_of
from relayfleet.ports.delivery import Inbox
from relayfleet.ports.tool import Tool

F = TypeVar("F", bound=Callable[..., Any])
Function = Callable[..., Any | Awaitable[Any]]


class PluginApi:
    """One plugin's side of its agent.

    `config` is the plugin's own part of the agent's config.json; `agent_dir` is agents/<name>, `state_dir` its state
    folder.
    """

    def __init__(
        self,
        *,
        plugin: str,
        config: Mapping[str, Any],
        agent_dir: Path,
        state_dir: Path,
        inbox: Inbox,
        now: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
    ) -> None:
        self.config = config
        self.agent_dir = agent_dir
        self.state_dir = state_dir
        self.tools: dict[str, tuple[Tool, Function]] = {}
        self._plugin = plugin
        self._inbox = inbox
        self._now = now
        self._spawn = spawn

    async def emit(self, body: str, metadata: Mapping[str, Any] | None = None, source: str | None = None) -> str:
        """Appends an entry to the agent's inbox and gives its id; it is on disk when this returns.

        `source` is the plugin's name unless given. Raises StorageFailed.
        """
        entry = Entry(
            id=new_entry_id(), ts=self._now(), source=source or self._plugin, body=body, metadata=dict(metadata or {})
        )
        self._inbox.append_all([entry])
        return entry.id

    def tool(self, name: str | F | None = None, description: str | None = None) -> Any:
        """Decorator: offers a function to the session as an MCP tool.

        `@api.tool`, `@api.tool()` and `@api.tool("name", "what it does")` all work; name and description are the
        function's own unless given. Arguments follow its type hints (see `plughost/schema.py`); what it returns is
        shown as text. Raises TypeError for a type hint that is not supported.
        """
        if callable(name):
            return self._add(name, None, description)
        given = name
        return lambda function: self._add(function, given, description)

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `coro` beside the session until the runner stops. What it raises is logged under the plugin's name."""
        return self._spawn(coro)

    def _add(self, function: F, name: str | None, description: str | None) -> F:
        tool = Tool(
            name=name or function.__name__,
            description=description or (function.__doc__ or "").strip(),
            input_schema=schema_of(function),
        )
        self.tools[tool.name] = (tool, function)
        return function

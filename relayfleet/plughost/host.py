"""Loads the plugins of one agent. One that fails is named in the log, and the rest goes on."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import AgentLayout
from relayfleet.plughost.api import Function, PluginApi
from relayfleet.plughost.discover import find_plugin, import_plugin
from relayfleet.plughost.schema import fault_of_arguments
from relayfleet.ports.delivery import Inbox
from relayfleet.ports.log import Log
from relayfleet.ports.tool import Tool


class PluginHost:
    """Implements `ports.ToolHost` for the plugins that the agent's config names."""

    def __init__(
        self,
        spec: AgentSpec,
        layout: AgentLayout,
        *,
        folders: Sequence[Path],
        inbox: Inbox,
        log: Log,
        now: Callable[[], float],
    ) -> None:
        self._spec = spec
        self._layout = layout
        self._folders = folders
        self._inbox = inbox
        self._log = log
        self._now = now
        self._tools: dict[str, tuple[Tool, Function]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def load(self) -> None:
        """Sets up every enabled plugin, in the order of the config."""
        for name, config in self._spec.plugins.items():
            try:
                tools = await self._set_up(name, config)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code: it may raise anything
                self._log.error("plugin.failed", f"plugin {name!r} failed: {error}", trace=error, plugin=name)
                continue
            taken = set(tools) & set(self._tools)
            if taken:
                self._log.error(
                    "plugin.clash", f"plugin {name!r} offers tools that are there already", tools=sorted(taken)
                )
            self._tools |= {k: v for k, v in tools.items() if k not in taken}
            self._log.info("plugin.loaded", f"plugin {name!r} is loaded", plugin=name, tools=sorted(tools))

    async def _set_up(self, name: str, config: Mapping[str, Any]) -> dict[str, tuple[Tool, Function]]:
        module = import_plugin(find_plugin(name, self._folders))
        setup = getattr(module, "setup", None)
        if not inspect.iscoroutinefunction(setup):
            raise FleetError(
                f"load plugin {name!r}", "its module has no `async def setup(api)`", hint="see docs/plugins.md"
            )
        api = PluginApi(
            plugin=name,
            config=config,
            agent_dir=self._layout.dir,
            state_dir=self._layout.state,
            inbox=self._inbox,
            now=self._now,
            spawn=lambda coro: self._spawn(name, coro),
        )
        await setup(api)
        return api.tools

    def _spawn(self, plugin: str, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(_without_exit(coro), name=f"plugin {plugin}")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(plugin, done))
        return task

    def _over(self, plugin: str, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("plugin.failed", f"a task of plugin {plugin!r} failed: {error}", trace=error, plugin=plugin)

    async def close(self) -> None:
        """Cancels what the plugins spawned."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tools(self) -> Sequence[Tool]:
        return [tool for tool, _ in self._tools.values()]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Raises FleetError when there is no such tool, its arguments do not fit, or it raised."""
        if name not in self._tools:
            raise FleetError(f"call tool {name!r}", "there is no such tool")
        tool, function = self._tools[name]
        fault = fault_of_arguments(tool.input_schema, arguments)
        if fault:
            raise FleetError(f"call tool {name!r}", fault)
        try:
            result = function(**arguments)
            if inspect.isawaitable(result):
                result = await result
        except FleetError:
            raise
        except (Exception, SystemExit) as error:
            self._log.error("plugin.tool_failed", f"tool {name!r} raised: {error}", trace=error, tool=name)
            raise FleetError(f"call tool {name!r}", f"{type(error).__name__}: {error}") from error
        return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)


async def _without_exit(coro: Coroutine[Any, Any, Any]) -> Any:
    """asyncio lets a SystemExit of a task end the whole loop: that of a plugin ends the plugin's task only."""
    try:
        return await coro
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error

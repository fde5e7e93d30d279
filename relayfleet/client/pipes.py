"""Asks daemons over named pipes (Windows), many at once and with one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from relayfleet.wire.control import MAX_LINE
from relayfleet.wire.pipes import PipeLoop, connect_pipe, pipe_loop


def ask_pipes(
    paths: Mapping[str, Path], line: bytes, *, timeout_s: float, loop_of: Callable[[], PipeLoop] = pipe_loop
) -> dict[str, bytes]:
    """The line that each daemon answered `line` with, b"" for those that gave none within `timeout_s`.

    In a thread of its own: whoever calls may be in an event loop, which cannot run another.
    """
    answers = dict.fromkeys(paths, b"")

    async def ask_one(name: str) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            async with asyncio.timeout(timeout_s):
                reader, writer = await connect_pipe(loop_of(), paths[name], limit=MAX_LINE)
                try:
                    writer.write(line)
                    await writer.drain()
                    answers[name] = await reader.readline()
                finally:
                    writer.close()

    async def ask_each() -> None:
        await asyncio.gather(*map(ask_one, paths))

    thread = threading.Thread(target=lambda: asyncio.run(ask_each()))
    thread.start()
    thread.join()
    return answers


def wake_pipe(path: Path, *, loop_of: Callable[[], PipeLoop] = pipe_loop) -> None:
    """Connecting is what wakes; nobody there is no error."""
    ask_pipes({"": path}, b"\n", timeout_s=0.2, loop_of=loop_of)

"""Named pipes, which daemons listen on where there are no unix sockets (Windows; asyncio's proactor event loop).

A daemon goes by the path of its socket everywhere; the name of its pipe is made from that. The first instance of a pipe
is made as such, so nobody else's pipe of the same name is taken for it. Other users may not write to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import PurePath
from typing import Any, Protocol

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ProtocolFactory = Callable[[], asyncio.StreamReaderProtocol]


class Closing(Protocol):
    def close(self) -> None: ...


class PipeLoop(Protocol):
    """What the proactor event loop has for named pipes."""

    async def start_serving_pipe(self, protocol_factory: ProtocolFactory, address: str) -> Sequence[Closing]: ...

    async def create_pipe_connection(self, protocol_factory: ProtocolFactory, address: str) -> tuple[Any, Any]:
        """The transport and the protocol. Raises OSError when nobody listens."""
        ...


def pipe_name(path: PurePath) -> str:
    """The pipe of a daemon whose socket would be `path`: <folder of the fleet>/<daemon>.<sock or wake>."""
    return rf"\\.\pipe\relayfleet-{path.parent.name}-{path.name}"


async def serve_pipe(loop: PipeLoop, path: PurePath, serve: Serve, *, limit: int) -> Sequence[Closing]:
    """Gives every connection to `serve`, until what is returned is closed. Raises OSError when the name is taken."""
    tasks: set[asyncio.Future[None]] = set()  # a task that nobody holds may be collected

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def factory() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=limit), connected)

    return await loop.start_serving_pipe(factory, pipe_name(path))


async def connect_pipe(
    loop: PipeLoop, path: PurePath, *, limit: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A line to the daemon whose socket would be `path`. Raises OSError when it does not listen."""
    reader = asyncio.StreamReader(limit=limit)
    transport, protocol = await loop.create_pipe_connection(
        lambda: asyncio.StreamReaderProtocol(reader), pipe_name(path)
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


def pipe_loop() -> PipeLoop:
    """The running event loop, which on Windows has pipes."""
    loop: Any = asyncio.get_running_loop()
    return loop  # type: ignore[no-any-return]

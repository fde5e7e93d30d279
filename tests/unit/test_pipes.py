"""Daemons behind named pipes, on an event loop whose pipes are made of unix sockets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from relayfleet.client.pipes import ask_pipes, wake_pipe
from relayfleet.wire.control import MAX_LINE, encode_line
from relayfleet.wire.pipes import Closing, ProtocolFactory, pipe_name, serve_pipe


class FakePipes:
    """The two calls of the proactor event loop. A pipe is a socket in `folder`, by the name of the pipe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, address: str) -> str:
        assert address.startswith("\\\\.\\pipe\\")
        return str(self._folder / address.rpartition("\\")[2])

    async def start_serving_pipe(self, protocol_factory: ProtocolFactory, address: str) -> Sequence[Closing]:
        loop = asyncio.get_running_loop()
        return [await loop.create_unix_server(protocol_factory, self._path(address))]

    async def create_pipe_connection(self, protocol_factory: ProtocolFactory, address: str) -> tuple[Any, Any]:
        return await asyncio.get_running_loop().create_unix_connection(protocol_factory, self._path(address))


SOCKET = Path("/tmp/relayfleet-0/0123456789ab/coder.sock")


@pytest.fixture
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePipes]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        yield FakePipes(Path(folder))


def test_the_name_of_a_pipe_holds_the_fleet_and_the_daemon() -> None:
    assert pipe_name(SOCKET) == r"\\.\pipe\relayfleet-0123456789ab-coder.sock"
    other = PurePosixPath("/tmp/relayfleet-0/ba9876543210/coder.wake")
    assert pipe_name(other) == r"\\.\pipe\relayfleet-ba9876543210-coder.wake"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = await reader.readline()
    if line == b"silence\n":
        await reader.read()  # until whoever asked has given up
    else:
        writer.write(line)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_a_request_and_its_answer(pipes: FakePipes) -> None:
    listening = await serve_pipe(pipes, SOCKET, _echo, limit=MAX_LINE)
    nobody = SOCKET.with_name("nobody.sock")
    line = encode_line({"op": "status", "long": "x" * 500_000})
    answers = await asyncio.to_thread(
        ask_pipes, {"coder": SOCKET, "nobody": nobody}, line, timeout_s=5, loop_of=lambda: pipes
    )
    assert json.loads(answers["coder"]) == json.loads(line)
    assert answers["nobody"] == b""
    for one in listening:
        one.close()


async def test_one_that_does_not_answer_holds_nobody_up(pipes: FakePipes) -> None:
    listening = await serve_pipe(pipes, SOCKET, _echo, limit=MAX_LINE)
    silent = await asyncio.to_thread(ask_pipes, {"a": SOCKET}, b"silence\n", timeout_s=0.1, loop_of=lambda: pipes)
    assert silent == {"a": b""}
    assert (await asyncio.to_thread(ask_pipes, {"a": SOCKET}, b"{}\n", timeout_s=5, loop_of=lambda: pipes))[
        "a"
    ] == b"{}\n"
    for one in listening:
        one.close()


async def test_connecting_wakes(pipes: FakePipes) -> None:
    woken = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        woken.set()

    listening = await serve_pipe(pipes, SOCKET, serve, limit=MAX_LINE)
    threading.Thread(target=wake_pipe, args=(SOCKET,), kwargs={"loop_of": lambda: pipes}).start()
    async with asyncio.timeout(60):
        await woken.wait()
    for one in listening:
        one.close()
    wake_pipe(SOCKET.with_name("nobody.wake"), loop_of=lambda: pipes)


async def test_asked_from_inside_an_event_loop(pipes: FakePipes) -> None:
    assert ask_pipes({"a": SOCKET}, b"{}\n", timeout_s=0.1, loop_of=lambda: pipes) == {"a": b""}

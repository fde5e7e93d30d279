"""The runner's socket: what is no request is refused in words, and the next one is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from relayfleet.client.control import ask, ask_all
from relayfleet.client.wake import wake
from relayfleet.errors import FleetError, Unreachable
from relayfleet.wire.control import MAX_LINE, refusal
from relayfleet.wire.server import ControlServer, WakeSocket, with_token


class Serving:
    """An open control server that answers every request with what it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shims: list[Mapping[str, Any]] = []

    async def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request.get("op") == "refuse":
            return refusal("cannot do that", "do something else")
        return {"ok": True, "you_said": request}

    async def on_shim(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Mapping[str, Any]
    ) -> None:
        self.shims.append(hello)
        writer.write(await reader.readline())

    async def say(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=2 * MAX_LINE)
        writer.write(line)
        try:
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def serving(short_folder: Path) -> AsyncIterator[Serving]:
    made = Serving(short_folder / "c.sock")
    server = ControlServer(made.path, answer=made.answer, lines={"shim": with_token("secret", made.on_shim)})
    await server.open()
    yield made
    server.close()
    assert not made.path.exists()


async def test_a_request_is_answered(serving: Serving) -> None:
    answer = await asyncio.to_thread(ask, serving.path, {"op": "status"}, timeout_s=5)
    # Who asked is told by the system, where it tells that.
    assert answer["you_said"] == {"op": "status", "caller_pid": os.getpid() if sys.platform == "linux" else None}


async def test_nobody_says_who_else_they_are(serving: Serving) -> None:
    answer = await asyncio.to_thread(ask, serving.path, {"op": "status", "caller_pid": 1}, timeout_s=5)
    assert answer["you_said"]["caller_pid"] != 1


async def test_a_refusal_is_an_error_with_its_hint(serving: Serving) -> None:
    with pytest.raises(FleetError, match="cannot do that") as failure:
        await asyncio.to_thread(ask, serving.path, {"op": "refuse"}, timeout_s=5)
    assert failure.value.hint == "do something else"


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{\n", b"[]\n", b"7\n", b"\xff\n", b"", b"[" * 200_000 + b"\n"],
    ids=["blank", "torn", "list", "number", "bytes", "nothing", "deep"],
)
async def test_what_is_no_request_is_refused_in_words(serving: Serving, line: bytes) -> None:
    if line == b"":
        reader, writer = await asyncio.open_unix_connection(str(serving.path))
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    else:
        answer = await serving.say(line)
    assert json.loads(answer)["ok"] is False
    assert json.loads(answer)["error"].startswith("cannot read the request: ")
    assert json.loads(await serving.say(b'{"op": "status"}\n'))["ok"] is True


async def test_a_line_without_end_is_refused(serving: Serving) -> None:
    with contextlib.suppress(ConnectionError):  # what it did not read may reset the line before the answer is read
        assert json.loads(await serving.say(b"x" * (MAX_LINE + (1 << 20))))["ok"] is False
    assert json.loads(await serving.say(b'{"op": "status"}\n'))["ok"] is True


@pytest.mark.parametrize("token", ["wrong", "", None, 7, "s\u00e9cret", "\ud800"])
async def test_a_shim_without_the_token_is_shown_the_door(serving: Serving, token: object) -> None:
    answer = await serving.say(json.dumps({"op": "shim", "token": token}).encode() + b"\nMhello\n")
    assert b"hello" not in answer
    assert serving.shims == []


async def test_a_shim_with_the_token_keeps_its_line(serving: Serving) -> None:
    assert await serving.say(b'{"op": "shim", "token": "secret", "pid": 7}\nMhello\n') == b"Mhello\n"
    assert [hello["pid"] for hello in serving.shims] == [7]


async def test_the_socket_is_its_users_alone_and_a_dead_ones_is_replaced(short_folder: Path) -> None:
    path = short_folder / "c.sock"
    path.write_text("what a dead runner left")
    serving = Serving(path)
    server = ControlServer(path, answer=serving.answer)
    await server.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(await serving.say(b"{}\n"))["ok"] is True
    server.close()


async def test_who_does_not_answer_does_not_keep_the_others_waiting(serving: Serving, short_folder: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(short_folder / "silent.sock"))
    silent.listen()
    paths = {"a": serving.path, "silent": short_folder / "silent.sock", "none": short_folder / "none.sock"}
    answers = await asyncio.to_thread(ask_all, paths, {"op": "status"}, timeout_s=0.3)
    silent.close()
    assert answers["a"] is not None
    assert answers["silent"] is None
    assert answers["none"] is None
    with pytest.raises(Unreachable):
        await asyncio.to_thread(ask, short_folder / "none.sock", {"op": "status"}, timeout_s=0.3)


async def test_a_wake_up_is_heard_and_losing_one_is_no_error(short_folder: Path) -> None:
    woken = asyncio.Event()
    wakes = WakeSocket(short_folder / "a.wake", woken.set)
    wake(short_folder / "a.wake")
    wakes.open()
    for _ in range(10_000):  # more than the queue of the socket holds
        wake(short_folder / "a.wake")
    async with asyncio.timeout(60):
        await woken.wait()
    wakes.close()
    wake(short_folder / "a.wake")

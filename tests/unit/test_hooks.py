"""The hook listener on a real socket: the session is let in, everybody else is told no, and nothing ends it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from relayfleet.errors import FleetError
from relayfleet.runner.hooks import MAX_BODY, HookListener

TOKEN = "the-token"
PROMPT = {"hook_event_name": "UserPromptSubmit", "prompt_id": "p1", "prompt": "hello"}


class Listening:
    """A listener that is open, and what it took."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken: list[Mapping[str, Any]] = []
        self.answer: Mapping[str, Any] = {}

    async def on_hook(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        self.taken.append(payload)
        return self.answer

    def request(self, body: bytes, *, method: str = "POST", token: str | None = TOKEN, host: str = "") -> bytes:
        lines = [f"{method} /hooks HTTP/1.1", f"Host: {host or f'127.0.0.1:{self.port}'}"]
        lines += [f"Content-Length: {len(body)}"] + ([f"Authorization: Bearer {token}"] if token is not None else [])
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def send(self, *pieces: bytes) -> bytes:
        """Everything that comes back for these pieces; each is on the wire before the next is sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()

    async def post(self, payload: object = PROMPT, **given: Any) -> tuple[int, Any]:
        return parse(await self.send(self.request(json.dumps(payload).encode(), **given)))


def parse(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    made = Listening(free_port())
    listener = HookListener(port=made.port, token=TOKEN, on_hook=made.on_hook)
    await listener.open()
    yield made
    listener.close()


async def test_a_hook_reaches_the_runner_and_its_answer_the_session(listening: Listening) -> None:
    listening.answer = {"decision": "block", "reason": "late"}
    assert await listening.post() == (200, {"decision": "block", "reason": "late"})
    assert listening.taken == [PROMPT]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"token": None}, 401),
        ({"token": "wrong"}, 401),
        ({"token": ""}, 401),
        ({"token": "t\u00f6ken"}, 401),
        ({"host": "evil.example"}, 421),
        ({"host": "localhost.evil.example:80"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": "evil.example", "token": None}, 421),
        ({"method": "GET"}, 405),
        ({"method": "DELETE"}, 405),
    ],
)
async def test_whoever_is_not_the_session_is_refused(listening: Listening, given: dict[str, Any], status: int) -> None:
    code, answer = await listening.post(**given)
    assert code == status
    assert set(answer) == {"error"}
    assert TOKEN not in json.dumps(answer)
    assert listening.taken == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 200_000], ids=["empty", "torn", "bytes", "deep"])
async def test_a_body_that_is_no_json_is_refused(listening: Listening, body: bytes) -> None:
    assert parse(await listening.send(listening.request(body)))[0] == 400


@pytest.mark.parametrize("payload", [[], "text", 1, None])
async def test_a_body_that_is_no_object_is_refused(listening: Listening, payload: object) -> None:
    assert await listening.post(payload) == (400, {"error": "the body is not an object"})


async def test_a_body_that_is_too_large_is_refused_before_it_is_all_there(listening: Listening) -> None:
    head = listening.request(b"").replace(b"Content-Length: 0", f"Content-Length: {10 * MAX_BODY}".encode())
    assert parse(await listening.send(head, b"x" * (MAX_BODY + 1)))[0] == 413


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"hello\r\n\r\n", b"\0" * 1000, b"GET " + b"x" * 100_000]
)
async def test_what_is_not_http_gets_no_answer_and_harms_nobody(listening: Listening, garbage: bytes) -> None:
    assert await listening.send(garbage + b"\r\n\r\n") == b""
    assert (await listening.post())[0] == 200


async def test_a_client_that_hangs_up_halfway_harms_nobody(listening: Listening) -> None:
    whole = listening.request(json.dumps(PROMPT).encode())
    for end in (1, 20, len(whole) - 1):
        _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
        writer.write(whole[:end])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await listening.post())[0] == 200
    assert listening.taken == [PROMPT], "half a hook is none"


async def test_a_slow_client_keeps_nobody_waiting(listening: Listening) -> None:
    whole = listening.request(json.dumps(PROMPT).encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    for number in range(len(whole)):
        writer.write(whole[number : number + 1])
        await writer.drain()
        if number == len(whole) // 2:
            assert (await listening.post())[0] == 200
            assert len(listening.taken) == 1
    async with asyncio.timeout(60):
        assert parse(await reader.read())[0] == 200
    writer.close()
    assert len(listening.taken) == 2


async def test_many_hooks_at_once(listening: Listening) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(listening.post({"n": n})) for n in range(50)]
    assert {task.result()[0] for task in tasks} == {200}
    assert sorted(payload["n"] for payload in listening.taken) == list(range(50))


async def test_it_listens_on_loopback_alone(listening: Listening) -> None:
    with closing(socket.socket(socket.AF_INET6)) as other, pytest.raises(OSError):
        other.connect(("::1", listening.port))


async def test_a_taken_port_is_named(listening: Listening) -> None:
    second = HookListener(port=listening.port, token=TOKEN, on_hook=listening.on_hook)
    with pytest.raises(FleetError, match=f"cannot listen for hooks on 127.0.0.1:{listening.port}") as failure:
        await second.open()
    assert "another `port`" in failure.value.hint

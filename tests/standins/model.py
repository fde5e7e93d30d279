"""A stand-in for the Anthropic Messages API. A test scripts the model from the prompt:

[[tool NAME {"json": "input"}]]   the assistant calls a tool; several are called one after the other
[[sleep SECONDS]]                 the reply is held back that long
[[say TEXT]]                      the reply
[[http STATUS]]                   an API error
[[hang]]                          the stream of the reply begins and never goes on

`fault` does to every request what `[[http STATUS]]` or `[[hang]]` does to one; `listen(False)` refuses connections.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from relayfleet.wire.stream_json import CLOSING

_DIRECTIVE = re.compile(r"\[\[(tool|sleep|say|http|hang)\b\s*(.*?)\]\]", re.S)
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.S)
KEY = "sk-ant-api03-standin-0123456789abcdefghij"
# What the real one calls its errors.
_ERRORS = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}


@dataclass
class ModelStandin:
    """`requests` are the bodies of every POST /v1/messages so far."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    fault: int | Literal["hang"] | None = None
    listen: Callable[[bool], None] = lambda on: None

    def texts(self) -> str:
        """Everything that the model was ever sent, as one text."""
        return json.dumps(self.requests, ensure_ascii=False)

    def has_seen(self, text: str) -> bool:
        return json.dumps(text, ensure_ascii=False)[1:-1] in self.texts()

    async def messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        prompt, results = _last_turn(body["messages"])
        acts = _DIRECTIVE.findall(prompt) if body.get("tools") else []
        refused = self.fault if self.fault is not None else next((int(w) for k, w in acts if k == "http"), None)
        if isinstance(refused, int):
            error = {"type": _ERRORS.get(refused, "api_error"), "message": "stand-in"}
            return web.json_response({"type": "error", "error": error}, status=refused)
        if refused == "hang" or any(kind == "hang" for kind, _ in acts):
            return await _begin_and_hang(request)
        await asyncio.sleep(sum(float(what) for kind, what in acts if kind == "sleep") if not results else 0)
        tools = [what for kind, what in acts if kind == "tool"]
        if results < len(tools):
            name, _, given = tools[results].strip().partition(" ")
            block = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:20]}", "name": name}
            return await _reply(request, body, {**block, "input": json.loads(given or "{}")}, "tool_use")
        said = " ".join(what for kind, what in acts if kind == "say") or "done"
        return await _reply(request, body, {"type": "text", "text": said}, "end_turn")


def _last_turn(messages: list[dict[str, Any]]) -> tuple[str, int]:
    """The text of the last prompt, and how many tool results followed it."""
    results = 0
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        content = message["content"]
        blocks = [content] if isinstance(content, str) else [b["text"] for b in content if b["type"] == "text"]
        blocks = [b for b in (_REMINDER.sub("", b).strip() for b in blocks) if b and b != CLOSING]
        if not isinstance(content, str) and any(b["type"] == "tool_result" for b in content):
            results += 1
        elif blocks:
            return blocks[-1], results
    return "", results


async def _begin_and_hang(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await asyncio.Event().wait()  # until whoever asked goes away
    return response


async def _reply(request: web.Request, body: dict[str, Any], block: dict[str, Any], stop: str) -> web.StreamResponse:
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {
        "id": f"msg_{uuid.uuid4().hex[:20]}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    if not body.get("stream"):
        return web.json_response({**message, "content": [block], "stop_reason": stop})
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)

    async def send(kind: str, **fields: Any) -> None:
        await response.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode())

    if block["type"] == "text":
        start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        start = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    await send("message_start", message=message)
    await send("content_block_start", index=0, content_block=start)
    await send("content_block_delta", index=0, delta=delta)
    await send("content_block_stop", index=0)
    await send("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 12})
    await send("message_stop")
    await response.write_eof()
    return response


@contextmanager
def run_model() -> Iterator[ModelStandin]:
    """Serves on a free loopback port, in a thread of its own."""
    model = ModelStandin()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> web.AppRunner:
        app = web.Application(client_max_size=256 << 20)
        app.router.add_post("/v1/messages", model.messages)
        app.router.add_post("/v1/messages/count_tokens", _count_tokens)
        app.router.add_route("*", "/{tail:.*}", _nothing)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        model.url = f"http://127.0.0.1:{port}"

        async def listen(on: bool) -> None:
            for site in list(runner.sites):
                await site.stop()
            assert runner.server is not None
            await runner.server.shutdown(0.1)  # connections that are kept alive, too
            if on:
                await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()

        model.listen = lambda on: asyncio.run_coroutine_threadsafe(listen(on), loop).result(10)
        return runner

    def run() -> None:
        runner = loop.run_until_complete(serve())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(10)
    try:
        yield model
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _count_tokens(request: web.Request) -> web.Response:
    return web.json_response({"input_tokens": 100})


async def _nothing(request: web.Request) -> web.Response:
    return web.json_response({"data": []})


def until(condition: Any, *, within_s: float = 20.0, what: str | Callable[[], str] = "") -> Any:
    """Waits for `condition` to give something true, and gives that. Fails after `within_s`, with what there is instead
    where `what` looks for it."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            missed = what() if callable(what) else what
            raise AssertionError(f"not within {within_s:g} s: {missed or condition}")
        time.sleep(0.02)

"""The stand-in as a server on a unix socket, with a control plane beside GitHub's own paths.

Control plane, JSON in and out: GET /_control/log, GET /_control/state, POST /_control/<verb> with the verbs `put`,
`remove`, `rename`, `repository`, `seed`, `play` (a webhook payload), `fault`, `set`, `clear`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web
from graphql import GraphQLSchema, build_schema

from relayfleet.demo.github.graphql import answer_graphql
from relayfleet.demo.github.limits import SECONDARY, Limits, Resource, play_fault, say
from relayfleet.demo.github.payload import play
from relayfleet.demo.github.rest import answer_rest
from relayfleet.demo.github.state import State

SCHEMA = Path(__file__).with_name("schema.graphql")
_LARGEST_REQUEST = 64 << 20


def read_schema(path: Path = SCHEMA) -> GraphQLSchema:
    """GitHub's whole schema, or the part of it that ships with the stand-in."""
    return build_schema(path.read_text(encoding="utf-8"), assume_valid=True)


class Standin:
    """The requests that come in, one by one."""

    def __init__(self, state: State, schema: GraphQLSchema) -> None:
        self.state = state
        self.schema = schema
        self.limits = Limits(state)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        resource: Resource = "core"
        if request.path == "/graphql":
            resource = "graphql"
        elif request.path.startswith("/search"):
            resource = "search"
        raw = await request.read()
        noted: dict[str, Any] = {"at": time.time(), "method": request.method, "path": request.path_qs}
        noted["if_none_match"] = request.headers.get("If-None-Match")
        self.state.log.append(noted)
        limits = self.limits
        limits.in_flight += 1
        limits.most_in_flight = max(limits.most_in_flight, limits.in_flight)
        if resource == "graphql":
            limits.graphql_in_flight += 1
            limits.most_graphql_in_flight = max(limits.most_graphql_in_flight, limits.graphql_in_flight)
            noted["graphql_in_flight"] = limits.graphql_in_flight
        try:
            if self.state.latency:
                await asyncio.sleep(self.state.latency)
            response = await self._decide(request, resource, raw, noted)
        finally:
            limits.in_flight -= 1
            if resource == "graphql":
                limits.graphql_in_flight -= 1
        noted["status"] = response.status
        if not response.prepared:
            response.headers["Date"] = formatdate(self.state.now(), usegmt=True)
        return response

    async def _decide(
        self, request: web.Request, resource: Resource, raw: bytes, noted: dict[str, Any]
    ) -> web.StreamResponse:
        for fault in self.state.faults:
            if fault.get("times", -1) and re.search(fault.get("match", ""), request.path_qs):
                fault["times"] = fault.get("times", -1) - 1
                noted["fault"] = fault["kind"]
                return await play_fault(fault["kind"], request, self.limits, resource, fault.get("retry_after"))
        token = request.headers.get("Authorization", "")
        if not token or (self.state.token and self.state.token not in token):
            return await play_fault("401", request, self.limits, resource, None)
        if self.limits.too_fast(resource):
            return say(SECONDARY, 403, {**self.limits.headers(resource), "Retry-After": "60"})
        if self.limits.spent(resource):
            kind = "graphql_primary" if resource == "graphql" else "primary"
            return await play_fault(kind, request, self.limits, resource, None)
        if resource == "graphql":
            response = say(answer_graphql(self.state, self.schema, raw, noted))
            self.limits.used["graphql"] += noted.get("cost", 0)
        else:
            response = answer_rest(self.state, request)
            self.limits.used[resource] += response.status != 304
        response.headers.update(self.limits.headers(resource))
        return response

    async def control(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        sent: dict[str, Any] = await request.json() if request.can_read_body else {}
        state, limits = self.state, self.limits
        answer: Any = {}
        match verb:
            case "log":
                answer = state.log
            case "clear":
                state.log.clear()
            case "state":
                answer = {
                    "used": limits.used,
                    "requests": len(state.log),
                    "most_in_flight": limits.most_in_flight,
                    "most_graphql_in_flight": limits.most_graphql_in_flight,
                }
            case "put":
                thing = state.put(sent.pop("repo"), sent.pop("kind"), sent.pop("number", None), **sent)
                answer = {"number": thing.number, "node_id": thing.node_id}
            case "play":
                thing = play(state, sent)
                answer = {"number": thing.number, "node_id": thing.node_id}
            case "remove":
                state.remove(sent["repo"], sent["kind"], sent["number"])
            case "rename":
                state.rename(sent["from"], sent["to"])
            case "repository":
                repository = state.add_repository(sent["repo"], private=bool(sent.get("private")))
                repository.associations |= {k.casefold(): v for k, v in sent.get("associations", {}).items()}
            case "seed":
                state.seed(**sent)
            case "fault":
                state.faults[:] = [sent] if sent else []
            case "set":
                limits.allowed |= sent.pop("allowed", {})
                limits.used |= sent.pop("used", {})
                for name, value in sent.items():
                    setattr(state, name, value)
            case _:
                return web.json_response({"error": f"no control is called {verb!r}"}, status=404)
        return web.json_response(answer)


async def serve(
    state: State,
    schema: GraphQLSchema,
    unix_path: Path,
    *,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serves until cancelled. `ready` is awaited once the socket takes connections."""
    standin = Standin(state, schema)
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    app.router.add_route("*", "/_control/{verb}", standin.control)
    app.router.add_route("*", "/{rest:.*}", standin.answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.UnixSite(runner, unix_path).start()
        if ready is not None:
            await ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()

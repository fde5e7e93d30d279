"""The stand-in as a server on a unix socket, with a control plane beside GitHub's own paths.

The Host header says which GitHub is asked: `api.github.com` is github.com, and so for every `api.` before a name; at
the name itself the paths are those of GitHub Enterprise (`/api/graphql`, `/api/v3/...`). Each host has a state of its
own, and each token on it an allowance of its own.

Control plane, JSON in and out: GET /_control/log, GET /_control/state, POST /_control/<verb> with the verbs `put`,
`remove`, `rename`, `repository`, `seed`, `play` (a webhook payload), `fault`, `set`, `clear`, and those changes of
`State` that `CHANGES` names, with their arguments. `host` and `token` choose among several.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web
from graphql import GraphQLSchema, build_schema

from relayfleet.demo.github.fault import Fault
from relayfleet.demo.github.fields import Context
from relayfleet.demo.github.graphql import Asked, Endpoint, Refused, read_body
from relayfleet.demo.github.limits import SECONDARY, Limits, Resource, play_fault, say
from relayfleet.demo.github.payload import play
from relayfleet.demo.github.rest import answer_rest, path_of
from relayfleet.demo.github.state import State

SCHEMA = Path(__file__).with_name("schema.graphql")
HOST = "github.com"
CHANGES = frozenset(
    {
        "associate", "assign", "change", "check", "comment", "delete_comment", "dismiss_review", "edit_comment",
        "label", "push", "request_review", "review", "review_comment", "status", "touch", "transfer", "unassign",
        "unlabel", "unrequest_review",
    }
)  # fmt: skip
_LARGEST_REQUEST = 64 << 20
_COSTLY_FAULTS = frozenset({"502html", "504", "graphql_timeout"})


def read_schema(path: Path = SCHEMA) -> GraphQLSchema:
    """GitHub's whole schema, or the part of it that ships with the stand-in."""
    return build_schema(path.read_text(encoding="utf-8"), assume_valid=True)


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request: whom it asks, what for, and by whose token."""

    state: State
    limits: Limits
    resource: Resource
    token: str
    raw: bytes


class Standin:
    """The requests that come in, one by one, to all hosts."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.states = {HOST: State(HOST)}
        self._endpoint = Endpoint(schema)
        self._limits: dict[tuple[str, str], Limits] = {}

    def state(self, host: str = HOST) -> State:
        """Of a host that is not there yet, too: from then on it is."""
        if host not in self.states:
            self.states[host] = State(host)
        return self.states[host]

    def limits(self, token: str, host: str = HOST) -> Limits:
        if (host, token) not in self._limits:
            self._limits[host, token] = Limits(self.state(host).now)
        return self._limits[host, token]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.host.partition(":")[0]
        host = name if name in self.states else name.removeprefix("api.")
        if host not in self.states:
            return web.Response(status=502, text=f"no such host: {host}")
        state = self.states[host]
        resource: Resource = "core"
        if request.path in ("/graphql", "/api/graphql"):
            resource = "graphql"
        elif path_of(request).startswith("/search"):
            resource = "search"
        token = request.headers.get("Authorization", "").rpartition(" ")[2]
        limits = self.limits(token, host)
        raw = await request.read()
        noted: dict[str, Any] = {"at": time.time(), "method": request.method, "path": request.path_qs, "token": token}
        noted["if_none_match"] = request.headers.get("If-None-Match")
        state.log.append(noted)
        limits.in_flight += 1
        limits.most_in_flight = max(limits.most_in_flight, limits.in_flight)
        if resource == "graphql":
            limits.graphql_in_flight += 1
            limits.most_graphql_in_flight = max(limits.most_graphql_in_flight, limits.graphql_in_flight)
            noted["graphql_in_flight"] = limits.graphql_in_flight
        try:
            if state.latency:
                await asyncio.sleep(state.latency)
            response = await self._decide(request, _Visit(state, limits, resource, token, raw), noted)
        finally:
            limits.in_flight -= 1
            if resource == "graphql":
                limits.graphql_in_flight -= 1
        noted["status"] = response.status
        if not response.prepared:
            response.headers["Date"] = formatdate(state.now(), usegmt=True)
        return response

    async def _decide(self, request: web.Request, visit: _Visit, noted: dict[str, Any]) -> web.StreamResponse:
        state, limits, resource, token = visit.state, visit.limits, visit.resource, visit.token
        asked: Asked | Refused | None = None
        sent: dict[str, Any] = {}
        if resource == "graphql":
            try:
                text, variables = read_body(visit.raw)
            except ValueError:
                return say({"message": "Problems parsing JSON"}, 400)
            asked, sent = self._endpoint.read(text, variables), {"query": text, "variables": variables}
            noted |= {"nodes": asked.cost.nodes} if isinstance(asked, Asked) else {"invalid": asked.messages}
        partial: list[Fault] = []
        for fault in self._striking(request, visit, asked):
            noted["fault"] = fault.kind
            if fault.kind == "partial":
                partial.append(fault)
            elif fault.kind == "slow":
                await asyncio.sleep(fault.retry_after or 0)
            else:
                if isinstance(asked, Asked) and fault.kind in _COSTLY_FAULTS:
                    limits.used["graphql"] += asked.cost.points
                return await play_fault(fault.kind, request, limits, resource, fault.retry_after)
        if not token or (state.token and state.token != token):
            return await play_fault("401", request, limits, resource, None)
        if limits.too_fast(resource):
            return say(SECONDARY, 403, {**limits.headers(resource), "Retry-After": "60"})
        if limits.spent(resource):
            kind = "graphql_primary" if resource == "graphql" else "primary"
            return await play_fault(kind, request, limits, resource, None)
        noted |= sent
        viewer = state.viewer_of(token)
        if isinstance(asked, Asked):
            body = self._endpoint.answer(asked, Context(state, viewer, limits, asked.cost, partial))
            noted |= {"cost": asked.cost.points} | ({"errors": body["errors"]} if "errors" in body else {})
            limits.used["graphql"] += asked.cost.points
            response = say(body)
        elif asked is not None:
            response = say({"errors": asked.errors})
        else:
            response = answer_rest(state, request, viewer=viewer, limits=limits)
            limits.used[resource] += response.status != 304 and path_of(request) != "/rate_limit"
        response.headers.update(limits.headers(resource))
        return response

    @staticmethod
    def _striking(request: web.Request, visit: _Visit, asked: Asked | Refused | None) -> Iterator[Fault]:
        faults = visit.state.faults
        # The body only matters to a fault: nobody decodes it otherwise.
        sent = f"{request.path_qs}\n{visit.raw.decode()}" if faults else ""
        nodes, points = (asked.cost.nodes, asked.cost.points) if isinstance(asked, Asked) else (0, 0)
        for fault in list(faults):
            if fault.strikes(sent=sent, token=visit.token, nodes=nodes, points=points):
                yield fault

    async def control(self, request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        sent: dict[str, Any] = await request.json() if request.can_read_body else {}
        state, token = self.state(sent.pop("host", HOST)), sent.pop("token", "")
        limits = self.limits(token, state.host)
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
                state.add_repository(sent["repo"], private=bool(sent.get("private")))
                for login, association in sent.get("associations", {}).items():
                    state.associate(sent["repo"], login, association)
            case "seed":
                state.seed(**sent)
            case "fault":
                state.faults[:] = [Fault(**sent)] if sent else []
            case "set":
                limits.allowed |= sent.pop("allowed", {})
                limits.used |= sent.pop("used", {})
                for name, value in sent.items():
                    setattr(state, name, value)
            case _ if verb in CHANGES:
                made = getattr(state, verb)(sent.pop("repo"), *sent.pop("args", ()), **sent)
                answer = {"id": getattr(made, "id", None), "node_id": getattr(made, "node_id", None)}
            case _:
                return web.json_response({"error": f"no control is called {verb!r}"}, status=404)
        return web.json_response(answer)


async def serve(standin: Standin, unix_path: Path, *, ready: Callable[[], Awaitable[None]] | None = None) -> None:
    """Serves until cancelled. `ready` is awaited once the socket takes connections."""
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

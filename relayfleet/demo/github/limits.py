"""GitHub's limits, and the failures that it can be told to play.

Each fault answers as GitHub was seen, or is documented, to answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from aiohttp import web

Resource = Literal["core", "graphql", "search"]
_DOC = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
SECONDARY = {
    "documentation_url": f"{_DOC}#about-secondary-rate-limits",
    "message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
}
_PRIMARY = {"message": "API rate limit exceeded for user ID 42.", "documentation_url": _DOC}
_PER_MINUTE: Mapping[Resource, int] = {"core": 900, "search": 900, "graphql": 2000}
_MOST_AT_ONCE = 100


class Limits:
    """A token's: the hourly allowance of each resource, and the points of the last minute. `now` is the server's."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.allowed: dict[Resource, int] = {"core": 5000, "graphql": 5000, "search": 30}
        self.used: dict[Resource, int] = {"core": 0, "graphql": 0, "search": 0}
        self.enforce_secondary = True
        self.in_flight = 0
        self.most_in_flight = 0
        self.graphql_in_flight = 0
        self.most_graphql_in_flight = 0
        self._since: dict[Resource, float] = {}
        self._points: deque[tuple[float, Resource]] = deque()

    def reset_at(self, resource: Resource) -> int:
        window = 60 if resource == "search" else 3600
        return int(self._since.setdefault(resource, self._now()) + window)

    def spent(self, resource: Resource) -> bool:
        self._renew(resource)
        return self.used[resource] >= self.allowed[resource]

    def remaining(self, resource: Resource, *, asked: int = 0) -> int:
        """What is left when `asked` points more are used."""
        return max(0, self.allowed[resource] - self.used[resource] - asked)

    def headers(self, resource: Resource, *, remaining: int | None = None) -> dict[str, str]:
        self._renew(resource)
        return {
            "X-RateLimit-Limit": str(self.allowed[resource]),
            "X-RateLimit-Remaining": str(self.remaining(resource) if remaining is None else remaining),
            "X-RateLimit-Reset": str(self.reset_at(resource)),
            "X-RateLimit-Used": str(self.used[resource]),
            "X-RateLimit-Resource": resource,
        }

    def too_fast(self, resource: Resource) -> bool:
        """Whether this request breaks a secondary limit; it is counted when it does not."""
        now = time.monotonic()
        while self._points and self._points[0][0] <= now - 60:
            self._points.popleft()
        recent = sum(1 for _, of in self._points if of == resource)
        if self.enforce_secondary and (self.in_flight > _MOST_AT_ONCE or recent >= _PER_MINUTE[resource]):
            return True
        self._points.append((now, resource))
        return False

    def _renew(self, resource: Resource) -> None:
        if self._now() >= self.reset_at(resource):
            self._since[resource] = self._now()
            self.used[resource] = 0


def say(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=json.dumps(body, separators=(",", ":")).encode(),
        status=status,
        headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


async def play_fault(
    kind: str, request: web.Request, limits: Limits, resource: Resource, retry_after: float | None
) -> web.StreamResponse:
    """Raises KeyError for a fault that nobody knows."""
    headers = limits.headers(resource)
    none_left = limits.headers(resource, remaining=0)
    match kind:
        case "secondary403" | "secondary429":
            wait = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
            return say(SECONDARY, int(kind[-3:]), {**headers, **wait})
        case "primary" | "primary429":
            return say(_PRIMARY, 429 if kind.endswith("429") else 403, none_left)
        case "graphql_primary":
            return say({"errors": [{"type": "RATE_LIMITED", "message": _PRIMARY["message"]}]}, 200, none_left)
        case "graphql_resource":
            error = {"type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query exceeded."}
            return say({"data": None, "errors": [error]}, 200, headers)
        case "graphql_timeout":
            error = {"message": "Something went wrong while executing your query. This may be the result of a timeout."}
            return say({"data": None, "errors": [error]}, 502, headers)
        case "502html":
            page = "<html><head><title>Unicorn!</title></head><body>Bad gateway</body></html>"
            return web.Response(status=502, text=page, content_type="text/html")
        case "badjson":
            return web.Response(status=200, body=b'{"data": {"repository"', content_type="application/json")
        case "truncated":
            torn = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "5000"})
            await torn.prepare(request)
            await torn.write(b'[{"number": 1')
            if request.transport is not None:
                request.transport.close()
            return torn
        case "reset":
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        case "hang":
            await asyncio.sleep(600 if retry_after is None else retry_after)
            return web.Response(status=504)
        case _:
            status, message, more = _PLAIN[kind]
            return say({"message": message, "documentation_url": _DOC}, status, {**headers, **more})


_PLAIN: dict[str, tuple[int, str, dict[str, str]]] = {
    "401": (401, "Bad credentials", {}),
    "403scope": (403, "Resource not accessible by personal access token", {"X-Accepted-OAuth-Scopes": "repo"}),
    "saml": (
        403,
        "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this"
        " organization.",
        {"X-GitHub-SSO": "required; url=https://github.com/orgs/acme/sso?authorization_request=AAA"},
    ),
    "404": (404, "Not Found", {}),
    "410": (410, "Issues are disabled for this repo", {}),
    "451": (451, "Repository access blocked", {}),
    "500": (500, "Server Error", {}),
    "503": (503, "Service Unavailable", {}),
    "504": (504, "Gateway Timeout", {}),
}

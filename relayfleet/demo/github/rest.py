"""The REST part of the stand-in: what `gh api <path>` is asked for, with ETags, pages and redirects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from yarl import URL

from relayfleet.demo.github.limits import Limits, Resource, say
from relayfleet.demo.github.repository import OrderedBy, Repository
from relayfleet.demo.github.search import search
from relayfleet.demo.github.state import State
from relayfleet.demo.github.thing import Account, Thing, ThingKind, iso

_DOCS = "https://docs.github.com/rest"
_NOT_FOUND = {"message": "Not Found", "documentation_url": _DOCS, "status": "404"}
_BY_NAME = re.compile(r"/repos/([^/]+/[^/]+)(/.*)?")
_BY_ID = re.compile(r"/repositories/([0-9]+)(/.*)?")
_ENTERPRISE = "/api/v3"
_RESOURCES: tuple[Resource, ...] = ("core", "graphql", "search")


def path_of(request: web.Request) -> str:
    """The path without what GitHub Enterprise puts before it."""
    return request.path.removeprefix(_ENTERPRISE)


def answer_rest(state: State, request: web.Request, *, viewer: str, limits: Limits) -> web.Response:
    path = path_of(request)
    if named := _BY_NAME.fullmatch(path):
        full, rest = named[1], named[2] or ""
        repository = state.repository(full)
        if repository is None:
            return say(_NOT_FOUND, 404)
        if full.lower() in state.moved:
            return _moved(request, f"/repositories/{repository.id}{rest}")
        return _of_repository(state, repository, rest, request)
    if numbered := _BY_ID.fullmatch(path):
        found = [one for one in state.repositories.values() if one.id == int(numbered[1])]
        return _of_repository(state, found[0], numbered[2] or "", request) if found else say(_NOT_FOUND, 404)
    if path == "/user":
        if Account(viewer).bot:
            return say({"message": "Resource not accessible by integration", "documentation_url": _DOCS}, 403)
        return _conditional(request, _user(viewer), {"X-OAuth-Scopes": "repo, read:org"})
    if path == "/rate_limit":
        return say(
            {"resources": {one: _allowance(limits, one) for one in _RESOURCES}, "rate": _allowance(limits, "core")}
        )
    if path == "/search/issues":
        found_things = search(state, request.query.get("q", ""), viewer=viewer)
        things, headers = _page(request, found_things)
        items = [_issue(thing) for thing in things]
        return say({"total_count": len(found_things), "incomplete_results": False, "items": items}, 200, headers)
    return say(_NOT_FOUND, 404)


def _api(request: web.Request) -> str:
    return f"https://{request.host}" + (_ENTERPRISE if request.path.startswith(_ENTERPRISE) else "")


def _moved(request: web.Request, path: str) -> web.Response:
    there = f"{_api(request)}{path}" + (f"?{request.query_string}" if request.query_string else "")
    body = {"message": "Moved Permanently", "url": there, "documentation_url": f"{_DOCS}#http-redirects"}
    return say(body, 301, {"Location": there})


def _allowance(limits: Limits, resource: Resource) -> dict[str, Any]:
    return {
        "limit": limits.allowed[resource],
        "used": limits.used[resource],
        "remaining": limits.remaining(resource),
        "reset": limits.reset_at(resource),
    }


def _of_repository(state: State, repository: Repository, rest: str, request: web.Request) -> web.Response:
    if rest == "":
        return _conditional(request, _repository(repository))
    if rest == "/actions/runs":
        wanted = request.query.get("status")
        runs: Sequence[Thing] = repository.ordered("runs", "created", newest_first=True)
        if wanted:
            runs = [run for run in runs if wanted in (run.status, run.conclusion)]
        page, headers = _page(request, runs)
        body = {"total_count": len(runs), "workflow_runs": [_run(run) for run in page]}
        return _conditional(request, body, headers)
    if single := re.fullmatch(r"/(actions/runs|issues|pulls)/([0-9]+)", rest):
        number = int(single[2])
        for kind in _SINGLE[single[1]]:
            thing = repository.things[kind].get(number)
            if thing is not None:
                return _conditional(request, _run(thing) if kind == "runs" else _issue(thing))
        gone = state.moved_item(repository, number)
        if gone is not None and single[1] == "issues":
            return _moved(request, f"/repositories/{gone.repository.id}/issues/{gone.number}")
        if number in repository.deleted and single[1] == "issues":
            return say({"message": "This issue was deleted", "documentation_url": _DOCS}, 410)
        return say(_NOT_FOUND, 404)
    if rest in ("/issues", "/pulls"):
        by: OrderedBy = "updated" if request.query.get("sort") == "updated" else "created"
        wanted = request.query.get("state", "open")
        kinds = _SINGLE[rest.removeprefix("/")]
        things = [thing for kind in kinds for thing in repository.ordered(kind, by, newest_first=True)]
        things.sort(key=lambda one: (getattr(one, by), one.id), reverse=True)
        page, headers = _page(request, [thing for thing in things if wanted in ("all", thing.state)])
        return _conditional(request, [_issue(thing) for thing in page], headers)
    return say(_NOT_FOUND, 404)


_SINGLE: dict[str, tuple[ThingKind, ...]] = {
    "actions/runs": ("runs",),
    "issues": ("issues", "pulls"),
    "pulls": ("pulls",),
}


def _page(request: web.Request, items: Sequence[Any]) -> tuple[Sequence[Any], dict[str, str]]:
    size, number = min(100, int(request.query.get("per_page", 30))), int(request.query.get("page", 1))
    if number * size >= len(items):
        return items[(number - 1) * size : number * size], {}
    following = URL(_api(request) + path_of(request)).with_query(request.query).update_query(page=str(number + 1))
    return items[(number - 1) * size : number * size], {"Link": f'<{following}>; rel="next"'}


def _conditional(request: web.Request, body: Any, headers: dict[str, str] | None = None) -> web.Response:
    raw = json.dumps(body, separators=(",", ":")).encode()
    etag = f'W/"{hashlib.sha256(raw).hexdigest()}"'
    given = {"ETag": etag, "Cache-Control": "private, max-age=60, s-maxage=60", **(headers or {})}
    asked = request.headers.get("If-None-Match", "")
    if asked.removeprefix("W/") == etag.removeprefix("W/"):
        return web.Response(status=304, headers=given)
    return web.Response(body=raw, headers={"Content-Type": "application/json; charset=utf-8", **given})


def _user(login: str) -> dict[str, Any]:
    number = int(hashlib.sha256(login.encode()).hexdigest()[:6], 16)
    kind = "Bot" if Account(login).bot else "User"
    return {"login": login, "id": number, "node_id": f"U_{number}", "type": kind, "site_admin": False}


def _author(login: str) -> dict[str, Any]:
    """Of an item REST shows a deleted account as `ghost`, where GraphQL has null."""
    return _user(login or "ghost")


def _repository(repository: Repository) -> dict[str, Any]:
    return {
        "id": repository.id,
        "node_id": repository.node_id,
        "name": repository.name,
        "full_name": repository.full,
        "private": repository.private,
        "owner": _user(repository.owner),
        "html_url": repository.url,
        "default_branch": "main",
    }


def _issue(thing: Thing) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": thing.id,
        "node_id": thing.node_id,
        "number": thing.number,
        "title": thing.title,
        "body": thing.body or None,
        "state": thing.state,
        "user": _author(thing.author),
        "author_association": thing.repository.association_of(thing.author),
        "labels": [{"name": label} for label in thing.labels],
        "assignee": _user(thing.assignees[0]) if thing.assignees else None,
        "assignees": [_user(login) for login in thing.assignees],
        "milestone": {"title": thing.milestone} if thing.milestone else None,
        "comments": len(thing.comments),
        "created_at": iso(thing.created),
        "updated_at": iso(thing.updated),
        "closed_at": iso(thing.closed) if thing.closed else None,
        "html_url": thing.url,
    }
    if thing.kind == "pulls":
        shape["draft"] = thing.draft
        shape["merged_at"] = iso(thing.closed) if thing.merged and thing.closed else None
        shape["head"] = {"ref": thing.branch, "sha": thing.head}
        shape["base"] = {"ref": thing.base}
    else:
        shape["state_reason"] = thing.reason.lower() if thing.reason else None
    return shape


def _run(thing: Thing) -> dict[str, Any]:
    repository = thing.repository
    head = _repository(repository)
    if thing.fork:
        head |= {"id": repository.id + 1_000_000, "full_name": f"{thing.author}/fork"}
    return {
        "id": thing.number,
        "node_id": thing.node_id,
        "name": thing.workflow,
        "display_title": thing.title,
        "path": f".github/workflows/{thing.workflow.lower()}.yml",
        "head_branch": thing.branch,
        "head_sha": thing.head,
        "head_commit": {"id": thing.head, "message": thing.body, "timestamp": iso(thing.created)},
        "run_number": 1,
        "run_attempt": thing.attempt,
        "event": thing.event,
        "status": thing.status,
        "conclusion": thing.conclusion,
        "html_url": thing.url,
        "created_at": iso(thing.created),
        "updated_at": iso(thing.updated),
        "actor": _author(thing.author),
        "triggering_actor": _author(thing.author),
        "repository": _repository(repository),
        "head_repository": head,
    }

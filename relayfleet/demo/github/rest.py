"""The REST part of the stand-in: what `gh api <path>` is asked for, with ETags, pages and redirects."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from aiohttp import web

from relayfleet.demo.github.limits import say
from relayfleet.demo.github.search import search
from relayfleet.demo.github.state import Repository, State, Thing, ThingKind, iso

_API = "https://api.github.com"
_NOT_FOUND = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}
_BY_NAME = re.compile(r"/repos/([^/]+/[^/]+)(/.*)?")
_BY_ID = re.compile(r"/repositories/([0-9]+)(/.*)?")


def answer_rest(state: State, request: web.Request) -> web.Response:
    path = request.path
    if named := _BY_NAME.fullmatch(path):
        full, rest = named[1], named[2] or ""
        repository = state.repository(full)
        if repository is not None and full.lower() in state.moved:
            there = f"{_API}/repositories/{repository.id}{rest}"
            there += f"?{request.query_string}" if request.query_string else ""
            return say({"message": "Moved Permanently", "url": there}, 301, {"Location": there})
        return say(_NOT_FOUND, 404) if repository is None else _of_repository(repository, rest, request)
    if numbered := _BY_ID.fullmatch(path):
        found = [one for one in state.repositories.values() if one.id == int(numbered[1])]
        return _of_repository(found[0], numbered[2] or "", request) if found else say(_NOT_FOUND, 404)
    if path == "/user":
        return _conditional(request, _user(state.viewer), {"X-OAuth-Scopes": "repo, read:org"})
    if path == "/search/issues":
        things, headers = _page(request, search(state, request.query.get("q", "")))
        items = [_issue(repository, thing) for repository, thing in things]
        return say({"total_count": len(items), "incomplete_results": False, "items": items}, 200, headers)
    return say(_NOT_FOUND, 404)


def _of_repository(repository: Repository, rest: str, request: web.Request) -> web.Response:
    if rest == "":
        return _conditional(request, _repository(repository))
    if rest == "/actions/runs":
        wanted = request.query.get("status")
        runs = _sorted(repository, "runs", "created")
        if wanted:
            runs = [run for run in runs if wanted in (run.status, run.conclusion)]
        page, headers = _page(request, runs)
        body = {"total_count": len(runs), "workflow_runs": [_run(repository, run) for run in page]}
        return _conditional(request, body, headers)
    if single := re.fullmatch(r"/(actions/runs|issues|pulls)/([0-9]+)", rest):
        kinds: tuple[ThingKind, ...] = {
            "actions/runs": ("runs",),
            "issues": ("issues", "pulls"),
            "pulls": ("pulls",),
        }[single[1]]  # type: ignore[assignment]
        for kind in kinds:
            thing = repository.things[kind].get(int(single[2]))
            if thing is not None:
                return _conditional(request, _run(repository, thing) if kind == "runs" else _issue(repository, thing))
        return say(_NOT_FOUND, 404)
    if rest in ("/issues", "/pulls"):
        kinds = ("pulls",) if rest == "/pulls" else ("issues", "pulls")
        by = "updated" if request.query.get("sort") == "updated" else "created"
        wanted = request.query.get("state", "open")
        things = [thing for kind in kinds for thing in _sorted(repository, kind, by)]
        page, headers = _page(request, [thing for thing in things if wanted in ("all", thing.state)])
        return _conditional(request, [_issue(repository, thing) for thing in page], headers)
    return say(_NOT_FOUND, 404)


def _sorted(repository: Repository, kind: ThingKind, by: str) -> list[Thing]:
    return sorted(repository.things[kind].values(), key=lambda one: (getattr(one, by), one.id), reverse=True)


def _page(request: web.Request, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
    size, number = min(100, int(request.query.get("per_page", 30))), int(request.query.get("page", 1))
    if number * size >= len(items):
        return items[(number - 1) * size : number * size], {}
    following = request.url.update_query(page=str(number + 1)).with_scheme("https").with_host("api.github.com")
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
    return {"login": login, "id": number, "node_id": f"U_{number}", "type": "User", "site_admin": False}


def _repository(repository: Repository) -> dict[str, Any]:
    owner, _, name = repository.full.partition("/")
    return {
        "id": repository.id,
        "node_id": f"R_{repository.id}",
        "name": name,
        "full_name": repository.full,
        "private": repository.private,
        "owner": _user(owner),
        "html_url": f"https://github.com/{repository.full}",
        "default_branch": "main",
    }


def _issue(repository: Repository, thing: Thing) -> dict[str, Any]:
    part = "pull" if thing.kind == "pulls" else "issues"
    shape: dict[str, Any] = {
        "id": thing.id,
        "node_id": thing.node_id,
        "number": thing.number,
        "title": thing.title,
        "body": thing.body,
        "state": thing.state,
        "user": _user(thing.author),
        "author_association": repository.association_of(thing.author),
        "labels": [{"name": label} for label in thing.labels],
        "assignees": [_user(login) for login in thing.assignees],
        "comments": thing.comments,
        "created_at": iso(thing.created),
        "updated_at": iso(thing.updated),
        "html_url": f"https://github.com/{repository.full}/{part}/{thing.number}",
    }
    if thing.kind == "pulls":
        shape["draft"] = thing.draft
        shape["merged_at"] = iso(thing.closed) if thing.merged and thing.closed else None
        shape["head"] = {"ref": thing.branch, "sha": thing.head}
        shape["base"] = {"ref": thing.base}
    return shape


def _run(repository: Repository, thing: Thing) -> dict[str, Any]:
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
        "html_url": f"https://github.com/{repository.full}/actions/runs/{thing.number}",
        "created_at": iso(thing.created),
        "updated_at": iso(thing.updated),
        "actor": _user(thing.author),
        "triggering_actor": _user(thing.author),
        "repository": _repository(repository),
        "head_repository": head,
    }

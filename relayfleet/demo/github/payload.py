"""Recorded webhook payloads as the beginning of a story: what they tell of is put into the stand-in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relayfleet.demo.github.repository import Repository
from relayfleet.demo.github.state import State
from relayfleet.demo.github.thing import Thing, ThingKind

FOLDER = Path(__file__).parent / "payloads"
Payload = Mapping[str, Any]
# Action -> the field that it changes, and whether it adds to it.
_MEMBERS = {
    "labeled": ("labels", True),
    "unlabeled": ("labels", False),
    "assigned": ("assignees", True),
    "unassigned": ("assignees", False),
    "review_requested": ("reviewers", True),
    "review_request_removed": ("reviewers", False),
}
# Action -> the field that it changes, from what to what.
_SETTINGS: Mapping[str, tuple[str, Any, Any]] = {
    "closed": ("state", "open", "closed"),
    "reopened": ("state", "closed", "open"),
    "converted_to_draft": ("draft", False, True),
    "ready_for_review": ("draft", True, False),
}


def read_payload(name: str) -> dict[str, Any]:
    """A payload that ships with the stand-in, such as `issues.opened`."""
    payload: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_bytes())
    return payload


def play(state: State, payload: Payload, *, at: float | None = None) -> Thing:
    """What a payload tells of happens, at `at` (now), by its sender; an item that is not there is opened before.

    Known are `issues`, `pull_request`, `issue_comment`, `pull_request_review`, `pull_request_review_comment`,
    `check_run`, `status` and `workflow_run`; of their actions those that change nothing here show the item as it is.
    Comments and reviews keep their recorded ids. Raises ValueError when it tells of no item.
    """
    shown = payload["repository"]
    repository = state.repository(shown["full_name"]) or state.add_repository(
        shown["full_name"], private=bool(shown["private"])
    )
    if "workflow_run" in payload:
        return _play_run(state, repository, payload, at)
    if "check_run" in payload:
        return _play_check(state, repository, payload["check_run"], at)
    if "context" in payload:
        return _play_status(state, repository, payload, at)
    if "issue" not in payload and "pull_request" not in payload:
        raise ValueError("the payload tells of no issue, pull request or run")
    thing = _play_item(state, repository, payload, at)
    if "review" in payload:
        _play_review(state, thing, payload, at)
    elif "comment" in payload:
        _play_comment(state, thing, payload, at)
    elif payload["action"] == "deleted":
        state.remove(repository.full, thing.kind, thing.number)
    elif payload["action"] == "transferred":
        target = payload["changes"]["new_repository"]["full_name"]
        state.transfer(repository.full, thing.number, target, actor=_login(payload["sender"]), at=at)
    return thing


def _login(user: Mapping[str, Any] | None) -> str:
    return str(user["login"]) if user else ""


def _play_run(state: State, repository: Repository, payload: Payload, at: float | None) -> Thing:
    run = payload["workflow_run"]
    return state.put(
        repository.full,
        "runs",
        int(run["id"]),
        at=at,
        title=run.get("display_title") or run["name"],
        body=(run.get("head_commit") or {}).get("message") or "",
        author=_login(run.get("actor") or payload["sender"]),
        workflow=run["name"],
        event=run["event"],
        status=run["status"],
        conclusion=run["conclusion"],
        branch=run["head_branch"],
        head=run["head_sha"],
        attempt=run.get("run_attempt") or 1,
    )


def _play_item(state: State, repository: Repository, payload: Payload, at: float | None) -> Thing:
    item = payload.get("pull_request") or payload["issue"]
    kind: ThingKind = "pulls" if "pull_request" in payload or "pull_request" in item else "issues"
    number, sender = int(item["number"]), _login(payload["sender"])
    # A comment's or a review's action is not the item's.
    action = "" if "comment" in payload or "review" in payload else payload["action"]
    after = _fields(item, repository)
    before = _change(after, action, payload)
    if repository.item(number) is None:
        association = item.get("author_association")
        opened = after if action == "opened" else before
        state.put(repository.full, kind, number, at=at, association=association, **opened)
    return state.put(repository.full, kind, number, at=at, actor=sender, **after)


def _fields(item: Mapping[str, Any], repository: Repository) -> dict[str, Any]:
    """What the payload shows of the item, under our names: not every payload shows all."""
    fields: dict[str, Any] = {"title": item["title"], "body": item.get("body") or "", "author": _login(item["user"])}
    if "state" in item:
        fields["state"] = item["state"]
    if "labels" in item:
        fields["labels"] = [label["name"] for label in item["labels"]]
    if "assignees" in item:
        fields["assignees"] = [_login(user) for user in item["assignees"]]
    if "milestone" in item:
        fields["milestone"] = item["milestone"]["title"] if item["milestone"] else None
    if item.get("state_reason"):
        fields["reason"] = item["state_reason"].upper()
    if "head" in item:
        head, base = item["head"], item["base"]
        fields |= {
            "draft": bool(item.get("draft")),
            "merged": bool(item.get("merged")),
            "base": base["ref"],
            "branch": head["ref"],
            "head": head["sha"],
            "fork": (head.get("repo") or {}).get("id") != base["repo"]["id"],
            "reviewers": [
                *(_login(user) for user in item.get("requested_reviewers") or ()),
                *(f"{repository.owner}/{team['slug']}" for team in item.get("requested_teams") or ()),
            ],
        }
    return fields


def _change(after: dict[str, Any], action: str, payload: Payload) -> dict[str, Any]:
    """What the item was before; and sees to it that `after` has what the action did."""
    before = dict(after)
    if action in _MEMBERS:
        field, adds = _MEMBERS[action]
        name = _member(payload)
        others = [one for one in after.get(field, ()) if one != name]
        with_it = [*others, name]
        before[field], after[field] = (others, with_it) if adds else (with_it, others)
    elif action in _SETTINGS:
        field, before[field], after[field] = _SETTINGS[action]
        before["merged"] = False
        before.pop("reason", None)
    elif action in ("milestoned", "demilestoned"):
        title = (payload.get("milestone") or {}).get("title") or after["milestone"]
        before["milestone"], after["milestone"] = (None, title) if action == "milestoned" else (title, None)
    elif action == "synchronize":
        before["head"], after["head"] = payload["before"], payload["after"]
    elif action == "edited":
        for field in ("title", "body"):
            if field in payload["changes"]:
                before[field] = payload["changes"][field]["from"] or ""
    return before


def _member(payload: Payload) -> str:
    if "label" in payload:
        return str(payload["label"]["name"])
    if "requested_team" in payload:
        return f"{payload['repository']['owner']['login']}/{payload['requested_team']['slug']}"
    return _login(payload.get("assignee") or payload.get("requested_reviewer"))


def _play_comment(state: State, thing: Thing, payload: Payload, at: float | None) -> None:
    """Of an item, or of a review."""
    comment, full, number = payload["comment"], thing.repository.full, thing.number
    id, action, author = int(comment["id"]), payload["action"], _login(comment["user"])
    if id not in (one.id for one in thing.parts()):
        was = ((payload.get("changes") or {}).get("body") or {}).get("from")
        body = was or comment["body"]
        association = comment["author_association"]
        if "path" in comment:
            state.review_comment(
                full,
                number,
                body,
                path=comment["path"],
                line=comment.get("line"),
                author=author,
                association=association,
                review_id=comment["pull_request_review_id"],
                at=at,
                id=id,
            )
        else:
            state.comment(full, number, body, author=author, association=association, at=at, id=id)
    if action == "edited":
        state.edit_comment(full, number, id, comment["body"], at=at)
    elif action == "deleted":
        state.delete_comment(full, number, id, actor=_login(payload["sender"]), at=at)


def _play_review(state: State, thing: Thing, payload: Payload, at: float | None) -> None:
    review, full, number = payload["review"], thing.repository.full, thing.number
    id, action, body = int(review["id"]), payload["action"], review["body"] or ""
    if id not in (one.id for one in thing.reviews):
        state.review(
            full,
            number,
            author=_login(review["user"]),
            state="COMMENTED" if action == "dismissed" else review["state"].upper(),
            body=body,
            association=review["author_association"],
            at=at,
            id=id,
        )
    if action == "edited":
        state.edit_comment(full, number, id, body, at=at)
    elif action == "dismissed":
        state.dismiss_review(full, number, id, actor=_login(payload["sender"]), at=at)


def _play_check(state: State, repository: Repository, run: Mapping[str, Any], at: float | None) -> Thing:
    """Of the pull requests that the run names, which are opened when they are not there."""
    thing = None
    for pull in run["pull_requests"]:
        number = int(pull["number"])
        thing = repository.things["pulls"].get(number) or state.put(
            repository.full,
            "pulls",
            number,
            at=at,
            branch=pull["head"]["ref"],
            head=pull["head"]["sha"],
            base=pull["base"]["ref"],
        )
        conclusion = run["conclusion"].upper() if run["conclusion"] else None
        state.check(
            repository.full,
            number,
            run["name"],
            status=run["status"].upper(),
            conclusion=conclusion,
            workflow="",
            url=run.get("details_url") or run["html_url"],
            at=at,
        )
    if thing is None:
        raise ValueError("the payload tells of no pull request")
    return thing


def _play_status(state: State, repository: Repository, payload: Payload, at: float | None) -> Thing:
    """Of the pull requests from the branches that the payload names."""
    branches = {branch["name"] for branch in payload["branches"]}
    pulls = [one for one in repository.things["pulls"].values() if one.branch in branches or one.head == payload["sha"]]
    if not pulls:
        raise ValueError("the payload tells of no pull request")
    for pull in pulls:
        state.status(
            repository.full,
            pull.number,
            payload["context"],
            state=payload["state"].upper(),
            url=payload["target_url"] or "",
            at=at,
        )
    return pulls[0]

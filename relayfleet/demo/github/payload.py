"""Recorded webhook payloads as the beginning of a story: what they tell of is put into the stand-in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relayfleet.demo.github.state import State, Thing, ThingKind

FOLDER = Path(__file__).parent / "payloads"


def read_payload(name: str) -> dict[str, Any]:
    """A payload that ships with the stand-in, such as `issues.opened`."""
    payload: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_bytes())
    return payload


def play(state: State, payload: Mapping[str, Any], *, at: float | None = None) -> Thing:
    """Puts in what an `issues`, `pull_request` or `workflow_run` payload shows, as if it happened at `at` (now)."""
    shown = payload["repository"]
    repository = state.repository(shown["full_name"]) or state.add_repository(
        shown["full_name"], private=bool(shown["private"])
    )
    if "workflow_run" in payload:
        run = payload["workflow_run"]
        return state.put(
            repository.full,
            "runs",
            int(run["id"]),
            at=at,
            title=run.get("display_title") or run["name"],
            body=(run.get("head_commit") or {}).get("message") or "",
            author=(run.get("actor") or payload["sender"])["login"],
            workflow=run["name"],
            event=run["event"],
            status=run["status"],
            conclusion=run["conclusion"],
            branch=run["head_branch"],
            head=run["head_sha"],
            attempt=run.get("run_attempt") or 1,
        )
    kind: ThingKind = "pulls" if "pull_request" in payload else "issues"
    item = payload["pull_request" if kind == "pulls" else "issue"]
    fields: dict[str, Any] = {
        "title": item["title"],
        "body": item["body"] or "",
        "state": item["state"],
        "author": item["user"]["login"],
        "association": item["author_association"],
        "labels": [label["name"] for label in item.get("labels") or ()],
        "assignees": [user["login"] for user in item.get("assignees") or ()],
        "comments": int(item.get("comments") or 0),
    }
    if kind == "pulls":
        fields |= {
            "draft": bool(item["draft"]),
            "merged": bool(item.get("merged")),
            "base": item["base"]["ref"],
            "branch": item["head"]["ref"],
            "head": item["head"]["sha"],
        }
    return state.put(repository.full, kind, int(item["number"]), at=at, **fields)

"""GitHub's JSON into the fleet's own words. Raises KeyError, TypeError or ValueError for what has another shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relayfleet.model.event import Item

# What GitHub shows in place of an account that is no more.
GHOST = "ghost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """An item as a probe or a search shows it."""

    node_id: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a connection. `cursor` is where the next one begins, None when there is none."""

    nodes: tuple[Mapping[str, Any], ...]
    cursor: str | None


def decode_page(connection: Mapping[str, Any]) -> Page:
    info = connection["pageInfo"]
    # A node that the token may not see is null, and one of another type is an empty object.
    nodes = tuple(node for node in connection["nodes"] if node)
    return Page(nodes=nodes, cursor=info["endCursor"] if info["hasNextPage"] else None)


def connection_in(repository: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one connection of a repository that was asked for."""
    found: Mapping[str, Any] = repository["issues"] if "issues" in repository else repository["pullRequests"]
    return found


def decode_stub(node: Mapping[str, Any]) -> Stub:
    return Stub(node_id=str(node["id"]), updated_at=str(node["updatedAt"]))


def decode_item(node: Mapping[str, Any]) -> Item:
    """An issue or a pull request; of a glimpse, the body, labels, assignees and comments are missing."""
    pull = node["__typename"] == "PullRequest"
    author = node["author"] or {}
    return Item(
        repo=node["repository"]["nameWithOwner"],
        private=bool(node["repository"]["isPrivate"]),
        kind="pulls" if pull else "issues",
        node_id=node["id"],
        number=int(node["number"]),
        title=node["title"] or "",
        body=node.get("body") or "",
        url=node["url"],
        author=author.get("login") or GHOST,
        association=node["authorAssociation"] or "NONE",
        state=str(node["pullState" if pull else "issueState"]).lower(),
        labels=_names(node.get("labels"), "name"),
        assignees=_names(node.get("assignees"), "login"),
        draft=bool(node.get("isDraft")),
        base=node.get("baseRefName") or "",
        branch=node.get("headRefName") or "",
        head=node.get("headRefOid") or "",
        comments=int(node.get("comments", {}).get("totalCount", 0)),
        created_at=node["createdAt"],
        updated_at=node["updatedAt"],
    )


def errors_by_alias(errors: Sequence[Any]) -> dict[str, list[Mapping[str, Any]]]:
    """GraphQL errors under the alias that they belong to (the first step of their path)."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for error in errors:
        path = error.get("path") if isinstance(error, Mapping) else None
        if path:
            found.setdefault(str(path[0]), []).append(error)
    return found


def _names(connection: Mapping[str, Any] | None, name: str) -> tuple[str, ...]:
    return tuple(str(node[name]) for node in (connection or {}).get("nodes") or () if node)

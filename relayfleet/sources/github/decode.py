"""GitHub's JSON into the fleet's own words. Raises KeyError, TypeError or ValueError for what has another shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relayfleet.model.item import Act, ActKind, Check, Item, Note, NoteKind, Report, id_on
from relayfleet.model.trust import GHOST
from relayfleet.sources.github.query import ACTS

_ACTS: Mapping[str, ActKind] = {
    "LabeledEvent": "labeled",
    "UnlabeledEvent": "unlabeled",
    "AssignedEvent": "assigned",
    "UnassignedEvent": "unassigned",
    "ReviewRequestedEvent": "review_requested",
    "ReviewRequestRemovedEvent": "review_unrequested",
    "ClosedEvent": "closed",
    "ReopenedEvent": "reopened",
    "MergedEvent": "merged",
    "RenamedTitleEvent": "renamed",
    "ReadyForReviewEvent": "readied",
    "ConvertToDraftEvent": "drafted",
    "HeadRefForcePushedEvent": "pushed",
    "BaseRefChangedEvent": "retargeted",
    "TransferredEvent": "transferred",
    "MilestonedEvent": "milestoned",
    "DemilestonedEvent": "demilestoned",
    "CommentDeletedEvent": "uncommented",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """An item as a probe shows it."""

    node_id: str
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a connection. `cursor` is where the next one begins, None when there is none."""

    nodes: tuple[Mapping[str, Any], ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an item is, and how its checks stand (None when that was not asked)."""

    node_id: str
    repo: str
    number: int
    updated_at: str
    head: str
    checks: tuple[Check, ...] | None


def decode_page(connection: Mapping[str, Any]) -> Page:
    info = connection["pageInfo"]
    # A node that the token may not see is null, and one of another type is an empty object.
    nodes = tuple(node for node in connection["nodes"] if node)
    return Page(nodes=nodes, cursor=info["endCursor"] if info["hasNextPage"] else None)


def decode_stub(node: Mapping[str, Any], *, host: str) -> Stub:
    return Stub(node_id=id_on(host, node["id"]), created_at=str(node["createdAt"]), updated_at=str(node["updatedAt"]))


def decode_place(node: Mapping[str, Any], *, host: str) -> Place:
    asked = "commits" in node
    head, _, checks = _head(node) if asked else ("", "", None)
    return Place(
        node_id=id_on(host, node["id"]),
        repo=str(node["repository"]["nameWithOwner"]),
        number=int(node["number"]),
        updated_at=str(node["updatedAt"]),
        head=head,
        checks=checks,
    )


def decode_report(node: Mapping[str, Any], *, host: str) -> Report:
    """An issue or a pull request with its notes and acts."""
    notes = [*decode_comments(node["comments"]), *decode_reviews(node.get("reviews"))]
    return Report(
        item=decode_item(node, host=host),
        notes=tuple(sorted(notes, key=lambda note: (note.updated_at, note.created_at))),
        acts=decode_acts(node[ACTS["pulls" if node["__typename"] == "PullRequest" else "issues"]]),
    )


def decode_item(node: Mapping[str, Any], *, host: str) -> Item:
    """An issue or a pull request; of a glimpse, what was not asked for is missing."""
    pull = node["__typename"] == "PullRequest"
    author, bot = login_of(node["author"])
    requests = [one for one in (node.get("reviewRequests") or {}).get("nodes") or () if one]
    head, message, checks = _head(node) if "commits" in node else (node.get("headRefOid") or "", "", ())
    return Item(
        host=host,
        repo=node["repository"]["nameWithOwner"],
        private=bool(node["repository"]["isPrivate"]),
        kind="pulls" if pull else "issues",
        node_id=id_on(host, node["id"]),
        number=int(node["number"]),
        title=node["title"] or "",
        body=node.get("body") or "",
        url=node["url"],
        author=author,
        bot=bot,
        association=node["authorAssociation"] or "NONE",
        state=str(node["pullState" if pull else "issueState"]).lower(),
        reason=str(node.get("stateReason") or "").lower(),
        labels=_names(node.get("labels"), "name"),
        assignees=_names(node.get("assignees"), "login"),
        reviewers=tuple(map(reviewer_of, requests)),
        code_owners=tuple(reviewer_of(one) for one in requests if one.get("asCodeOwner")),
        milestone=str((node.get("milestone") or {}).get("title") or ""),
        draft=bool(node.get("isDraft")),
        base=node.get("baseRefName") or "",
        branch=node.get("headRefName") or "",
        head=node.get("headRefOid") or head,
        head_message=message,
        checks=checks,
        comments=int(node.get("comments", {}).get("totalCount", 0)),
        created_at=node["createdAt"],
        updated_at=node["updatedAt"],
        edited_at=node.get("lastEditedAt") or "",
    )


def decode_comments(connection: Mapping[str, Any]) -> list[Note]:
    """Oldest first: GitHub shows what changed last first."""
    return [_note("comment", node) for node in reversed(connection["nodes"]) if node]


def decode_reviews(connection: Mapping[str, Any] | None) -> list[Note]:
    """Reviews that were handed in, and their comments. A review that only carries comments is told by these."""
    notes: list[Note] = []
    for node in (connection or {}).get("nodes") or ():
        if not node or node["state"] == "PENDING":
            continue
        inline = decode_review_comments(node["comments"], handed_in=node["submittedAt"] or "")
        if node["state"] != "COMMENTED" or node["body"] or not inline:
            notes.append(_note("review", node))
        notes.extend(inline)
    return notes


def decode_review_comments(connection: Mapping[str, Any], *, handed_in: str) -> list[Note]:
    """A comment is seen from when its review was handed in, and may have been drafted long before."""
    return [_note("review_comment", node, seen_from=handed_in) for node in connection["nodes"] if node]


def decode_acts(connection: Mapping[str, Any]) -> tuple[Act, ...]:
    """Oldest first."""
    return tuple(_act(node) for node in connection["nodes"] if node and node["__typename"] in _ACTS)


def _act(node: Mapping[str, Any]) -> Act:
    actor, bot = login_of(node["actor"])
    if "label" in node:
        subject = str(node["label"]["name"])
    elif "assignee" in node:
        subject = login_of(node["assignee"])[0]
    elif "requestedReviewer" in node:
        subject = reviewer_of(node)
    else:
        subject = str(node.get("previousTitle") or node.get("previousRefName") or "")
    return Act(
        kind=_ACTS[node["__typename"]], node_id=node["id"], actor=actor, bot=bot, at=node["createdAt"], subject=subject
    )


def login_of(actor: Mapping[str, Any] | None) -> tuple[str, bool]:
    """(login, whether it is an app). An app's login ends in `[bot]`, as REST and people write it."""
    login = str((actor or {}).get("login") or GHOST)
    bot = (actor or {}).get("__typename") == "Bot" or login.endswith("[bot]")
    return (f"{login.removesuffix('[bot]')}[bot]" if bot else login), bot


def reviewer_of(node: Mapping[str, Any]) -> str:
    reviewer = node["requestedReviewer"] or {}
    return f"team/{reviewer['slug']}" if "slug" in reviewer else str(reviewer.get("login") or GHOST)


def errors_by_alias(errors: Sequence[Any]) -> dict[str, list[Mapping[str, Any]]]:
    """GraphQL errors under the alias that they belong to (the first step of their path)."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for error in errors:
        path = error.get("path") if isinstance(error, Mapping) else None
        if path:
            found.setdefault(str(path[0]), []).append(error)
    return found


def _note(kind: NoteKind, node: Mapping[str, Any], *, seen_from: str = "") -> Note:
    author, bot = login_of(node["author"])
    created_at = max(str(node.get("submittedAt") or node["createdAt"]), seen_from)
    state = str(node.get("state") or "").lower()
    # GitHub touches a note for less than an edit, too: somebody hid it. Of a dismissal there is no other time.
    edited_at = node["updatedAt"] if state == "dismissed" else node["lastEditedAt"] or ""
    return Note(
        kind=kind,
        node_id=node["id"],
        url=node["url"],
        author=author,
        bot=bot,
        association=node["authorAssociation"] or "NONE",
        body=node["body"] or "",
        created_at=created_at,
        updated_at=max(created_at, edited_at),
        state=state,
        path=node.get("path") or "",
        line=int(node.get("line") or 0),
    )


def _head(node: Mapping[str, Any]) -> tuple[str, str, tuple[Check, ...]]:
    """(commit, its message, its checks) of a pull request's head."""
    commits = node["commits"]["nodes"]
    if not commits or not commits[0]:
        return "", "", ()
    commit = commits[0]["commit"]
    return commit["oid"], commit["message"] or "", latest_of(map(decode_check, contexts_of(node)["nodes"]))


def head_of(node: Mapping[str, Any]) -> str:
    """The commit of a pull request's head, empty when it has none."""
    return _head(node)[0]


def contexts_of(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checks of a pull request's head, as a connection."""
    commits = node["commits"]["nodes"]
    rollup = commits[0]["commit"]["statusCheckRollup"] if commits and commits[0] else None
    nothing = {"nodes": (), "pageInfo": {"hasNextPage": False, "endCursor": None}}
    return rollup["contexts"] if rollup else nothing


def latest_of(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Of checks of one name, the latest counts. By name."""
    found = {one.name: one for one in sorted(checks, key=_when)}
    return tuple(found[name] for name in sorted(found))


def _when(check: Check) -> str:
    return check.at


def decode_check(node: Mapping[str, Any]) -> Check:
    if node["__typename"] == "StatusContext":
        return Check(
            name=node["context"], state=node["state"].lower(), url=node["targetUrl"] or "", at=node["createdAt"]
        )
    return Check(
        name=node["name"],
        state=(node["conclusion"] or node["status"]).lower(),
        url=node["detailsUrl"] or "",
        at=node["completedAt"] or node["startedAt"] or "",
    )


def _names(connection: Mapping[str, Any] | None, name: str) -> tuple[str, ...]:
    return tuple(str(node[name]) for node in (connection or {}).get("nodes") or () if node)

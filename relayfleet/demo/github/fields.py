"""Where each field of GitHub's GraphQL schema comes from, for the types that the stand-in knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from graphql import GraphQLError

from relayfleet.demo.github.connection import Page, Place, page
from relayfleet.demo.github.cost import Cost
from relayfleet.demo.github.execute import Arguments, Resolver, Resolvers
from relayfleet.demo.github.fault import Fault
from relayfleet.demo.github.limits import Limits
from relayfleet.demo.github.repository import OrderedBy, Repository
from relayfleet.demo.github.search import search
from relayfleet.demo.github.state import State
from relayfleet.demo.github.thing import (
    Account,
    CheckRun,
    Comment,
    Commit,
    Review,
    ReviewRequest,
    StatusContext,
    Thing,
    ThingKind,
    TimelineEvent,
    iso,
    reviewer,
)

_MOST_IDS = 100


@dataclass(frozen=True, slots=True)
class Context:
    """One query's: who asks, what it costs, and what of it is to fail."""

    state: State
    viewer: str
    limits: Limits
    cost: Cost
    partial: Sequence[Fault] = ()


class Part(NamedTuple):
    """What is of an item: it knows its way back."""

    thing: Thing
    what: Comment | Review | TimelineEvent | Commit


class Rollup(NamedTuple):
    """The checks of a commit that has some."""

    commit: Commit


def _type_of(value: Any) -> str:
    match value:
        case Thing():
            return "PullRequest" if value.kind == "pulls" else "Issue"
        case Account():
            return "Bot" if value.bot else "User"
        case Part(_, TimelineEvent() as event):
            return event.type
        case Part(_, Comment() as comment):
            return "IssueComment" if comment.path is None else "PullRequestReviewComment"
        case Part(_, Review()):
            return "PullRequestReview"
        case Part():
            return "PullRequestCommit"
        case _:
            return type(value).__name__


def _account(login: str) -> Account | None:
    return Account(login) if login else None


def _time(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def _plain(read: Callable[[Any], Any]) -> Resolver:
    return lambda source, arguments, context: read(source)


def _not_found(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": "NOT_FOUND"})


# The query's own fields.


def _repository(context: Context, arguments: Arguments, _: Context) -> Repository:
    full = f"{arguments['owner']}/{arguments['name']}"
    found = context.state.repository(full)
    if found is None:
        raise _not_found(f"Could not resolve to a Repository with the name '{full}'.")
    _play_partial(context, found.full)
    return found


def _nodes(context: Context, arguments: Arguments, _: Context) -> list[Any]:
    if len(arguments["ids"]) > _MOST_IDS:
        raise GraphQLError(
            f"You may not provide more than 100 node ids; you provided {len(arguments['ids'])}.",
            extensions={"type": "ARGUMENT_LIMIT"},
        )
    found: list[Any] = []
    for node_id in arguments["ids"]:
        try:
            found.append(node(context, node_id))
        except GraphQLError as error:
            found.append(error)
    return found


def node(context: Context, node_id: str) -> Thing | Part | Repository:
    """Raises GraphQLError, as GitHub refuses an id that leads nowhere."""
    _play_partial(context, node_id)
    thing = context.state.holder(node_id)
    if thing is not None:
        if thing.node_id == node_id:
            return thing
        return next(Part(thing, one) for one in thing.parts() if one.node_id == node_id)
    if node_id.startswith("R_"):
        for repository in context.state.repositories.values():
            if repository.node_id == node_id:
                return repository
    raise _not_found(f"Could not resolve to a node with the global id of '{node_id}'")


def _play_partial(context: Context, of: str) -> None:
    for fault in context.partial:
        if fault.of.casefold() == of.casefold():
            raise GraphQLError(fault.message, extensions={"type": fault.error_type} if fault.error_type else None)


def _search(context: Context, arguments: Arguments, _: Context) -> Page:
    found = search(context.state, arguments["query"], viewer=context.viewer)
    return page(found[:1000], arguments)


_QUERY: Mapping[str, Resolver] = {
    "viewer": lambda context, arguments, _: Account(context.viewer),
    "repository": _repository,
    "search": _search,
    "nodes": _nodes,
    "node": lambda context, arguments, _: node(context, arguments["id"]),
    "rateLimit": lambda context, arguments, _: context,
}
_RATE_LIMIT: Mapping[str, Resolver] = {
    "cost": _plain(lambda context: context.cost.points),
    "nodeCount": _plain(lambda context: context.cost.nodes),
    "limit": _plain(lambda context: context.limits.allowed["graphql"]),
    "used": _plain(lambda context: context.limits.used["graphql"] + context.cost.points),
    "remaining": _plain(lambda context: context.limits.remaining("graphql", asked=context.cost.points)),
    "resetAt": _plain(lambda context: iso(context.limits.reset_at("graphql"))),
}

# Repositories.


def _listing(kind: ThingKind) -> Resolver:
    def listing(repository: Repository, arguments: Arguments, context: Context) -> Page:
        _refuse_arguments(arguments, {"first", "last", "after", "before", "states", "orderBy"})
        order = arguments.get("orderBy") or {"field": "CREATED_AT", "direction": "ASC"}
        by: OrderedBy = "updated" if order["field"] == "UPDATED_AT" else "created"
        newest_first = order["direction"] == "DESC"
        things = repository.ordered(kind, by, newest_first=newest_first)
        if arguments.get("states"):
            things = [thing for thing in things if _state(thing) in arguments["states"]]
        sign = -1 if newest_first else 1

        def place(thing: Thing) -> Place:
            return sign * getattr(thing, by), sign * thing.id

        return page(things, arguments, place=place)

    return listing


def _refuse_arguments(arguments: Arguments, known: set[str]) -> None:
    if unknown := sorted(name for name in arguments if name not in known and arguments[name] is not None):
        raise GraphQLError(f"The stand-in does not know the argument {unknown[0]}.")


def _single(kinds: Sequence[ThingKind], called: str) -> Resolver:
    def single(repository: Repository, arguments: Arguments, context: Context) -> Thing:
        for kind in kinds:
            if arguments["number"] in repository.things[kind]:
                return repository.things[kind][arguments["number"]]
        raise _not_found(f"Could not resolve to {called} with the number of {arguments['number']}.")

    return single


_REPOSITORY: Mapping[str, Resolver] = {
    "id": _plain(lambda one: one.node_id),
    "databaseId": _plain(lambda one: one.id),
    "name": _plain(lambda one: one.name),
    "nameWithOwner": _plain(lambda one: one.full),
    "owner": _plain(lambda one: Account(one.owner)),
    "isPrivate": _plain(lambda one: one.private),
    "url": _plain(lambda one: one.url),
    "issues": _listing("issues"),
    "pullRequests": _listing("pulls"),
    "issue": _single(("issues",), "an Issue"),
    "pullRequest": _single(("pulls",), "a PullRequest"),
    "issueOrPullRequest": _single(("issues", "pulls"), "an issue or pull request"),
}

# Issues and pull requests.


def _state(thing: Thing) -> str:
    return "MERGED" if thing.merged else thing.state.upper()


def _comments(thing: Thing, arguments: Arguments, context: Context) -> Page:
    order = arguments.get("orderBy")
    if order is None:
        return page([Part(thing, one) for one in thing.comments], arguments)
    sign = -1 if order["direction"] == "DESC" else 1

    def place(part: Part) -> Place:
        assert isinstance(part.what, Comment)
        return sign * part.what.updated, sign * part.what.id

    return page(sorted((Part(thing, one) for one in thing.comments), key=place), arguments, place=place)


def _reviews(thing: Thing, arguments: Arguments, context: Context) -> Page:
    reviews = thing.reviews
    if arguments.get("states"):
        reviews = tuple(one for one in reviews if one.state in arguments["states"])
    if arguments.get("author"):
        reviews = tuple(one for one in reviews if one.author.casefold() == arguments["author"].casefold())
    return page([Part(thing, one) for one in reviews], arguments)


def _timeline(thing: Thing, arguments: Arguments, context: Context) -> Page:
    _refuse_arguments(arguments, {"first", "last", "after", "before", "since", "itemTypes"})
    moments: list[tuple[float, Part]] = [(one.at, Part(thing, one)) for one in thing.timeline]
    moments += [(one.created, Part(thing, one)) for one in thing.comments]
    moments += [(one.submitted, Part(thing, one)) for one in thing.reviews]
    moments += [(one.committed, Part(thing, one)) for one in thing.commits]
    if wanted := arguments.get("itemTypes"):
        moments = [(moment, part) for moment, part in moments if _item_type(part) in wanted]
    if since := arguments.get("since"):
        begin = datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp()
        moments = [(moment, part) for moment, part in moments if int(moment) >= begin]
    return page([part for _, part in sorted(moments, key=lambda pair: pair[0])], arguments)


def _item_type(part: Part) -> str:
    name = _type_of(part)
    return "".join(f"_{char}" if char.isupper() else char for char in name).upper().lstrip("_")


def _rollup(commit: Commit) -> Rollup | None:
    return Rollup(commit) if commit.contexts else None


def _login(name: str) -> Resolver:
    return lambda source, arguments, context: _account(getattr(source, name))


def _connected(read: Callable[[Any], Sequence[Any]]) -> Resolver:
    return lambda source, arguments, context: page(read(source), arguments)


_ITEM: Mapping[str, Resolver] = {
    "id": _plain(lambda thing: thing.node_id),
    "databaseId": _plain(lambda thing: thing.id),
    "fullDatabaseId": _plain(lambda thing: str(thing.id)),
    "number": _plain(lambda thing: thing.number),
    "title": _plain(lambda thing: thing.title),
    "body": _plain(lambda thing: thing.body),
    "bodyText": _plain(lambda thing: thing.body),
    "state": _plain(_state),
    "url": _plain(lambda thing: thing.url),
    "createdAt": _plain(lambda thing: iso(thing.created)),
    "updatedAt": _plain(lambda thing: iso(thing.updated)),
    "lastEditedAt": _plain(lambda thing: _time(thing.edited)),
    "closed": _plain(lambda thing: thing.state == "closed"),
    "closedAt": _plain(lambda thing: _time(thing.closed)),
    "author": _login("author"),
    "authorAssociation": _plain(lambda thing: thing.repository.association_of(thing.author)),
    "labels": _connected(lambda thing: thing.labels),
    "assignees": _connected(lambda thing: [one for one in map(Account, thing.assignees) if not one.bot]),
    "milestone": _plain(lambda thing: thing.milestone),
    "comments": _comments,
    "timelineItems": _timeline,
    "repository": _plain(lambda thing: thing.repository),
}
_ISSUE: Mapping[str, Resolver] = {**_ITEM, "stateReason": _plain(lambda thing: thing.reason)}
_PULL: Mapping[str, Resolver] = {
    **_ITEM,
    "isDraft": _plain(lambda thing: thing.draft),
    "baseRefName": _plain(lambda thing: thing.base),
    "headRefName": _plain(lambda thing: thing.branch),
    "headRefOid": _plain(lambda thing: thing.head),
    "isCrossRepository": _plain(lambda thing: thing.fork),
    "merged": _plain(lambda thing: thing.merged),
    "mergedAt": _plain(lambda thing: _time(thing.closed) if thing.merged else None),
    "reviewRequests": _connected(
        lambda thing: [ReviewRequest(reviewer(name), name in thing.code_owners) for name in thing.reviewers]
    ),
    "reviews": _reviews,
    "commits": _connected(lambda thing: [Part(thing, one) for one in thing.commits]),
    "statusCheckRollup": _plain(lambda thing: _rollup(thing.commits[-1])),
}

# What is said.


def _anchor(part: Part) -> str:
    match part.what:
        case Review(id=id):
            return f"{part.thing.url}#pullrequestreview-{id}"
        case Comment(id=id, path=None):
            return f"{part.thing.url}#issuecomment-{id}"
        case Comment(id=id):
            return f"{part.thing.url}#discussion_r{id}"
        case _:
            return part.thing.url


_TEXT: Mapping[str, Resolver] = {
    "id": _plain(lambda part: part.what.node_id),
    "databaseId": _plain(lambda part: part.what.id),
    "fullDatabaseId": _plain(lambda part: str(part.what.id)),
    "url": _plain(_anchor),
    "body": _plain(lambda part: part.what.body),
    "bodyText": _plain(lambda part: part.what.body),
    "updatedAt": _plain(lambda part: iso(part.what.updated)),
    "lastEditedAt": _plain(lambda part: _time(part.what.edited)),
    "author": _plain(lambda part: _account(part.what.author)),
    "authorAssociation": _plain(lambda part: part.thing.repository.association_of(part.what.author)),
    "repository": _plain(lambda part: part.thing.repository),
}
_COMMENT: Mapping[str, Resolver] = {
    **_TEXT,
    "createdAt": _plain(lambda part: iso(part.what.created)),
    "issue": _plain(lambda part: part.thing),
    "pullRequest": _plain(lambda part: part.thing if part.thing.kind == "pulls" else None),
}
_REVIEW_COMMENT: Mapping[str, Resolver] = {
    **_COMMENT,
    "path": _plain(lambda part: part.what.path),
    "line": _plain(lambda part: part.what.line),
}
_REVIEW: Mapping[str, Resolver] = {
    **_TEXT,
    "state": _plain(lambda part: part.what.state),
    "createdAt": _plain(lambda part: iso(part.what.submitted)),
    "submittedAt": _plain(lambda part: iso(part.what.submitted)),
    "pullRequest": _plain(lambda part: part.thing),
    "comments": _connected(lambda part: [Part(part.thing, one) for one in part.what.comments]),
}

# What is done.

_EVENT: Mapping[str, Resolver] = {
    "id": _plain(lambda part: part.what.node_id),
    "createdAt": _plain(lambda part: iso(part.what.at)),
    "actor": _plain(lambda part: _account(part.what.actor)),
    "pullRequest": _plain(lambda part: part.thing),
    "issue": _plain(lambda part: part.thing),
}
_NAME = _plain(lambda part: part.what.name)
_BEFORE = _plain(lambda part: part.what.before)
_AFTER = _plain(lambda part: part.what.after)
_BECAUSE: Mapping[str, Resolver] = {**_EVENT, "stateReason": _plain(lambda part: part.what.reason)}
_LABEL_EVENT: Mapping[str, Resolver] = {**_EVENT, "label": _NAME, "labelable": _plain(lambda part: part.thing)}
_ASSIGN_EVENT: Mapping[str, Resolver] = {
    **_EVENT,
    "assignee": _plain(lambda part: _account(part.what.name)),
    "assignable": _plain(lambda part: part.thing),
}
_REQUEST_EVENT: Mapping[str, Resolver] = {
    **_EVENT,
    "requestedReviewer": _plain(lambda part: reviewer(part.what.name)),
}
_MILESTONE_EVENT: Mapping[str, Resolver] = {**_EVENT, "milestoneTitle": _NAME}
_EVENTS: Mapping[str, Mapping[str, Resolver]] = {
    "LabeledEvent": _LABEL_EVENT,
    "UnlabeledEvent": _LABEL_EVENT,
    "AssignedEvent": _ASSIGN_EVENT,
    "UnassignedEvent": _ASSIGN_EVENT,
    "ReviewRequestedEvent": _REQUEST_EVENT,
    "ReviewRequestRemovedEvent": _REQUEST_EVENT,
    "MilestonedEvent": _MILESTONE_EVENT,
    "DemilestonedEvent": _MILESTONE_EVENT,
    "ClosedEvent": _BECAUSE,
    "ReopenedEvent": _BECAUSE,
    "MergedEvent": {**_EVENT, "mergeRefName": _plain(lambda part: part.thing.base)},
    "RenamedTitleEvent": {
        **_EVENT,
        "previousTitle": _BEFORE,
        "currentTitle": _AFTER,
        "subject": _plain(lambda part: part.thing),
    },
    "BaseRefChangedEvent": {**_EVENT, "previousRefName": _BEFORE, "currentRefName": _AFTER},
    "HeadRefForcePushedEvent": {
        **_EVENT,
        "beforeCommit": _plain(lambda part: _bare_commit(part.what.before)),
        "afterCommit": _plain(lambda part: _bare_commit(part.what.after)),
    },
    "ReadyForReviewEvent": _EVENT,
    "ConvertToDraftEvent": _EVENT,
    "ReviewDismissedEvent": {**_EVENT, "previousReviewState": _BEFORE, "dismissalMessage": _BECAUSE["stateReason"]},
    "CommentDeletedEvent": {**_EVENT, "deletedCommentAuthor": _plain(lambda part: _account(part.what.name))},
    "TransferredEvent": {
        **_EVENT,
        "fromRepository": lambda part, arguments, context: context.state.repository(part.what.before),
    },
}


def _bare_commit(oid: str) -> Commit:
    return Commit(oid=oid, message="", committed=0.0)


# Commits and their checks.

_COMMIT: Mapping[str, Resolver] = {
    "id": _plain(lambda commit: f"C_{commit.oid}"),
    "oid": _plain(lambda commit: commit.oid),
    "abbreviatedOid": _plain(lambda commit: commit.oid[:7]),
    "message": _plain(lambda commit: commit.message),
    "messageHeadline": _plain(lambda commit: commit.headline),
    "committedDate": _plain(lambda commit: iso(commit.committed)),
    "statusCheckRollup": _plain(_rollup),
}
_CHECK_RUN: Mapping[str, Resolver] = {
    "id": _plain(lambda run: f"CR_{run.id}"),
    "databaseId": _plain(lambda run: run.id),
    "name": _plain(lambda run: run.name),
    "status": _plain(lambda run: run.status),
    "conclusion": _plain(lambda run: run.conclusion),
    "startedAt": _plain(lambda run: iso(run.started)),
    "completedAt": _plain(lambda run: _time(run.completed)),
    "detailsUrl": _plain(lambda run: run.url),
    "url": _plain(lambda run: run.url),
    "checkSuite": _plain(lambda run: run),
}
_STATUS_CONTEXT: Mapping[str, Resolver] = {
    "id": _plain(lambda status: f"SC_{status.id}"),
    "context": _plain(lambda status: status.context),
    "state": _plain(lambda status: status.state),
    "createdAt": _plain(lambda status: iso(status.created)),
    "targetUrl": _plain(lambda status: status.url or None),
}


def rollup_state(commit: Commit) -> str:
    """Failure before what is pending before success, as GitHub rolls them up."""
    states = {_state_of(one) for one in commit.contexts}
    return next(state for state in ("ERROR", "FAILURE", "PENDING", "EXPECTED", "SUCCESS") if state in states)


def _state_of(one: CheckRun | StatusContext) -> str:
    if isinstance(one, StatusContext):
        return one.state
    if one.status != "COMPLETED":
        return "PENDING"
    return "SUCCESS" if one.conclusion in ("SUCCESS", "NEUTRAL", "SKIPPED") else "FAILURE"


_PAGE_INFO: Mapping[str, Resolver] = {
    "hasNextPage": _plain(lambda one: one.end < len(one.items)),
    "hasPreviousPage": _plain(lambda one: one.start > 0),
    "startCursor": _plain(lambda one: one.cursor(one.start)),
    "endCursor": _plain(lambda one: one.cursor(one.end - 1)),
}
_CONNECTION: Mapping[str, Resolver] = {
    "nodes": _plain(lambda one: one.nodes),
    "totalCount": _plain(lambda one: len(one.items)),
    "pageInfo": _plain(lambda one: one),
}
_TIMELINE: Mapping[str, Resolver] = {
    **_CONNECTION,
    "filteredCount": _plain(lambda one: len(one.items)),
    "pageCount": _plain(lambda one: len(one.nodes)),
}
_USER: Mapping[str, Resolver] = {
    "id": _plain(lambda one: f"U_{one.login}"),
    "login": _plain(lambda one: one.login),
    "url": lambda one, arguments, context: f"https://{context.state.host}/{one.login}",
}
_BOT: Mapping[str, Resolver] = {
    "id": _plain(lambda one: f"BOT_{one.name}"),
    "login": _plain(lambda one: one.name),
    "url": lambda one, arguments, context: f"https://{context.state.host}/apps/{one.name}",
}

_PLAIN_CONNECTIONS = (
    "IssueConnection",
    "PullRequestConnection",
    "LabelConnection",
    "UserConnection",
    "IssueCommentConnection",
    "PullRequestReviewConnection",
    "PullRequestReviewCommentConnection",
    "ReviewRequestConnection",
    "PullRequestCommitConnection",
    "StatusCheckRollupContextConnection",
)
RESOLVERS = Resolvers(
    fields={
        "Query": _QUERY,
        "RateLimit": _RATE_LIMIT,
        "Repository": _REPOSITORY,
        "Issue": _ISSUE,
        "PullRequest": _PULL,
        "IssueComment": _COMMENT,
        "PullRequestReview": _REVIEW,
        "PullRequestReviewComment": _REVIEW_COMMENT,
        **_EVENTS,
        "PullRequestCommit": {
            "id": _plain(lambda part: f"PURC_{part.thing.id}_{part.what.oid}"),
            "commit": _plain(lambda part: part.what),
            "pullRequest": _plain(lambda part: part.thing),
        },
        "Commit": _COMMIT,
        "StatusCheckRollup": {
            "id": _plain(lambda rollup: f"SCR_{rollup.commit.oid}"),
            "state": _plain(lambda rollup: rollup_state(rollup.commit)),
            "contexts": _connected(lambda rollup: rollup.commit.contexts),
            "commit": _plain(lambda rollup: rollup.commit),
        },
        "CheckRun": _CHECK_RUN,
        "CheckSuite": {
            "id": _plain(lambda run: f"CS_{run.id}"),
            "status": _plain(lambda run: run.status),
            "conclusion": _plain(lambda run: run.conclusion),
            "workflowRun": _plain(lambda run: run if run.workflow else None),
        },
        "WorkflowRun": {"id": _plain(lambda run: f"WFR_{run.id}"), "workflow": _plain(lambda run: run)},
        "Workflow": {"id": _plain(lambda run: f"W_{run.workflow}"), "name": _plain(lambda run: run.workflow)},
        "StatusContext": _STATUS_CONTEXT,
        "ReviewRequest": {
            "id": _plain(lambda asked: f"RR_{asked.reviewer}"),
            "asCodeOwner": _plain(lambda asked: asked.as_code_owner),
            "requestedReviewer": _plain(lambda asked: asked.reviewer),
        },
        "Label": {"id": _plain(lambda name: f"LA_{name}"), "name": _plain(lambda name: name)},
        "Milestone": {"id": _plain(lambda title: f"MI_{title}"), "title": _plain(lambda title: title)},
        "User": _USER,
        "Bot": _BOT,
        "Team": {
            "id": _plain(lambda team: f"T_{team.slug}"),
            "slug": _plain(lambda team: team.slug),
            "name": _plain(lambda team: team.slug),
            "combinedSlug": _plain(lambda team: f"{team.organization}/{team.slug}"),
        },
        "PageInfo": _PAGE_INFO,
        "SearchResultItemConnection": {**_CONNECTION, "issueCount": _plain(lambda one: len(one.items))},
        "IssueTimelineItemsConnection": _TIMELINE,
        "PullRequestTimelineItemsConnection": _TIMELINE,
        **dict.fromkeys(_PLAIN_CONNECTIONS, _CONNECTION),
    },
    type_of=_type_of,
)

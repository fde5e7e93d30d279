"""The GraphQL part of the stand-in, on GitHub's schema: what it does not allow is refused as GitHub refuses it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    execute,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
    value_from_ast_untyped,
)

from relayfleet.demo.github.search import search
from relayfleet.demo.github.state import Repository, State, Thing, ThingKind, iso

Arguments = Mapping[str, Any]
_MOST = 100
_LEAVES = {"Int": 0, "Float": 0.0, "Boolean": False, "DateTime": "1970-01-01T00:00:00Z", "URI": "https://github.com/"}


def answer_graphql(state: State, schema: GraphQLSchema, raw: bytes, noted: dict[str, Any]) -> dict[str, Any]:
    """The body of the answer. `noted` gets `query`, `variables`, `cost` (points), and `invalid` (what is wrong)."""
    sent = json.loads(raw)
    variables = sent.get("variables") or {}
    noted |= {"query": sent["query"], "variables": variables}
    try:
        document = parse(sent["query"])
    except GraphQLError as error:
        noted["invalid"] = [error.message]
        return {"errors": [{"message": error.message}]}
    faults = validate(schema, document)
    if faults:
        noted["invalid"] = [fault.message for fault in faults]
        return {"errors": [{"path": ["query"], "message": fault.message} for fault in faults]}
    noted["cost"] = cost_of(schema, document, variables)
    result = execute(
        schema, document, _roots(state), variable_values=variables, field_resolver=_resolve, type_resolver=_type_of
    )
    assert isinstance(result, ExecutionResult)
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = [_shown(error) for error in result.errors]
        noted["errors"] = body["errors"]
    return body


def _shown(error: GraphQLError) -> dict[str, Any]:
    formatted = dict(error.formatted)
    extensions = formatted.pop("extensions", None)
    kind = extensions.get("type") if isinstance(extensions, dict) else None
    return {**({"type": kind} if kind else {}), **formatted}


def _roots(state: State) -> dict[str, Callable[[Arguments], Any]]:
    def repository(arguments: Arguments) -> dict[str, Any]:
        full = f"{arguments['owner']}/{arguments['name']}"
        found = state.repository(full)
        if found is None:
            raise GraphQLError(
                f"Could not resolve to a Repository with the name '{full}'.", extensions={"type": "NOT_FOUND"}
            )
        return _repository(found)

    def found(arguments: Arguments) -> dict[str, Any]:
        hits = search(state, arguments["query"])[:1000]
        return _connection(
            [_item(repository, thing) for repository, thing in hits],
            arguments,
            "SearchResultItemConnection",
            {"issueCount": len(hits), "repositoryCount": 0},
        )

    def nodes(arguments: Arguments) -> list[Any]:
        if len(arguments["ids"]) > _MOST:
            raise GraphQLError(
                f"You may not provide more than 100 node ids; you provided {len(arguments['ids'])}.",
                extensions={"type": "ARGUMENT_LIMIT"},
            )
        return [node(state, wanted) for wanted in arguments["ids"]]

    return {
        "viewer": lambda arguments: _user(state.viewer),
        "repository": repository,
        "search": found,
        "nodes": nodes,
        "node": lambda arguments: node(state, arguments["id"]),
    }


def node(state: State, node_id: str) -> dict[str, Any] | None:
    for repository in state.repositories.values():
        for kind in ("issues", "pulls"):
            for thing in repository.things[kind].values():
                if thing.node_id == node_id:
                    return _item(repository, thing)
    return None


def _repository(repository: Repository) -> dict[str, Any]:
    owner, _, name = repository.full.partition("/")

    def single(kinds: Sequence[ThingKind]) -> Callable[[Arguments], Any]:
        def find(arguments: Arguments) -> Any:
            for kind in kinds:
                thing = repository.things[kind].get(arguments["number"])
                if thing is not None:
                    return _item(repository, thing)
            raise GraphQLError(
                f"Could not resolve to an issue or pull request with the number of {arguments['number']}.",
                extensions={"type": "NOT_FOUND"},
            )

        return find

    return {
        "__typename": "Repository",
        "id": f"R_{repository.id}",
        "databaseId": repository.id,
        "name": name,
        "nameWithOwner": repository.full,
        "owner": _user(owner),
        "isPrivate": repository.private,
        "url": f"https://github.com/{repository.full}",
        "issues": lambda arguments: _listing(repository, "issues", arguments),
        "pullRequests": lambda arguments: _listing(repository, "pulls", arguments),
        "issue": single(("issues",)),
        "pullRequest": single(("pulls",)),
        "issueOrPullRequest": single(("issues", "pulls")),
    }


def _listing(repository: Repository, kind: ThingKind, arguments: Arguments) -> dict[str, Any]:
    things = list(repository.things[kind].values())
    if arguments.get("states"):
        things = [thing for thing in things if _state(thing) in arguments["states"]]
    order = arguments.get("orderBy") or {"field": "CREATED_AT", "direction": "ASC"}
    by = "updated" if order["field"] == "UPDATED_AT" else "created"
    things.sort(key=lambda thing: (getattr(thing, by), thing.id), reverse=order["direction"] == "DESC")
    name = "PullRequestConnection" if kind == "pulls" else "IssueConnection"
    return _connection([_item(repository, thing) for thing in things], arguments, name)


def _state(thing: Thing) -> str:
    return "MERGED" if thing.merged else thing.state.upper()


def _item(repository: Repository, thing: Thing) -> dict[str, Any]:
    pull = thing.kind == "pulls"
    labels = [{"__typename": "Label", "id": f"L_{label}", "name": label} for label in thing.labels]
    return {
        "__typename": "PullRequest" if pull else "Issue",
        "id": thing.node_id,
        "number": thing.number,
        "title": thing.title,
        "body": thing.body,
        "state": _state(thing),
        "url": f"https://github.com/{repository.full}/{'pull' if pull else 'issues'}/{thing.number}",
        "createdAt": iso(thing.created),
        "updatedAt": iso(thing.updated),
        "closed": thing.state == "closed",
        "author": _user(thing.author) if thing.author else None,
        "authorAssociation": repository.association_of(thing.author),
        "labels": lambda arguments: _connection(labels, arguments, "LabelConnection"),
        "assignees": lambda arguments: _connection(
            [_user(login) for login in thing.assignees], arguments, "UserConnection"
        ),
        "comments": lambda arguments: _connection(
            [None] * thing.comments, {"first": _MOST, **arguments}, "IssueCommentConnection"
        ),
        "repository": lambda arguments: _repository(repository),
        "isDraft": thing.draft,
        "baseRefName": thing.base,
        "headRefName": thing.branch,
        "headRefOid": thing.head,
    }


def _user(login: str) -> dict[str, Any]:
    return {"__typename": "User", "id": f"U_{login}", "login": login, "url": f"https://github.com/{login}"}


def _connection(
    items: Sequence[Any], arguments: Arguments, typename: str, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    start = int(base64.b64decode(arguments["after"]).decode().partition(":")[2]) if arguments.get("after") else 0
    size = arguments.get("first") or arguments.get("last")
    if size is None:
        raise GraphQLError(
            "You must provide a `first` or `last` value to properly paginate the connection.",
            extensions={"type": "MISSING_PAGINATION_BOUNDARIES"},
        )
    if size > _MOST:
        raise GraphQLError(
            f"Requesting {size} records on the connection exceeds the `first` limit of 100 records.",
            extensions={"type": "EXCESSIVE_PAGINATION"},
        )
    end = min(len(items), start + size)
    return {
        "__typename": typename,
        "totalCount": len(items),
        "nodes": list(items[start:end]),
        "pageInfo": {
            "hasNextPage": end < len(items),
            "hasPreviousPage": start > 0,
            "endCursor": base64.b64encode(f"cursor:{end}".encode()).decode() if end > start else None,
        },
        **(more or {}),
    }


def _resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
    value = (source or {}).get(info.field_name)
    if callable(value):
        value = value(arguments)
    return _default(info.return_type) if value is None else value


def _default(wanted: Any) -> Any:
    """Something that the schema allows, for what the stand-in does not know."""
    if not isinstance(wanted, GraphQLNonNull):
        return None
    inner = wanted.of_type
    if isinstance(inner, GraphQLList):
        return []
    if isinstance(inner, GraphQLEnumType):
        return next(iter(inner.values))
    if is_leaf_type(inner):
        return _LEAVES.get(inner.name, "")
    return {"__typename": inner.name}


def _type_of(value: Any, info: GraphQLResolveInfo[Any], abstract: Any) -> str | None:
    return value.get("__typename") if isinstance(value, dict) else None


def cost_of(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """Points, by GitHub's documented formula: one request per parent and connection, a hundredth of it, at least 1."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    requests = 0

    def walk(selection: SelectionSetNode, owner: Any, times: int) -> None:
        nonlocal requests
        for part in selection.selections:
            if isinstance(part, FragmentSpreadNode):
                fragment = fragments[part.name.value]
                walk(fragment.selection_set, schema.type_map[fragment.type_condition.name.value], times)
            elif isinstance(part, InlineFragmentNode):
                kind = schema.type_map[part.type_condition.name.value] if part.type_condition else owner
                walk(part.selection_set, kind, times)
            elif isinstance(part, FieldNode) and part.selection_set is not None:
                field = getattr(owner, "fields", {}).get(part.name.value)
                if field is None:
                    continue
                kind, inside = get_named_type(field.type), times
                if kind.name.endswith("Connection"):
                    requests += times
                    inside = times * (_size(part, variables) or 1)
                elif part.name.value == "nodes" and owner is schema.query_type:
                    inside = times * len(_argument(part, "ids", variables) or ())
                walk(part.selection_set, kind, inside)

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            walk(definition.selection_set, schema.query_type, 1)
    return max(1, round(requests / 100))


def _size(field: FieldNode, variables: Mapping[str, Any]) -> int | None:
    size = _argument(field, "first", variables) or _argument(field, "last", variables)
    return size if isinstance(size, int) else None


def _argument(field: FieldNode, name: str, variables: Mapping[str, Any]) -> Any:
    for argument in field.arguments or ():
        if argument.name.value == name:
            return value_from_ast_untyped(argument.value, dict(variables))
    return None

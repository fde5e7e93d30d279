"""What a query costs: points and nodes, by the formulas that GitHub documents.

https://docs.github.com/graphql/overview/rate-limits-and-node-limits-for-the-graphql-api
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

from relayfleet.demo.github.execute import Query

MOST_NODES = 500_000


@dataclass(frozen=True, slots=True)
class Cost:
    points: int
    nodes: int


def cost_of(schema: GraphQLSchema, query: Query, variables: Mapping[str, Any]) -> Cost:
    """One request per parent and connection, a hundredth of them in points, at least 1; all nodes that may come."""
    requests = nodes = 0
    given = dict(variables)

    def argument(part: FieldNode, *names: str) -> Any:
        for one in part.arguments or ():
            if one.name.value in names:
                return value_from_ast_untyped(one.value, given)
        return None

    def walk(selection: SelectionSetNode, owner: Any, times: int) -> None:
        nonlocal requests, nodes
        for part in selection.selections:
            if isinstance(part, FragmentSpreadNode):
                fragment = query.fragments[part.name.value]
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
                    size = argument(part, "first", "last")
                    requests += times
                    inside = times * (size if isinstance(size, int) and size > 0 else 1)
                    nodes += inside
                elif part.name.value == "nodes" and owner is schema.query_type:
                    inside = times * len(argument(part, "ids") or ())
                    nodes += inside
                walk(part.selection_set, kind, inside)

    walk(query.operation.selection_set, schema.query_type, 1)
    return Cost(points=max(1, round(requests / 100)), nodes=nodes)

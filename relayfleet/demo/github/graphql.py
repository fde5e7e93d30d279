"""The GraphQL part of the stand-in, on GitHub's schema: what it does not allow is refused as GitHub refuses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, GraphQLSchema, parse, validate

from relayfleet.demo.github.cost import MOST_NODES, Cost, cost_of
from relayfleet.demo.github.execute import Query
from relayfleet.demo.github.fields import RESOLVERS, Context

_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Refused:
    """`errors` as GitHub prints them."""

    errors: list[dict[str, Any]]

    @property
    def messages(self) -> list[str]:
        return [error["message"] for error in self.errors]


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid query with its variables, and what it costs."""

    query: Query
    variables: Mapping[str, Any]
    cost: Cost


class Endpoint:
    """Reads and answers queries; what was found valid once is not looked at again."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: dict[str, Query | Refused] = {}

    def read(self, text: str, variables: Mapping[str, Any]) -> Asked | Refused:
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            known = self._known[text] = self._parse(text)
        if isinstance(known, Refused):
            return known
        cost = cost_of(self._schema, known, variables)
        if cost.nodes > MOST_NODES:
            words = (
                f"This query requests up to {cost.nodes:,} possible nodes which exceeds the maximum limit of 500,000."
            )
            return Refused([{"type": "MAX_NODE_LIMIT_EXCEEDED", "message": words}])
        return Asked(known, variables, cost)

    def answer(self, asked: Asked, context: Context) -> dict[str, Any]:
        """The body of the answer."""
        data, errors = asked.query.run(asked.variables, context)
        body: dict[str, Any] = {"data": data}
        if errors:
            body["errors"] = [_shown(error) for error in errors]
        return body

    def _parse(self, text: str) -> Query | Refused:
        try:
            document = parse(text)
            faults = validate(self._schema, document)
            if faults:
                return Refused([{"path": ["query"], "message": fault.message} for fault in faults])
            return Query(self._schema, RESOLVERS, document)
        except (GraphQLError, ValueError) as error:
            return Refused([{"message": error.message if isinstance(error, GraphQLError) else str(error)}])


def read_body(raw: bytes) -> tuple[str, Mapping[str, Any]]:
    """Text and variables. Raises ValueError for what is no query."""
    sent = json.loads(raw)
    if not isinstance(sent, dict) or not isinstance(sent.get("query"), str):
        raise ValueError("no query")
    return sent["query"], sent.get("variables") or {}


def _shown(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    extensions = formatted.pop("extensions", None)
    kind = extensions.get("type") if isinstance(extensions, dict) else None
    return {**({"type": kind} if kind else {}), **formatted}

"""Runs a query that was found valid, as graphql-core's own `execute` does, in a fraction of its time.

A selection is made into a plan once per type, and the plans are kept with the query's text. Resolvers give what is
printed, so that a leaf is not touched again; only the names of enums are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_argument_values,
    get_directive_values,
    get_variable_values,
    is_abstract_type,
    is_leaf_type,
)

Arguments = Mapping[str, Any]
Resolver = Callable[[Any, Arguments, Any], Any]
Complete = Callable[[Any, "_Run"], Any]
_LEAVES = {"Int": 0, "Float": 0.0, "Boolean": False, "DateTime": "1970-01-01T00:00:00Z", "URI": "https://github.com/"}
_NONE: Arguments = {}


@dataclass(frozen=True, slots=True)
class Resolvers:
    """`fields` by type and name, called with (source, arguments, context); `type_of` names an object's type.

    A field that is not among them is the least that its type allows.
    """

    fields: Mapping[str, Mapping[str, Resolver]]
    type_of: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class _Blank:
    """An object of which nothing is known."""

    type_name: str


class _Absent(Exception):
    """There is nothing where the schema wants something: the nearest object around it that may be null is."""


@dataclass(slots=True)
class _Field:
    key: str
    nodes: list[FieldNode]
    resolve: Resolver
    arguments: Callable[[_Run], Arguments] | None
    least: Any
    complete: Complete | None
    needed: str | None


@dataclass(slots=True)
class _Run:
    variables: Any
    context: Any
    errors: list[GraphQLError] = field(default_factory=list)
    path: list[str | int] = field(default_factory=list)
    arguments: dict[tuple[int, str], Arguments] = field(default_factory=dict)

    def fail(self, error: GraphQLError, nodes: Sequence[FieldNode]) -> None:
        path = list(self.path)
        self.errors.append(GraphQLError(error.message, nodes=nodes, path=path, extensions=error.extensions))


class Query:
    """A parsed and valid query with one operation, and the plans of its selections."""

    def __init__(self, schema: GraphQLSchema, resolvers: Resolvers, document: DocumentNode) -> None:
        """Raises ValueError when it has several operations."""
        operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
        if len(operations) != 1:
            raise ValueError("A query must have one operation.")
        assert schema.query_type is not None
        self.operation = operations[0]
        self.fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._schema = schema
        self._resolvers = resolvers
        self._root = self._object(schema.query_type, [self.operation.selection_set])

    def run(self, variables: Mapping[str, Any], context: Any) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """Data and errors. The source of the root's fields is the context."""
        values = get_variable_values(self._schema, self.operation.variable_definitions or (), dict(variables))
        if isinstance(values, list):
            return None, values
        run = _Run(values, context)
        try:
            return self._root(context, run), run.errors
        except _Absent:
            return None, run.errors

    def _object(self, owner: GraphQLObjectType, selections: Sequence[SelectionSetNode]) -> Complete:
        kept: list[_Field] | None = None

        def complete(source: Any, run: _Run) -> dict[str, Any]:
            nonlocal kept
            plan = kept
            if plan is None:
                plan, same = self._plan(owner, selections, run)
                kept = plan if same else None
            context, path, blank, depth = run.context, run.path, type(source) is _Blank, len(run.path)
            result: dict[str, Any] = {}
            for one in plan:
                try:
                    value = (
                        one.least
                        if blank
                        else one.resolve(source, _NONE if one.arguments is None else one.arguments(run), context)
                    )
                    if value is None:
                        if one.needed is not None:
                            raise GraphQLError(f"Cannot return null for non-nullable field {one.needed}.")
                    elif one.complete is not None:
                        path.append(one.key)
                        value = one.complete(value, run)
                        path.pop()
                    result[one.key] = value
                except GraphQLError as error:
                    path[depth:] = [one.key]
                    run.fail(error, one.nodes)
                    del path[depth:]
                    if one.needed is not None:
                        raise _Absent from None
                    result[one.key] = None
                except _Absent:
                    del path[depth:]
                    if one.needed is not None:
                        raise
                    result[one.key] = None
            return result

        return complete

    def _plan(
        self, owner: GraphQLObjectType, selections: Sequence[SelectionSetNode], run: _Run
    ) -> tuple[list[_Field], bool]:
        """The fields by their keys, and whether they are the same whatever the variables."""
        collected: dict[str, list[FieldNode]] = {}
        same = True

        def collect(selection_set: SelectionSetNode) -> None:
            nonlocal same
            for part in selection_set.selections:
                if part.directives:
                    same = False
                    if not _wanted(part, run):
                        continue
                if isinstance(part, FieldNode):
                    collected.setdefault(part.alias.value if part.alias else part.name.value, []).append(part)
                    continue
                fragment = self.fragments[part.name.value] if isinstance(part, FragmentSpreadNode) else part
                assert isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode)
                condition = fragment.type_condition
                if condition is None or self._is_a(owner, condition.name.value):
                    collect(fragment.selection_set)

        for selection_set in selections:
            collect(selection_set)
        return [self._field(owner, key, nodes) for key, nodes in collected.items()], same

    def _is_a(self, owner: GraphQLObjectType, name: str) -> bool:
        wanted = self._schema.type_map[name]
        return owner is wanted or (is_abstract_type(wanted) and self._schema.is_sub_type(wanted, owner))

    def _field(self, owner: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> _Field:
        name = nodes[0].name.value
        if name == "__typename":
            return _Field(key, nodes, lambda source, arguments, context: owner.name, None, owner.name, None, None)
        definition = owner.fields[name]
        least = self._least(definition.type)
        needed = isinstance(definition.type, GraphQLNonNull)

        place = (id(nodes[0]), owner.name)

        def arguments(run: _Run) -> Arguments:
            given = run.arguments.get(place)
            if given is None:
                given = run.arguments[place] = get_argument_values(definition, nodes[0], run.variables)
            return given

        inside = [node.selection_set for node in nodes if node.selection_set is not None]
        return _Field(
            key=key,
            nodes=nodes,
            resolve=self._resolvers.fields.get(owner.name, {}).get(name, lambda source, arguments, context: least),
            arguments=arguments if definition.args else None,
            least=least,
            complete=self._completion(definition.type, inside, nodes),
            needed=f"{owner.name}.{name}" if needed else None,
        )

    def _completion(self, kind: Any, inside: Sequence[SelectionSetNode], nodes: list[FieldNode]) -> Complete | None:
        """What makes the answer out of a resolver's value; None when the value is it."""
        if isinstance(kind, GraphQLNonNull):
            return self._completion(kind.of_type, inside, nodes)
        if isinstance(kind, GraphQLList):
            return self._list(kind, inside, nodes)
        if isinstance(kind, GraphQLEnumType):
            return _enum(kind)
        if is_leaf_type(kind):
            return None
        if isinstance(kind, GraphQLObjectType):
            return self._object(kind, inside)
        known: dict[str, Complete] = {}

        def complete(value: Any, run: _Run) -> Any:
            name = value.type_name if type(value) is _Blank else self._resolvers.type_of(value)
            if name not in known:
                actual = self._schema.type_map[name]
                assert isinstance(actual, GraphQLObjectType)
                known[name] = self._object(actual, inside)
            return known[name](value, run)

        return complete

    def _list(self, kind: GraphQLList[Any], inside: Sequence[SelectionSetNode], nodes: list[FieldNode]) -> Complete:
        element = self._completion(kind.of_type, inside, nodes)
        needed = isinstance(kind.of_type, GraphQLNonNull)

        def complete(values: Sequence[Any], run: _Run) -> list[Any]:
            path, depth = run.path, len(run.path)
            result: list[Any] = []
            for index, value in enumerate(values):
                try:
                    if isinstance(value, GraphQLError):
                        raise value
                    if value is None and needed:
                        raise GraphQLError("Cannot return null for a non-nullable element.")
                    if value is not None and element is not None:
                        path.append(index)
                        value = element(value, run)  # noqa: PLW2901
                        path.pop()
                    result.append(value)
                except GraphQLError as error:
                    path[depth:] = [index]
                    run.fail(error, nodes)
                    del path[depth:]
                    if needed:
                        raise _Absent from None
                    result.append(None)
                except _Absent:
                    del path[depth:]
                    if needed:
                        raise
                    result.append(None)
            return result

        return complete

    def _least(self, kind: Any) -> Any:
        if not isinstance(kind, GraphQLNonNull):
            return None
        inner = kind.of_type
        if isinstance(inner, GraphQLList):
            return []
        if isinstance(inner, GraphQLEnumType):
            return next(iter(inner.values))
        if is_leaf_type(inner):
            return _LEAVES.get(inner.name, "")
        possible = inner if isinstance(inner, GraphQLObjectType) else self._schema.get_possible_types(inner)[0]
        return _Blank(possible.name)


def _enum(kind: GraphQLEnumType) -> Complete:
    def complete(value: Any, run: _Run) -> Any:
        if value not in kind.values:
            raise GraphQLError(f"Enum '{kind.name}' cannot represent value: {value!r}")
        return value

    return complete


def _wanted(part: SelectionNode, run: _Run) -> bool:
    skip = get_directive_values(GraphQLSkipDirective, part, run.variables)
    include = get_directive_values(GraphQLIncludeDirective, part, run.variables)
    return not (skip and skip["if"]) and not (include and not include["if"])

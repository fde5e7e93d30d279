"""JSON Schemas of a tool's arguments, from its type hints.

Supported: str, int, float, bool, list[T], dict[str, T], Literal of strings and numbers, `T | None`, and Annotated[T,
"description"]. A parameter without a default is required.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Raises TypeError, naming the parameter, for a hint that is not supported."""
    hints = typing.get_type_hints(function, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"parameter {name!r}: a tool takes named parameters only")
        if name not in hints:
            raise TypeError(f"parameter {name!r} has no type hint")
        properties[name] = _of_hint(hints[name], name)
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is not None:
            properties[name]["default"] = parameter.default
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def fault_of_arguments(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    """What is wrong with the names of `arguments`, or None."""
    unknown = set(arguments) - set(schema["properties"])
    missing = set(schema["required"]) - set(arguments)
    if unknown:
        return f"unknown argument {sorted(unknown)[0]!r}"
    return f"argument {sorted(missing)[0]!r} is missing" if missing else None


def _of_hint(hint: Any, name: str) -> dict[str, Any]:
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        described = _of_hint(args[0], name)
        text = next((a for a in args[1:] if isinstance(a, str)), None)
        return {**described, "description": text} if text else described
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        kinds = [_of_hint(a, name) for a in args if a is not types.NoneType]
        null = [{"type": "null"}] if types.NoneType in args else []
        return {"anyOf": kinds + null}
    if hint is list or origin is list:
        return {"type": "array", **({"items": _of_hint(args[0], name)} if args else {})}
    if hint is dict or (origin is dict and args[0] is str):
        return {"type": "object", **({"additionalProperties": _of_hint(args[1], name)} if args else {})}
    raise TypeError(f"parameter {name!r}: the type hint {hint!r} is not supported")

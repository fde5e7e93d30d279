"""The type hints that a plugin's tool may have, and the schema that each becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest

from relayfleet.plughost.schema import fault_of_arguments, schema_of

# What stands in a signature -> what the session is told.
HINTS: list[tuple[Any, dict[str, Any]]] = [
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (list, {"type": "array"}),
    (list[str], {"type": "array", "items": {"type": "string"}}),
    (list[list[int]], {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
    (dict, {"type": "object"}),
    (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
    (Literal["a", "b", 3], {"enum": ["a", "b", 3]}),
    (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    (
        int | list[str] | None,
        {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
    ),
    (Annotated[str, "What it is."], {"type": "string", "description": "What it is."}),
    (Annotated[Literal["x"] | None, "Which."], {"anyOf": [{"enum": ["x"]}, {"type": "null"}], "description": "Which."}),
    (Annotated[int, 7], {"type": "integer"}),
]


def taking(hint: Any) -> Callable[..., Any]:
    def tool(given: Any) -> str:
        return str(given)

    tool.__annotations__["given"] = hint
    return tool


@pytest.mark.parametrize(("hint", "schema"), HINTS, ids=[str(hint) for hint, _ in HINTS])
def test_hints_that_are_supported(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(taking(hint))["properties"]["given"] == schema


@pytest.mark.parametrize(
    "hint", [bytes, object, Any, set[str], tuple[int, int], dict[int, str], list[bytes], type(None)]
)
def test_a_hint_that_is_not_supported_is_refused_by_name(hint: Any) -> None:
    with pytest.raises(TypeError, match=r"parameter 'given'.*not supported"):
        schema_of(taking(hint))


def test_parameters_without_a_default_are_required() -> None:
    def tool(a: str, b: int = 3, c: str | None = None) -> str:
        return a

    schema = schema_of(tool)
    assert schema["required"] == ["a"]
    assert schema["properties"]["b"] == {"type": "integer", "default": 3}
    assert "default" not in schema["properties"]["c"]
    assert schema["additionalProperties"] is False


def _starred(*names: str) -> str:
    return ""


def _double_starred(**names: str) -> str:
    return ""


def _positional(name: str, /) -> str:
    return name


def _bare(name):  # type: ignore[no-untyped-def]
    return name


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_starred, "named parameters"),
        (_double_starred, "named parameters"),
        (_positional, "named"),
        (_bare, "no type hint"),
    ],
)
def test_a_signature_that_a_session_cannot_call_is_refused(function: Callable[..., Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        schema_of(function)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [({"a": 1}, None), ({}, "argument 'a' is missing"), ({"a": 1, "z": 2}, "unknown argument 'z'")],
)
def test_names_of_arguments_are_checked(arguments: dict[str, Any], fault: str | None) -> None:
    assert fault_of_arguments(schema_of(lambda_with_a), arguments) == fault


def lambda_with_a(a: int, b: int = 1) -> str:
    return str(a + b)

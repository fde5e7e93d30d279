"""Turns what the models refuse into words: `json.path: what is wrong`, with the nearest valid key or value."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from relayfleet.config.read import join
from relayfleet.config.secret import kind_of, shown

_MUST_BE = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


def words_for(error: ValidationError, model: type[BaseModel]) -> list[tuple[str, str]]:
    """Every fault as a JSON path (may be empty) and what is wrong there."""
    return [_word(dict(fault), model) for fault in error.errors(include_url=False)]


def path_of(loc: Sequence[str | int]) -> str:
    path = ""
    for part in loc:
        path = join(path, part)
    return path


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant."""
    lowered = {k.lower(): k for k in known}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`, did you mean 'x'?`, or nothing when no known word is near."""
    near = nearest(word, known)
    return f", did you mean {near!r}?" if near else ""


def _word(fault: dict[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    loc, kind, value, ctx = tuple(fault["loc"]), fault["type"], fault.get("input"), fault.get("ctx", {})
    if loc and loc[-1] == "[key]":
        loc = loc[:-2]
    if kind == "extra_forbidden":
        return path_of(loc[:-1]), f"unknown key {shown(loc[-1])}{_meant_key(str(loc[-1]), model, loc[:-1])}"
    if kind == "missing":
        return path_of(loc[:-1]), f"{str(loc[-1])!r} is missing"
    path = path_of(loc)
    if kind == "literal_error":
        allowed = [str(a) for a in _allowed(ctx)]
        listed = ", ".join(allowed)
        return path, f"{shown(value)} is not one of {listed}{did_you_mean(str(value), allowed)}"
    if kind == "value_error":
        return path, str(ctx["error"])
    if kind in _MUST_BE:
        # A number with a point is the one case in which kind and wish would read the same.
        return path, f"{_MUST_BE[kind]}, not {shown(value) if isinstance(value, float) else kind_of(value)}"
    return path, _bounds(kind, ctx) or str(fault["msg"])[:1].lower() + str(fault["msg"])[1:]


def _bounds(kind: str, ctx: dict[str, Any]) -> str:
    if kind in ("greater_than_equal", "less_than_equal"):
        side, bound = ("least", ctx["ge"]) if kind == "greater_than_equal" else ("most", ctx["le"])
        return f"must be at {side} {bound:g}"
    if kind in ("string_too_short", "too_short"):
        return "is empty"
    if kind == "string_too_long":
        return f"is longer than {ctx['max_length']} characters"
    return ""


def _allowed(ctx: dict[str, Any]) -> list[str]:
    # pydantic gives the values as prose: "'a', 'b' or 'c'".
    return [part.strip().strip("'") for part in str(ctx["expected"]).replace(" or ", ", ").split(",")]


def _meant_key(key: str, model: type[BaseModel], loc: Sequence[str | int]) -> str:
    here = _model_at(model, loc)
    if here is None:
        return ""
    near = nearest(key, _keys(here))
    if near:
        return f", did you mean {near!r}?"
    deeper = [path for path in _paths(here) if path.rsplit(".", 1)[-1] == key]
    return f", did you mean {deeper[0]!r}?" if deeper else ""


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _paths(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted paths of every key below `model`, as far as they have fixed names."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        found.append(path)
        inner = _plain(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += _paths(inner, f"{path}.")
    return found


def _model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model whose keys stand at `loc`."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {field.alias or name: field for name, field in here.model_fields.items()}
            here = _plain(fields[str(part)].annotation) if str(part) in fields else None
        elif get_origin(here) in (dict, list):
            here = _plain(get_args(here)[-1])
        else:
            return None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _plain(annotation: Any) -> Any:
    """The annotation without `Annotated[...]` and `| None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        else:
            return annotation

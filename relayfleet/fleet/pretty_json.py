"""JSON as a person would have written it: two spaces, and what is short and simple on one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_INLINE_CHARS = 100


def pretty_json(value: object) -> bytes:
    """UTF-8, newline last. The order of keys is kept."""
    return (_text(value, 0, top=True) + "\n").encode()


def _text(value: object, indent: int, *, top: bool = False, room: int = _INLINE_CHARS) -> str:
    if not isinstance(value, Mapping | list | tuple) or not value:
        return json.dumps(value, ensure_ascii=False)
    if not top and _depth(value) <= 2:
        line = _inline(value)
        if len(line) + indent <= room:
            return line
    pad = " " * (indent + 2)
    if isinstance(value, Mapping):
        items = [f"{_key(key)}: {_text(item, indent + 2, room=room)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [_text(item, indent + 2, room=room) for item in value]
        opening, closing = "[", "]"
    body = ",\n".join(pad + item for item in items)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"


def _inline(value: object) -> str:
    if isinstance(value, Mapping) and value:
        return "{ " + ", ".join(f"{_key(k)}: {_inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple) and value:
        return "[" + ", ".join(_inline(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: Any) -> str:
    return json.dumps(key, ensure_ascii=False)


def _depth(value: object) -> int:
    """How many levels of objects and lists `value` has; a bare one has none."""
    if isinstance(value, Mapping):
        return 1 + max((_depth(v) for v in value.values()), default=0)
    if isinstance(value, list | tuple):
        # A list of objects reads better with one object per line.
        deepest = max((_depth(v) + 2 * isinstance(v, Mapping) for v in value), default=0)
        return 1 + deepest
    return 0

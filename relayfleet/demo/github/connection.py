"""Pages of a connection, and the cursors between them."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

_MOST = 100
_CURSOR = "cursor:v2:"
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Page:
    """Items `start` to `end` of all. `place` is where an item stands: smaller is earlier.

    An unbounded one was asked for without a size: GitHub then tells how many there are, and no more.
    """

    items: Sequence[Any]
    start: int
    end: int
    place: Callable[[Any], Place] | None
    bounded: bool = True

    @property
    def nodes(self) -> Sequence[Any]:
        """Raises GraphQLError when it is unbounded."""
        if not self.bounded:
            raise GraphQLError(
                "You must provide a `first` or `last` value to properly paginate the connection.",
                extensions={"type": "MISSING_PAGINATION_BOUNDARIES"},
            )
        return self.items[self.start : self.end]

    def cursor(self, index: int) -> str | None:
        """None of an empty page."""
        if self.start == self.end:
            return None
        place = self.place(self.items[index]) if self.place else (index, 0)
        return base64.b64encode(f"{_CURSOR}{json.dumps(place)}".encode()).decode()


def page(items: Sequence[Any], arguments: Mapping[str, Any], *, place: Callable[[Any], Place] | None = None) -> Page:
    """The page that `first`, `last`, `after` and `before` ask for.

    With `place`, by which the items are sorted, a cursor means a place among them, else an index. Raises GraphQLError.
    """
    size = arguments.get("first")
    name = "last" if size is None else "first"
    if size is None:
        size = arguments.get("last")
    if size is None:
        return Page(items, 0, 0, place, bounded=False)
    if size > _MOST:
        raise GraphQLError(
            f"Requesting {size} records on the connection exceeds the `{name}` limit of 100 records.",
            extensions={"type": "EXCESSIVE_PAGINATION"},
        )
    start, end = 0, len(items)
    if after := arguments.get("after"):
        at = _read(after)
        start = bisect_right(items, at, key=place) if place else min(end, int(at[0]) + 1)
    if before := arguments.get("before"):
        at = _read(before)
        end = max(start, bisect_left(items, at, key=place) if place else min(end, int(at[0])))
    if name == "first":
        end = min(end, start + size)
    else:
        start = max(start, end - size)
    return Page(items, start, end, place)


def _read(cursor: str) -> Place:
    try:
        text = base64.b64decode(cursor, validate=True).decode()
        value, number = json.loads(text.removeprefix(_CURSOR))
        return float(value), float(number)
    except (binascii.Error, ValueError, TypeError):
        raise GraphQLError(
            f"`{cursor}` does not appear to be a valid cursor.", extensions={"type": "INVALID_CURSOR_ARGUMENTS"}
        ) from None

"""What was read or written last, kept in memory: so many at most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """When there are more than `most`, those that were put in first go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[K, V] = {}

    def of(self, keys: Iterable[K]) -> dict[K, V]:
        """Those that are known, by their keys."""
        known = self._known
        return {key: known[key] for key in keys if key in known}

    def update(self, values: Mapping[K, V]) -> None:
        for key, value in values.items():
            self._known.pop(key, None)
            self._known[key] = value
        for key in list(islice(self._known, max(0, len(self._known) - self._most))):
            del self._known[key]

    def drop(self, keys: Iterable[K]) -> None:
        for key in keys:
            self._known.pop(key, None)

    def clear(self) -> None:
        self._known.clear()

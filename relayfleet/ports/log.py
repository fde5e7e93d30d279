"""Structured logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Log(Protocol):
    """Structured lines: `action` is a stable name such as `router.polled`, the fields are data."""

    def debug(self, action: str, message: str = "", **fields: object) -> None: ...

    def info(self, action: str, message: str = "", **fields: object) -> None: ...

    def info_each(self, action: str, lines: Sequence[Mapping[str, object]]) -> None:
        """As `info`, a line for each of these fields, all of them written at once."""
        ...

    def warning(self, action: str, message: str = "", **fields: object) -> None: ...

    def error(
        self, action: str, message: str = "", *, trace: BaseException | None = None, **fields: object
    ) -> None: ...

"""Structured logs."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    """Structured lines: `action` is a stable name such as `router.polled`, the fields are data."""

    def debug(self, action: str, message: str = "", **fields: object) -> None: ...

    def info(self, action: str, message: str = "", **fields: object) -> None: ...

    def warning(self, action: str, message: str = "", **fields: object) -> None: ...

    def error(
        self, action: str, message: str = "", *, trace: BaseException | None = None, **fields: object
    ) -> None: ...

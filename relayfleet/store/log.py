"""Structured logs: one JSON object per line, rotated and capped.

Every line has `ts` (seconds, UTC), `level`, `action` (a stable name such as `router.polled`; programs may rely on it),
`message`, and whatever else was given. Values are data: nothing in them can forge a line.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
from pathlib import Path
from typing import Any

MAX_BYTES = 2 * 1024 * 1024
KEEP = 3


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "action": getattr(record, "action", "log"),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


class Log:
    """`log.info("router.polled", "12 items", watch="wms")`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, action: str, message: str = "", **fields: object) -> None:
        self._logger.debug(message, extra={"action": action, "fields": fields})

    def info(self, action: str, message: str = "", **fields: object) -> None:
        self._logger.info(message, extra={"action": action, "fields": fields})

    def warning(self, action: str, message: str = "", **fields: object) -> None:
        self._logger.warning(message, extra={"action": action, "fields": fields})

    def error(self, action: str, message: str = "", *, trace: BaseException | None = None, **fields: object) -> None:
        self._logger.error(message, exc_info=trace, extra={"action": action, "fields": fields})

    def close(self) -> None:
        for handler in self._logger.handlers:
            handler.close()


def open_log(path: Path) -> Log:
    """A log that writes to `path` and keeps at most KEEP older files of MAX_BYTES beside it."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEEP, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    path.chmod(0o600)
    logger = logging.Logger(f"relayfleet.{path}", logging.INFO)
    logger.addHandler(handler)
    return Log(logger)

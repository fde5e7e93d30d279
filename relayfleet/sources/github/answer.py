"""What `gh api -i` prints: the status line ends in LF, the headers in CRLF, then a blank line and the body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

_STATUS = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})")
_BLANK = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def date(self) -> float | None:
        """The server's clock when it answered, in seconds since the epoch."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None

    def number(self, name: str) -> float | None:
        """A header's number."""
        try:
            return float(self.headers[name])
        except (KeyError, ValueError):
            return None

    def json(self) -> Any:
        """Raises ValueError when the body is not JSON (cut off, or a web page)."""
        return json.loads(self.body)


def parse_answer(printed: bytes) -> Answer | None:
    """None when there is no HTTP answer in what was printed: gh did not reach the server."""
    status = _STATUS.match(printed)
    if status is None:
        return None
    blank = _BLANK.search(printed)
    head = printed[: blank.start()] if blank else printed
    headers = {}
    for line in head.splitlines()[1:]:
        name, _, value = line.decode("utf-8", "replace").partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(status=int(status[1]), headers=headers, body=printed[blank.end() :] if blank else b"")

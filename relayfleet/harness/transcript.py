"""Whether the transcript of a session holds a conversation that Claude Code can take up again.

Observed of 2.1.328: a session that is killed early in its first turn leaves a transcript with nothing but lines about
the session (`mode`, `permission-mode`, `queue-operation`, `file-history-snapshot` ...). `--resume` then finds no
conversation; it wants one message that is not a subagent's, whole and with its time. `--session-id` refuses the id as
long as a transcript of it is there, even an empty one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

_MESSAGES = frozenset({"user", "assistant", "system", "attachment"})


def holds_conversation(lines: Iterable[bytes]) -> bool:
    """`lines` are those of the transcript; none after the first message is read."""
    return any(map(_is_message, lines))


def _is_message(line: bytes) -> bool:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return False  # torn by a kill
    return (
        isinstance(record, dict)
        and record.get("type") in _MESSAGES
        and isinstance(record.get("timestamp"), str)
        and record.get("isSidechain") is not True
    )

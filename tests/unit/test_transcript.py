"""What of a transcript can be resumed; `--resume` and `--session-id` of the real `claude` answered each of these so."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from relayfleet.harness.transcript import holds_conversation

AT = "2026-03-01T08:33:29.139Z"
ABOUT_THE_SESSION = (
    {"type": "mode", "mode": "normal"},
    {"type": "permission-mode", "permissionMode": "auto"},
    {"type": "queue-operation", "operation": "enqueue", "timestamp": AT, "content": "hello"},
    {"type": "file-history-snapshot", "snapshot": {"timestamp": AT}},
    {"type": "summary", "summary": "hello", "leafUuid": "1"},
    {"type": "last-prompt", "lastPrompt": "hello", "leafUuid": "1"},
    {"type": "api-request", "timestamp": AT},
)


def lines(*records: object) -> list[bytes]:
    return [json.dumps(record).encode() + b"\n" for record in records]


def message(kind: str, **more: object) -> dict[str, object]:
    return {"type": kind, "uuid": "1", "isSidechain": False, "timestamp": AT, **more}


@pytest.mark.parametrize("kind", ["user", "assistant", "system", "attachment"])
def test_one_message_is_a_conversation(kind: str) -> None:
    assert holds_conversation(lines(*ABOUT_THE_SESSION, message(kind)))


def test_a_torn_line_hides_no_message() -> None:
    assert holds_conversation([b'{"type":"us\n', *lines(message("user"))])
    assert holds_conversation([line.rstrip() for line in lines(message("user"))])


@pytest.mark.parametrize(
    "left",
    [
        [],
        lines(*ABOUT_THE_SESSION),
        lines(message("user", isSidechain=True)),
        lines(message("user", timestamp=None)),
        [lines(message("user"))[0][:-20]],
        [b"\xff\n", b"[]\n", b"7\n", b"[" * 100_000],
    ],
    ids=["empty", "only about the session", "a subagent's", "without its time", "torn", "junk"],
)
def test_anything_else_is_not(left: list[bytes]) -> None:
    assert not holds_conversation(left)


def test_no_more_is_read_than_needed() -> None:
    def endless() -> Iterator[bytes]:
        yield from lines(message("user"))
        raise AssertionError("the rest of a long transcript was read")

    assert holds_conversation(endless())

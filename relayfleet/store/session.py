"""state/session.json: the conversation that an agent's session continues."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relayfleet.errors import StorageFailed
from relayfleet.model.conversation import Conversation, Former
from relayfleet.model.names import SessionId
from relayfleet.store.files import make_private_folder, write_atomic

VERSION = 2


class JsonSessionFile:
    """{"version": 2, "session_id": UUID, "agent": name, "created": seconds, "history": bool, "brief": {name:
    fingerprint}, "unsaid": [line], "former": [{"session_id", "until", "why"}], "fresh": request}, of which version 1
    had "session_id" and "created".

    Written and synced before the first launch.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Conversation | None:
        """Raises StorageFailed when the file is there and cannot be understood: a new id would lose the history."""
        try:
            return _decode(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageFailed(
                f"read {str(self._path)!r}",
                str(error) or type(error).__name__,
                hint="restore it, or begin a new conversation: `fleet restart --fresh`",
                fault="transcript_corrupt",
            ) from error

    def save(self, conversation: Conversation) -> None:
        make_private_folder(self._path.parent)
        write_atomic(self._path, json.dumps(_encode(conversation)).encode() + b"\n")

    def asked_anew(self) -> str:
        try:
            return _fresh(self._path).read_text().strip()
        except (OSError, ValueError):
            return ""

    def forget_asked(self) -> None:
        try:
            _fresh(self._path).unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(f"remove {str(_fresh(self._path))!r}", error.strerror or str(error)) from error

    def set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_name(self._path.name + ".aside"))
        except OSError as error:
            raise StorageFailed(f"move {str(self._path)!r} aside", error.strerror or str(error)) from error

    def others_with(self, session_id: SessionId) -> Sequence[str]:
        """agents/<name>/state/session.json is where the file lies, so the others are beside it."""
        own = self._path.parent.parent
        found = []
        for path in own.parent.glob(f"*/{self._path.parent.name}/{self._path.name}"):
            try:
                theirs = json.loads(path.read_bytes()).get("session_id")
                if theirs == session_id and not path.samefile(self._path):
                    found.append(path.parent.parent.name)
            except (OSError, ValueError, AttributeError):
                continue
        return sorted(found)


def ask_anew(session_file: Path) -> None:
    """The next runner is to begin a new conversation: it is told by a file beside session.json that it takes away when
    it has done so. Raises StorageFailed."""
    make_private_folder(session_file.parent)
    write_atomic(_fresh(session_file), os.urandom(8).hex().encode() + b"\n")


def _fresh(session_file: Path) -> Path:
    return session_file.with_suffix(".fresh")


def _decode(record: dict[str, Any]) -> Conversation:
    if record["version"] not in (1, VERSION):
        raise ValueError(f"version {record['version']!r} is not known")
    return Conversation(
        session_id=SessionId(str(record["session_id"])),
        agent=str(record.get("agent", "")),
        created=float(record.get("created", 0.0)),
        history=bool(record.get("history", False)),
        brief={str(name): str(value) for name, value in record.get("brief", {}).items()},
        unsaid=tuple(map(str, record.get("unsaid", []))),
        former=tuple(
            Former(session_id=SessionId(str(one["session_id"])), until=float(one["until"]), why=str(one["why"]))
            for one in record.get("former", [])
        ),
        fresh=str(record.get("fresh", "")),
    )


def _encode(conversation: Conversation) -> dict[str, Any]:
    return {
        "version": VERSION,
        "session_id": conversation.session_id,
        "agent": conversation.agent,
        "created": conversation.created,
        "history": conversation.history,
        "brief": dict(conversation.brief),
        "unsaid": list(conversation.unsaid),
        "former": [{"session_id": one.session_id, "until": one.until, "why": one.why} for one in conversation.former],
        "fresh": conversation.fresh,
    }

"""state/session.json: the id of the conversation that an agent's session continues."""

from __future__ import annotations

import json
import time
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.model.names import SessionId
from relayfleet.store.files import write_atomic

VERSION = 1


class JsonSessionFile:
    """{"version": 1, "session_id": UUID, "created": seconds}. Written and synced before the first launch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> SessionId | None:
        """Raises StorageFailed when the file is there and cannot be understood: a new id would lose the history."""
        try:
            record = json.loads(self._path.read_bytes())
            if record["version"] != VERSION:
                raise ValueError(f"version {record['version']!r} is not known")
            return SessionId(str(record["session_id"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageFailed(
                f"read {str(self._path)!r}",
                str(error) or type(error).__name__,
                hint="restore it, or remove it to begin a new conversation",
            ) from error

    def save(self, session_id: SessionId) -> None:
        record = {"version": VERSION, "session_id": session_id, "created": time.time()}
        write_atomic(self._path, json.dumps(record).encode() + b"\n")

"""What a session said at the end of each entry's turn: agents/<name>/state/words.jsonl, capped as replies are."""

from __future__ import annotations

from pathlib import Path

from relayfleet.model.names import EntryId
from relayfleet.store.replies import add_reply, read_replies


class FileLastWords:
    """Only the runner of the agent writes here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, entry_id: EntryId, text: str, *, now: float) -> None:
        """Durable when it returns. Raises StorageFailed."""
        add_reply(self._path, entry_id, text, now=now)


def last_words_of(path: Path, entry_id: EntryId) -> str:
    """What was said last at the end of its turn, "" when that is not known. Raises StorageFailed."""
    said = [str(word["text"]) for word in read_replies(path) if word["entry"] == entry_id]
    return said[-1] if said else ""

"""Full texts of entries that are too long for a turn: agents/<name>/state/bodies/<entry id>.txt."""

from __future__ import annotations

from pathlib import Path

from relayfleet.model.names import EntryId
from relayfleet.model.turn import clean
from relayfleet.store.files import make_private_folder, write_atomic

KEEP = 200


class FileBodies:
    """Keeps the newest KEEP texts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, entry_id: EntryId, text: str) -> str:
        """Raises StorageFailed."""
        make_private_folder(self._folder)
        path = self._folder / f"{entry_id}.txt"
        write_atomic(path, clean(text).encode("utf-8", "replace"))
        old = sorted(self._folder.glob("*.txt"), key=lambda p: p.stat().st_mtime)[:-KEEP]
        for stale in old:
            stale.unlink(missing_ok=True)
        return str(path)

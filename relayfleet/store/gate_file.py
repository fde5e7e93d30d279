"""routes.json, and whether somebody edited it."""

from __future__ import annotations

from relayfleet.config.load import load_gate
from relayfleet.model.layout import FleetLayout
from relayfleet.model.route import Gate

# Time of change (ns), size, inode; None when there is no file.
_Stamp = tuple[int, int, int] | None


class RoutesJson:
    """Implements ports.GateFile. An edit counts once two looks in a row see the same: editors write in several steps,
    some by way of another file."""

    def __init__(self, layout: FleetLayout) -> None:
        self._layout = layout
        self._read = self._seen = self._stamp()

    def has_changed(self) -> bool:
        stamp = self._stamp()
        still, self._seen = stamp == self._seen, stamp
        return still and stamp != self._read

    def read(self) -> Gate:
        """Raises ConfigError."""
        # Before the file is read: what is written meanwhile is another change.
        self._read = self._stamp()
        return load_gate(self._layout)

    def _stamp(self) -> _Stamp:
        try:
            status = self._layout.routes_json.stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino)

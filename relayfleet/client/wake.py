"""Tells a daemon that there is something new on disk. Losing it is harmless: daemons look by themselves, too."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path


def wake(path: Path) -> None:
    """Sends an empty datagram to `path`; nobody there, or a full queue, is no error."""
    if sys.platform == "win32":
        from relayfleet.client.pipes import wake_pipe

        wake_pipe(path)
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.setblocking(False)
        sender.sendto(b"", str(path))

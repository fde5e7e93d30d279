"""Where the sockets of a fleet lie: a short folder per user, because a unix socket's path has at most 107 bytes.

It is the same for every process of the user, whatever its environment, so it does not follow XDG_RUNTIME_DIR, which a
cron job or a service may not have.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from relayfleet.errors import FleetError


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets of one fleet, keyed by its id."""

    folder: Path

    def control(self, daemon: str) -> Path:
        """Where a daemon (an agent's name, or `router`) answers requests."""
        return self.folder / f"{daemon}.sock"

    def wake(self, daemon: str) -> Path:
        """Where a daemon is woken by an empty datagram."""
        return self.folder / f"{daemon}.wake"


def _user() -> int:
    if sys.platform == "win32":
        return 0
    else:
        return os.geteuid()


def sockets_of(fleet_id: str) -> Sockets:
    """Pure: creates nothing."""
    return Sockets(Path("/tmp") / f"relayfleet-{_user()}" / fleet_id)  # noqa: S108 - made private and checked below


def make_sockets(fleet_id: str) -> Sockets:
    """Creates the folders, 0700. Raises FleetError when somebody else's folder stands in the way."""
    sockets = sockets_of(fleet_id)
    if sys.platform == "win32":
        return sockets  # the paths are names of pipes there
    for folder in (sockets.folder.parent, sockets.folder):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise FleetError(f"create {str(folder)!r}", error.strerror or str(error)) from error
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user() or found.st_mode & 0o077:
            raise FleetError(
                f"use {str(folder)!r} for sockets",
                "it is not a folder of this user alone",
                hint=f"look at who made it, then remove it: {folder}",
            )
    return sockets

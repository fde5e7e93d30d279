"""Which loopback port a new agent gets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection

from relayfleet.errors import FleetError

LAST_PORT = 65_535


def choose_port(first: int, claimed: Collection[int], is_free: Callable[[int], bool]) -> int:
    """The first port from `first` on that no agent has and nothing listens on. Raises FleetError when there is none."""
    for port in range(first, LAST_PORT + 1):
        if port not in claimed and is_free(port):
            return port
    raise FleetError("find a free port", f"none is left from {first} on", hint="set a lower ports.first in fleet.json")


def is_port_free(port: int) -> bool:
    """Whether nothing listens on the port of 127.0.0.1 at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform == "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Connections that are just closing do not keep a listener out, so they must not keep us out either.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

"""Tells an agent's runner that the operator decided something of its entries; what was decided is on disk."""

from __future__ import annotations

import time
from typing import Literal

from relayfleet.client.control import ask
from relayfleet.errors import FleetError, Unreachable
from relayfleet.model.layout import FleetLayout
from relayfleet.store.lock import holder_of
from relayfleet.store.sockets import sockets_of

_HEEDED_WITHIN_S = 5.0
_AGAIN_AFTER_S = 0.05

Heeded = Literal["told", "stopped", "unresponsive"]


def have_heeded(layout: FleetLayout, fleet_id: str, agent: str) -> Heeded:
    """Whether it knows now. A runner that is just starting has read the receipts before, or does not answer yet: it is
    asked again."""
    deadline = time.monotonic() + _HEEDED_WITHIN_S
    control = sockets_of(fleet_id).control(agent)
    while holder_of(layout.agent(agent).runner_lock) is not None:
        try:
            ask(control, {"op": "heed"}, timeout_s=max(0.1, deadline - time.monotonic()))
        except Unreachable:
            if time.monotonic() > deadline:
                return "unresponsive"
            time.sleep(_AGAIN_AFTER_S)
        except FleetError:
            return "unresponsive"  # its disk is, or it is of an older version
        else:
            return "told"
    return "stopped"

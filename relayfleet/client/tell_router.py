"""Tells a running router that something in router.db was changed for it."""

from __future__ import annotations

from typing import Literal

from relayfleet.client.control import ask_all
from relayfleet.model.layout import FleetLayout
from relayfleet.store.lock import holder_of
from relayfleet.store.sockets import sockets_of

ANSWER_WITHIN_S = 2.0
Heard = Literal["told", "stopped", "unresponsive"]


def tell_router(layout: FleetLayout, fleet_id: str | None, op: Literal["deliver", "forget_breakers"]) -> Heard:
    """Whether a router runs, and whether it took it in."""
    if fleet_id is None or holder_of(layout.router_lock) is None:
        return "stopped"
    path = sockets_of(fleet_id).control("router")
    answer = ask_all({"router": path}, {"op": op}, timeout_s=ANSWER_WITHIN_S)["router"]
    return "told" if answer is not None and answer.get("ok") else "unresponsive"

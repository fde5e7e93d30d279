"""What the supervisor's control socket is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from relayfleet.supervisor.daemon import Supervisor
from relayfleet.wire.control import refusal


async def answer(supervisor: Supervisor, stop: asyncio.Event, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the supervisor says to a request on its control socket."""
    if stop.is_set():
        return refusal("the supervisor is stopping")
    match request.get("op"):
        case "status":
            return {"ok": True, **supervisor.status()}
        case "stop":
            stop.set()
        case "look":
            await supervisor.look()
        case other:
            return refusal(f"cannot do {other!r}: the supervisor knows status, stop, look")
    return {"ok": True}

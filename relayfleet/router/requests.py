"""What the router's control socket is asked."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

from relayfleet.errors import FleetError
from relayfleet.router.daemon import Router
from relayfleet.wire.control import refusal


async def answer(router: Router, stop: asyncio.Event, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the router says to a request on its control socket."""
    if stop.is_set():
        return refusal("the router is stopping")
    try:
        match request.get("op"):
            case "status":
                status = dataclasses.asdict(router.status())
                # `state` is what is observed of the process; this is what the process says of its looking.
                return {"ok": True, "polling": status.pop("state"), **status}
            case "stop":
                stop.set()
            case "reload":
                await router.reload()
            case "deliver":
                router.wake_deliveries()
            case "forget_breakers":
                router.forget_breakers()
            case other:
                return refusal(f"cannot do {other!r}: the router knows status, stop, reload, deliver, forget_breakers")
    except FleetError as error:
        return refusal(str(error), error.hint)
    return {"ok": True}

"""Observes the router: its lock, what it answers, and the age of its cursor."""

from __future__ import annotations

import time
from typing import Any

from relayfleet.client.control import ask_all
from relayfleet.model.layout import FleetLayout
from relayfleet.store.failure import read_failure
from relayfleet.store.intent import down_since, read_wish, rests
from relayfleet.store.lock import holder_of
from relayfleet.store.sockets import sockets_of

ANSWER_WITHIN_S = 2.0


def observe_router(layout: FleetLayout, fleet_id: str | None) -> dict[str, Any]:
    """{"state", "pid", "cursor_age_s", ...}: what the router answers, or `stopped`, `failed` (wanted but dead), or
    `unresponsive`. `cursor_age_s` is the age of the last commit to router.db in seconds, None when there was none."""
    holder = holder_of(layout.router_lock)
    age = _cursor_age_s(layout)
    if holder is None:
        wish = read_wish(layout.router_intent)
        if not wish.wanted or rests(wish, down_since(layout.supervisor_intent)):
            return {"state": "stopped", "pid": None, "cursor_age_s": age}
        failure = read_failure(layout.router_failure)
        return {
            "state": "failed",
            "pid": None,
            "cursor_age_s": age,
            "error": str(failure.get("error", "the router is gone")),
            "hint": str(failure.get("hint") or "see `fleet logs router`"),
        }
    answer = None
    if fleet_id is not None:
        path = sockets_of(fleet_id).control("router")
        answer = ask_all({"router": path}, {"op": "status"}, timeout_s=ANSWER_WITHIN_S)["router"]
    if answer is None:
        return {"state": "unresponsive", "pid": holder.pid, "cursor_age_s": age}
    said = {key: value for key, value in answer.items() if key != "ok"}
    return {"state": "running", "pid": holder.pid, "cursor_age_s": age} | said


def _cursor_age_s(layout: FleetLayout) -> float | None:
    ages = []
    for path in (layout.router_db, layout.router_db.with_name(layout.router_db.name + "-wal")):
        try:
            ages.append(time.time() - path.stat().st_mtime)
        except OSError:
            continue
    return round(max(0.0, min(ages)), 3) if ages else None

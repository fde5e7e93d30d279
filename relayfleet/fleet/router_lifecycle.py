"""Starts and stops the router, as `lifecycle.py` does the agents."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from relayfleet.fleet.lifecycle import Outcome
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.daemon import Backend, Handle

_READY_WITHIN_S = 20.0
_STOP_WITHIN_S = 10.0
_LOOK_S = 0.03


class RouterLifecycle:
    """`observe` gives what `client/router.py` describes."""

    def __init__(
        self,
        layout: FleetLayout,
        *,
        backend: Backend,
        observe: Callable[[], Mapping[str, Any]],
        ask_to_stop: Callable[[], None],
        want: Callable[[Literal["running", "stopped"]], None],
        argv: Sequence[str],
    ) -> None:
        self._layout = layout
        self._backend = backend
        self._observe = observe
        self._ask_to_stop = ask_to_stop
        self._want = want
        self._argv = argv

    def start(self, *, wait: bool) -> Outcome:
        """Returns when the router answers, or has given up."""
        before = self._observe()
        if before["pid"] is not None:
            return Outcome(name="router", changed=False, state=before["state"])
        self._layout.router_failure.unlink(missing_ok=True)
        self._want("running")
        errors = self._layout.state / "router.err"
        handle = self._backend.launch(self._argv, folder=self._layout.root, errors=errors)
        deadline = time.monotonic() + _READY_WITHIN_S
        while wait and time.monotonic() < deadline:
            seen = self._observe()
            if seen["state"] == "running":
                return Outcome(name="router", changed=True, state="running")
            if seen["pid"] is None and not self._backend.is_alive(handle):
                error, hint = str(seen.get("error", "it is gone")), str(seen.get("hint", ""))
                return Outcome(name="router", changed=True, state="failed", error=error, hint=hint)
            time.sleep(_LOOK_S)
        if wait:
            error = f"it does not answer after {_READY_WITHIN_S:g} s"
            return Outcome(name="router", changed=True, state="starting", error=error, hint="see `fleet logs router`")
        return Outcome(name="router", changed=True, state="starting")

    def stop(self) -> Outcome:
        """Returns when the router is gone."""
        self._want("stopped")
        before = self._observe()
        if before["pid"] is None:
            return Outcome(name="router", changed=False, state="stopped")
        self._ask_to_stop()
        handle = Handle(backend="local", pid=before["pid"], start_time=time.time())
        deadline = time.monotonic() + _STOP_WITHIN_S
        while self._observe()["pid"] is not None or self._backend.is_alive(handle):
            if time.monotonic() > deadline:
                self._backend.kill(handle)
            time.sleep(_LOOK_S)
        return Outcome(name="router", changed=True, state="stopped")

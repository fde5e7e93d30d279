"""Starts and stops a daemon of which a fleet has one: the router, the supervisor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from relayfleet.fleet.lifecycle import Outcome, no_supervisor
from relayfleet.ports.daemon import Backend, Handle

_READY_WITHIN_S = 20.0
_STOP_WITHIN_S = 10.0
_LOOK_S = 0.03


class DaemonLifecycle:
    """`observe` gives {"state", "pid", "error", "hint"}; `want` records what is wanted; `launch` launches it; `failure`
    holds why it gave up. `call` has a supervisor look, and says whether there is one that
    answers: then that launches the daemon."""

    def __init__(
        self,
        name: str,
        *,
        backend: Backend,
        observe: Callable[[], Mapping[str, Any]],
        ask_to_stop: Callable[[], None],
        want: Callable[[Literal["running", "stopped"]], None],
        launch: Callable[[], Handle],
        failure: Path,
        call: Callable[[], bool] = no_supervisor,
    ) -> None:
        self._name = name
        self._backend = backend
        self._observe = observe
        self._ask_to_stop = ask_to_stop
        self._want = want
        self._launch = launch
        self._failure = failure
        self._call = call

    def start(self, *, wait: bool) -> Outcome:
        """Returns when it answers, or has given up."""
        before = self._observe()
        if before["pid"] is not None:
            return self._outcome(changed=False, state=before["state"])
        supervised = self._call()
        self._failure.unlink(missing_ok=True)
        self._want("running")
        handle = None if supervised and self._call() else self._launch()
        deadline = time.monotonic() + _READY_WITHIN_S
        while wait and time.monotonic() < deadline:
            seen = self._observe()
            if seen["state"] == "running":
                return self._outcome(changed=True, state="running")
            is_gone = self._failure.exists() if handle is None else not self._backend.is_alive(handle)
            # Looked at once more: another may have been quicker to take the lock, and this one gave way to it.
            if is_gone and (seen := self._observe())["pid"] is None:
                error, hint = str(seen.get("error", "it is gone")), str(seen.get("hint", ""))
                return self._outcome(changed=True, state="failed", error=error, hint=hint)
            time.sleep(_LOOK_S)
        if wait:
            error, hint = f"it does not answer after {_READY_WITHIN_S:g} s", f"see `fleet logs {self._name}`"
            return self._outcome(changed=True, state="starting", error=error, hint=hint)
        return self._outcome(changed=True, state="starting")

    def stop(self) -> Outcome:
        """Returns when it is gone. It stays stopped."""
        self._want("stopped")
        outcome = self.rest()
        self._call()
        return outcome

    def rest(self) -> Outcome:
        """As `stop`, and what is wanted of it stays as it is."""
        before = self._observe()
        if before["pid"] is None:
            return self._outcome(changed=False, state="stopped")
        self._ask_to_stop()
        handle = Handle(backend="local", pid=before["pid"], start_time=time.time())
        deadline = time.monotonic() + _STOP_WITHIN_S
        while self._observe()["pid"] == handle.pid or self._backend.is_alive(handle):
            if time.monotonic() > deadline:
                self._backend.kill(handle)
            time.sleep(_LOOK_S)
        return self._outcome(changed=True, state="stopped")

    def _outcome(self, *, changed: bool, state: str, error: str = "", hint: str = "") -> Outcome:
        return Outcome(name=self._name, changed=changed, state=state, error=error, hint=hint)

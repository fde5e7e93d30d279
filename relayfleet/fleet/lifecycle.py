"""Starts and stops agents: records what is wanted, acts, waits for what is then observed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relayfleet.fleet.plan import fault_of_spec, plan_start, plan_stop
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import FleetLayout
from relayfleet.model.status import UP, AgentStatus
from relayfleet.ports.daemon import AgentFiles, Backend, Handle, Observer

# Sessions that come up at once: each is a busy process for a moment, more of them only wait for one another.
_AT_ONCE = 6
_READY_WITHIN_S = 75.0
_STOP_WITHIN_S = 15.0
_LOOK_S = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one agent. `error` is empty when it is as wanted; `changed` is False when it was so already."""

    name: str
    changed: bool
    state: str
    error: str = ""
    hint: str = ""


Report = Callable[[int, int], None]


class Lifecycle:
    """`argv_of` gives the command line of an agent's runner."""

    def __init__(
        self,
        layout: FleetLayout,
        *,
        observer: Observer,
        backend: Backend,
        files: AgentFiles,
        argv_of: Callable[[str], Sequence[str]],
    ) -> None:
        self._layout = layout
        self._observer = observer
        self._backend = backend
        self._files = files
        self._argv_of = argv_of

    def start(self, specs: Sequence[AgentSpec], *, wait: bool, report: Report | None = None) -> list[Outcome]:
        """Returns when every session is ready or has failed; with `wait` False when the runners are launched."""
        outcomes: dict[str, Outcome] = {}
        able: dict[str, AgentSpec] = {}
        for spec in specs:
            fault = fault_of_spec(spec)
            if fault:
                outcomes[spec.name] = Outcome(
                    name=spec.name, changed=False, state="stopped", error=fault[0], hint=fault[1]
                )
            else:
                able[spec.name] = spec
        steps = plan_start(self._observer.observe(list(able)))
        self._end([step.name for step in steps if step.act == "stop_then_launch"])
        waiting = [step.name for step in steps if step.act != "keep"]
        coming = {step.name for step in steps if step.act == "keep"}
        launched: dict[str, Handle] = {}
        since = dict.fromkeys(coming, time.monotonic())
        while waiting or coming:
            while waiting and len(coming) < _AT_ONCE:
                name = waiting.pop(0)
                launched[name] = self._launch(able[name])
                since[name] = time.monotonic()
                coming.add(name)
            seen = self._observer.observe(sorted(coming))
            for status in seen:
                handle = launched.get(status.name)
                if status.pid is None and handle is not None and self._backend.is_alive(handle):
                    continue  # it has not taken its lock yet
                late = time.monotonic() - since[status.name] > _READY_WITHIN_S
                outcome = _of_start(status, changed=handle is not None, wait=wait, late=late)
                if outcome is not None:
                    outcomes[status.name] = outcome
                    coming.discard(status.name)
                    if report:
                        report(len(outcomes), len(specs))
            if coming:
                time.sleep(_LOOK_S)
        return [outcomes[spec.name] for spec in specs]

    def stop(self, names: Sequence[str], *, report: Report | None = None) -> list[Outcome]:
        """Returns when the runners, and everything below them, are gone."""
        observed = self._observer.observe(list(names))
        for name in names:
            self._files.want(name, "stopped")
        steps = {step.name: step for step in plan_stop(observed)}
        for status in observed:
            if status.state == "failed" and status.pid is None and status.session_id:
                # Its runner was killed and could end nothing itself.
                self._backend.end_strays(status.session_id)
        self._end([step.name for step in steps.values() if step.act == "stop"], report=report)
        return [Outcome(name=name, changed=steps[name].act == "stop", state="stopped") for name in names]

    def _launch(self, spec: AgentSpec) -> Handle:
        layout = self._layout.agent(spec.name)
        self._files.write_launch(spec)
        self._files.want(spec.name, "running")
        errors = layout.state / "runner.err"
        return self._backend.launch(self._argv_of(spec.name), folder=layout.dir, errors=errors)

    def _end(self, names: Sequence[str], *, report: Report | None = None) -> None:
        handles = {name: self._observer.holder(name) for name in names}
        self._observer.ask_to_stop(names)
        left = list(names)
        deadline = time.monotonic() + _STOP_WITHIN_S
        while left:
            for name in list(left):
                # The lock is the proof of life; a runner lets go of it a moment before its process is gone.
                held, handle = self._observer.holder(name), handles[name]
                alive = held is not None or (handle is not None and self._backend.is_alive(handle))
                if handle is not None and alive and time.monotonic() > deadline:
                    self._backend.kill(handle)
                    alive = False
                if not alive:
                    left.remove(name)
                    if report:
                        report(len(names) - len(left), len(names))
            if left:
                time.sleep(_LOOK_S)


def _of_start(status: AgentStatus, *, changed: bool, wait: bool, late: bool) -> Outcome | None:
    """What to say of an agent that is coming up, None while there is nothing to say yet."""
    if status.state in UP or (not wait and status.pid is not None):
        return Outcome(name=status.name, changed=changed, state=status.state)
    if status.state == "failed":
        return Outcome(name=status.name, changed=changed, state="failed", error=status.detail, hint=status.hint)
    if late:
        hint = status.hint or f"see `fleet logs {status.name}` and `fleet logs {status.name} --runner`"
        error = f"not ready after {_READY_WITHIN_S:g} s {status.detail}".rstrip()
        return Outcome(name=status.name, changed=changed, state=status.state, error=error, hint=hint)
    return None

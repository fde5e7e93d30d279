"""Starts and stops agents: records what is wanted, acts, waits for what is then observed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from relayfleet.fleet.plan import fault_of_spec, plan_start, plan_stop
from relayfleet.model.agent import AgentSpec
from relayfleet.model.fleet import Limits
from relayfleet.model.room import AT_ONCE, Room, queued_behind
from relayfleet.model.status import UP, AgentStatus
from relayfleet.ports.daemon import AgentFiles, Backend, Handle, Observer

_READY_WITHIN_S = 75.0
_STOP_WITHIN_S = 15.0
_LOOK_S = 0.03
_LOOK_QUEUED_S = 0.5
_UNLIMITED = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one agent. `error` is empty when it is as wanted; `changed` is False when it was so already.
    `detail` says what a `queued` one waits behind."""

    name: str
    changed: bool
    state: str
    error: str = ""
    hint: str = ""
    detail: str = ""


Report = Callable[[int, int], None]


def no_supervisor() -> bool:
    """The `call` of a fleet that nobody looks after."""
    return False


class Lifecycle:
    """`launch` launches the runner of an agent. `call` has the supervisor look at what is wanted, and says
    whether there is one that answers: then that launches what is to be started, so that one alone keeps the limits.
    `free_mb` is the memory of the machine that is available."""

    def __init__(
        self,
        *,
        observer: Observer,
        backend: Backend,
        files: AgentFiles,
        launch: Callable[[str], Handle],
        limits: Limits = _UNLIMITED,
        free_mb: Callable[[], int] | None = None,
        call: Callable[[], bool] = no_supervisor,
    ) -> None:
        self._observer = observer
        self._backend = backend
        self._files = files
        self._launch = launch
        self._limits = limits
        self._free_mb = free_mb
        self._call = call

    def start(
        self,
        specs: Sequence[AgentSpec],
        *,
        wait: bool,
        report: Report | None = None,
        on_queue: Callable[[Sequence[AgentStatus]], None] | None = None,
    ) -> list[Outcome]:
        """Returns when every session is ready or has failed; with `wait` False when the runners are launched.

        What finds no room is `queued` when no supervisor runs. One that does is waited for, unless `wait` is False;
        `on_queue` is told once of what waits.
        """
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
        waiting = [step.name for step in steps if step.act != "keep"]
        coming = {step.name for step in steps if step.act == "keep"}
        supervised = bool(waiting) and self._call()
        for step in steps if supervised else ():
            if step.act != "keep":
                self._files.want(step.name, "running")
        self._end([step.name for step in steps if step.act == "stop_then_launch"])

        def done(outcome: Outcome) -> None:
            outcomes[outcome.name] = outcome
            if report:
                report(len(outcomes), len(specs))

        if supervised and self._call():
            changed = frozenset(waiting)
            self._await([*coming, *waiting], changed=changed, wait=wait, done=done, on_queue=on_queue)
        else:
            self._bring_up(able, waiting, coming, wait=wait, done=done)
        return [outcomes[spec.name] for spec in specs]

    def _bring_up(
        self,
        able: Mapping[str, AgentSpec],
        waiting: list[str],
        coming: set[str],
        *,
        wait: bool,
        done: Callable[[Outcome], None],
    ) -> None:
        """Launches what waits, as many at once as there is room for, and looks until each is up or has failed."""
        launched: dict[str, Handle] = {}
        since = dict.fromkeys(coming, time.monotonic())
        while waiting or coming:
            while waiting and len(coming) < AT_ONCE:
                lack = self._lack(launched.keys() & coming)
                if lack and coming:
                    break  # what is coming may fail, or take less than was reckoned
                if lack:
                    for place, name in enumerate(waiting):
                        detail = queued_behind(place) + lack
                        self._files.want(name, "running", queued=detail)
                        done(Outcome(name=name, changed=True, state="queued", detail=detail))
                    waiting.clear()
                    break
                name = waiting.pop(0)
                launched[name] = self._begin(able[name])
                since[name] = time.monotonic()
                coming.add(name)
            for status in self._observer.observe(sorted(coming)):
                handle = launched.get(status.name)
                if status.pid is None and handle is not None and self._backend.is_alive(handle):
                    continue  # it has not taken its lock yet
                late = time.monotonic() - since[status.name] > _READY_WITHIN_S
                outcome = _of_start(status, changed=handle is not None, wait=wait, late=late)
                if outcome is not None:
                    coming.discard(status.name)
                    done(outcome)
            if coming:
                time.sleep(_pause_s(len(coming)))

    def _lack(self, coming: Set[str]) -> str:
        """Why one more agent would be one too many; those that are `coming` may not hold their locks yet."""
        if self._limits == _UNLIMITED:
            return ""
        running = self._observer.alive() + sum(self._observer.holder(name) is None for name in coming)
        free_mb = self._free_mb() if self._free_mb is not None and self._limits.min_free_mb else None
        return Room(limits=self._limits, running=running, coming=len(coming), free_mb=free_mb).lack()

    def _await(
        self,
        names: Sequence[str],
        *,
        changed: Set[str],
        wait: bool,
        done: Callable[[Outcome], None],
        on_queue: Callable[[Sequence[AgentStatus]], None] | None,
    ) -> None:
        """Looks until the supervisor has brought up what it was told of."""
        left = list(names)
        progress = time.monotonic()
        while left:
            seen = self._observer.observe(left)
            queued = [status for status in seen if status.state == "queued"]
            for status in seen:
                outcome: Outcome | None
                if not wait and status.state in ("queued", "starting"):
                    outcome = Outcome(name=status.name, changed=True, state=status.state, detail=status.detail)
                elif status.state == "queued":
                    outcome = None
                else:
                    late = time.monotonic() - progress > _READY_WITHIN_S
                    outcome = _of_start(status, changed=status.name in changed, wait=wait, late=late)
                if outcome is not None:
                    left.remove(status.name)
                    progress = time.monotonic()
                    done(outcome)
            if queued and on_queue is not None and len(queued) == len(left):
                on_queue(queued)
                on_queue = None
            if queued:
                progress = time.monotonic()
            if left:
                time.sleep(_LOOK_QUEUED_S if len(queued) == len(left) else _pause_s(len(left)))

    def stop(self, names: Sequence[str], *, report: Report | None = None) -> list[Outcome]:
        """Returns when the runners, and everything below them, are gone. They stay stopped."""
        killed = self.killed(names)
        for name in names:
            self._files.want(name, "stopped")
        outcomes = self.rest(names, killed=killed, report=report)
        self._call()  # there may be room now for one that waits
        return outcomes

    def killed(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Those whose runner was killed and could end nothing itself, with the ids of their sessions."""
        observed = self._observer.observe(list(names))
        return [
            (status.name, status.session_id)
            for status in observed
            if status.state == "failed" and status.pid is None and status.session_id
        ]

    def rest(
        self, names: Sequence[str], *, killed: Sequence[tuple[str, str]], report: Report | None = None
    ) -> list[Outcome]:
        """As `stop`, and what is wanted of them stays as it is; `killed` was looked up before anything was recorded."""
        # Looked at after the wish is on disk: a runner that takes its lock later reads that it is not to run.
        steps = {step.name: step for step in plan_stop(self._observer.observe(list(names)))}
        for name, session_id in killed:
            self._backend.end_strays(name, session_id)
        self._end([step.name for step in steps.values() if step.act == "stop"], report=report)
        return [Outcome(name=name, changed=steps[name].act == "stop", state="stopped") for name in names]

    def _begin(self, spec: AgentSpec) -> Handle:
        self._files.write_launch(spec)
        self._files.want(spec.name, "running")
        return self._launch(spec.name)

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


def _pause_s(coming: int) -> float:
    """Between two looks: to look is work, for those that come up as well, and takes from what they need themselves."""
    return max(_LOOK_S, 0.015 * coming if coming <= AT_ONCE else 0.09 + 0.005 * (coming - AT_ONCE))


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

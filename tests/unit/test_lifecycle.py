"""Starting and stopping, with agents made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relayfleet.fleet import lifecycle as lifecycle_module
from relayfleet.fleet.lifecycle import Lifecycle
from relayfleet.fleet.plan import fault_of_spec, plan_start, plan_stop
from relayfleet.model.agent import AgentSpec, Claude, Endpoint, Runtime
from relayfleet.model.fleet import Limits
from relayfleet.model.names import AgentName
from relayfleet.model.receipt import ENTRY_STATES
from relayfleet.model.status import AgentState, AgentStatus
from relayfleet.ports.daemon import Handle
from relayfleet.testing import MemoryAgentFiles, MemoryBackend, MemoryObserver


def status(name: str, state: AgentState, *, pid: int | None = None, detail: str = "") -> AgentStatus:
    return AgentStatus(
        name=AgentName(name),
        role="base",
        backend="local",
        state=state,
        pid=pid,
        session_id=None,
        inbox=dict.fromkeys(ENTRY_STATES, 0),
        observed_age_s=None,
        detail=detail,
    )


def spec(name: str, **given: Any) -> AgentSpec:
    return AgentSpec(name=AgentName(name), role="base", fleet="f", fleet_id="0" * 12, port=1, **given)


class World(MemoryBackend):
    """Runners that are ready (or have failed) as soon as they are launched, and how many came up at once."""

    def __init__(self, observer: MemoryObserver, *, becomes: AgentState = "idle", **given: Any) -> None:
        super().__init__(**given)
        self.observer = observer
        self.becomes = becomes

    def launch(self, argv: Sequence[str], *, folder: Path, errors: Path) -> Handle:
        handle = super().launch(argv, folder=folder, errors=errors)
        name = argv[-1]
        if self.becomes == "failed":
            self.die(handle)
            self.observer.statuses[name] = status(name, "failed", detail="no claude")
        else:
            self.observer.statuses[name] = status(name, self.becomes, pid=handle.pid)
        return handle


def lifecycle(observer: MemoryObserver, backend: MemoryBackend, files: MemoryAgentFiles, **given: Any) -> Lifecycle:
    return Lifecycle(
        observer=observer,
        backend=backend,
        files=files,
        launch=lambda name: backend.launch(["run", "agent", name], folder=Path(), errors=Path()),
        **given,
    )


def test_what_is_stopped_is_launched_and_what_runs_is_kept() -> None:
    observer, files = MemoryObserver(status("one", "stopped"), status("two", "busy", pid=7)), MemoryAgentFiles()
    world = World(observer)
    outcomes = lifecycle(observer, world, files).start([spec("one"), spec("two")], wait=True)
    assert [(o.name, o.changed, o.state, o.error) for o in outcomes] == [
        ("one", True, "idle", ""),
        ("two", False, "busy", ""),
    ]
    assert list(world.launched.values()) == [("run", "agent", "one")]
    assert files.wanted == {"one": "running"}
    assert list(files.launches) == ["one"]


def test_a_failure_is_told_with_its_reason() -> None:
    observer, files = MemoryObserver(status("one", "stopped")), MemoryAgentFiles()
    (outcome,) = lifecycle(observer, World(observer, becomes="failed"), files).start([spec("one")], wait=True)
    assert (outcome.state, outcome.error) == ("failed", "no claude")
    assert files.wanted == {"one": "running"}, "what is wanted stays wanted"


def test_without_waiting_a_launch_is_enough() -> None:
    observer = MemoryObserver(status("one", "stopped"))
    world = World(observer, becomes="starting")
    (outcome,) = lifecycle(observer, world, MemoryAgentFiles()).start([spec("one")], wait=False)
    assert (outcome.state, outcome.error) == ("starting", "")


def test_one_that_never_gets_ready_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "_READY_WITHIN_S", 0.05)
    observer = MemoryObserver(status("one", "stopped"))
    world = World(observer, becomes="starting")
    (outcome,) = lifecycle(observer, world, MemoryAgentFiles()).start([spec("one")], wait=True)
    assert outcome.error.startswith("not ready after 0.05 s")
    assert "fleet logs one" in outcome.hint


def test_a_runner_whose_session_failed_is_replaced() -> None:
    observer = MemoryObserver(status("one", "failed", pid=7, detail="crash loop"))
    world = World(observer)
    (outcome,) = lifecycle(observer, world, MemoryAgentFiles()).start([spec("one")], wait=True)
    assert (outcome.changed, outcome.state) == (True, "idle")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"runtime": Runtime(backend="docker")}, "docker backend is not available yet"),
        ({"runtime": Runtime(backend="ssh")}, "ssh backend is not available yet"),
        ({"runtime": Runtime(inbox_transport="http")}, "http inbox transport is not available yet"),
        ({"claude": Claude(endpoint=Endpoint(mode="gateway"))}, "gateway is not available yet"),
        ({"claude": Claude(endpoint=Endpoint(mode="custom", url="http://x", via_gateway=True))}, "gateway"),
    ],
)
def test_what_there_is_not_yet_is_said_and_the_others_start(given: dict[str, Any], says: str) -> None:
    observer = MemoryObserver(status("later", "stopped"), status("now", "stopped"))
    outcomes = lifecycle(observer, World(observer), MemoryAgentFiles()).start(
        [spec("later", **given), spec("now")], wait=True
    )
    assert says in outcomes[0].error
    assert outcomes[0].hint.startswith("set ")
    assert (outcomes[1].state, outcomes[1].error) == ("idle", "")
    assert fault_of_spec(spec("now")) is None


def test_stopping_records_the_wish_first_and_ends_what_runs() -> None:
    observer, files = MemoryObserver(status("one", "idle", pid=7), status("two", "stopped")), MemoryAgentFiles()
    seen: list[tuple[int, int]] = []
    outcomes = lifecycle(observer, MemoryBackend(), files).stop(
        ["one", "two"], report=lambda done, total: seen.append((done, total))
    )
    assert [(o.name, o.changed, o.state) for o in outcomes] == [("one", True, "stopped"), ("two", False, "stopped")]
    assert files.wanted == {"one": "stopped", "two": "stopped"}
    assert seen == [(1, 1)]


def test_one_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle_module, "_STOP_WITHIN_S", 0.05)
    observer = MemoryObserver(status("one", "busy"), stubborn=["one"])
    backend = MemoryBackend()
    handle = backend.launch(["run", "agent", "one"], folder=Path(), errors=Path())
    observer.statuses["one"] = replace(observer.statuses["one"], pid=handle.pid)
    observer.lost = lambda held: not backend.is_alive(held)
    lifecycle(observer, backend, MemoryAgentFiles()).stop(["one"])
    assert not backend.is_alive(handle)


def test_the_plans() -> None:
    observed = [status("a", "stopped"), status("b", "idle", pid=1), status("c", "failed"), status("d", "failed", pid=2)]
    assert [step.act for step in plan_start(observed)] == ["launch", "keep", "launch", "stop_then_launch"]
    assert [step.act for step in plan_stop(observed)] == ["keep", "stop", "keep", "stop"]


def test_what_finds_no_room_is_wanted_and_queued() -> None:
    observer, files = MemoryObserver(*(status(name, "stopped") for name in "abc")), MemoryAgentFiles()
    keeper = lifecycle(observer, World(observer), files, limits=Limits(max_agents=1))
    first, second, third = keeper.start([spec(name) for name in "abc"], wait=True)
    assert (first.state, second.state, third.state) == ("idle", "queued", "queued")
    assert second.detail == "it is the next; 1 agents run, and limits.max_agents is 1"
    assert third.detail.startswith("1 wait before it")
    assert files.wanted == dict.fromkeys("abc", "running")
    assert files.queued == {"a": "", "b": second.detail, "c": third.detail}


def test_memory_is_looked_at_when_a_bound_is_set() -> None:
    observer, files = MemoryObserver(status("a", "stopped")), MemoryAgentFiles()
    keeper = lifecycle(observer, World(observer), files, limits=Limits(min_free_mb=500), free_mb=lambda: 700)
    (outcome,) = keeper.start([spec("a")], wait=True)
    assert outcome.state == "queued"
    keeper = lifecycle(observer, World(observer), files, limits=Limits(min_free_mb=500), free_mb=lambda: 900)
    (outcome,) = keeper.start([spec("a")], wait=True)
    assert outcome.state == "idle"


class Supervised:
    """A supervisor that does what is wanted when it is called for the second time."""

    def __init__(self, observer: MemoryObserver, files: MemoryAgentFiles, **becomes: AgentState) -> None:
        self.observer, self.files, self.becomes = observer, files, becomes
        self.calls = 0

    def __call__(self) -> bool:
        self.calls += 1
        for name, wanted in self.files.wanted.items():
            if wanted == "running":
                state = self.becomes[name]
                pid = 7 if state == "idle" else None
                self.observer.statuses[name] = status(name, state, pid=pid, detail="why")
        return True


def test_a_supervisor_that_answers_launches_what_is_wanted() -> None:
    observer, files = MemoryObserver(status("a", "stopped"), status("b", "stopped")), MemoryAgentFiles()
    backend = World(observer)
    supervisor = Supervised(observer, files, a="idle", b="failed")
    a, b = lifecycle(observer, backend, files, call=supervisor).start([spec("a"), spec("b")], wait=True)
    assert (a.state, a.error, b.state, b.error) == ("idle", "", "failed", "why")
    assert backend.launched == {}
    assert (files.wanted, files.launches) == ({"a": "running", "b": "running"}, {})


def test_what_the_supervisor_has_no_room_for_is_told_of_and_not_waited_for_on_request() -> None:
    observer, files = MemoryObserver(status("a", "stopped")), MemoryAgentFiles()
    supervisor = Supervised(observer, files, a="queued")
    (outcome,) = lifecycle(observer, World(observer), files, call=supervisor).start([spec("a")], wait=False)
    assert (outcome.state, outcome.detail, outcome.error) == ("queued", "why", "")

    def make_room(waiting: Sequence[AgentStatus]) -> None:
        assert [agent.name for agent in waiting] == ["a"]
        observer.statuses["a"] = status("a", "idle", pid=7)

    keeper = lifecycle(observer, World(observer), files, call=supervisor)
    (outcome,) = keeper.start([spec("a")], wait=True, on_queue=make_room)
    assert outcome.state == "idle"


def test_a_supervisor_that_goes_away_meanwhile_is_done_without() -> None:
    observer, files = MemoryObserver(status("a", "stopped")), MemoryAgentFiles()
    world, answers = World(observer), iter([True, False])
    (outcome,) = lifecycle(observer, world, files, call=lambda: next(answers)).start([spec("a")], wait=True)
    assert (outcome.state, len(world.launched)) == ("idle", 1)


def test_to_rest_leaves_what_is_wanted_as_it_is() -> None:
    observer, files = MemoryObserver(status("one", "idle", pid=7), status("two", "stopped")), MemoryAgentFiles()
    outcomes = lifecycle(observer, MemoryBackend(), files).rest(["one", "two"], killed=[])
    assert [(o.name, o.changed, o.state) for o in outcomes] == [("one", True, "stopped"), ("two", False, "stopped")]
    assert files.wanted == {}


def test_what_a_killed_runner_left_is_ended_with_it() -> None:
    observer, backend = MemoryObserver(replace(status("one", "failed"), session_id="s1")), MemoryBackend()
    lifecycle(observer, backend, MemoryAgentFiles()).stop(["one"])
    assert backend.swept == ["s1"]

"""What is to be done to bring agents to what is wanted, decided. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.agent import AgentSpec
from relayfleet.model.status import AgentStatus

LATER_BACKENDS = ("docker", "ssh")


@dataclass(frozen=True, slots=True)
class Step:
    """`launch` a runner, `stop` it, `stop_then_launch`, or `keep` things as they are, which `why` explains."""

    name: str
    act: Literal["launch", "stop", "stop_then_launch", "keep"]
    why: str = ""


def plan_start(observed: Sequence[AgentStatus]) -> list[Step]:
    """Starting what runs is no fault. A runner whose session failed is replaced."""
    steps = []
    for status in observed:
        if status.pid is None:
            steps.append(Step(status.name, "launch"))
        elif status.state == "failed":
            steps.append(Step(status.name, "stop_then_launch", status.detail))
        else:
            steps.append(Step(status.name, "keep", f"it runs already ({status.state})"))
    return steps


def plan_roll_over(observed: Sequence[AgentStatus], *, version: str) -> list[Step]:
    """Runners of another version than `version` are replaced while their sessions idle; a turn is not cut off."""
    steps = []
    for status in observed:
        if status.pid is None:
            steps.append(Step(status.name, "keep", "it does not run"))
        elif status.version == version:
            steps.append(Step(status.name, "keep", f"it runs version {version} already"))
        elif status.state != "idle":
            steps.append(Step(status.name, "keep", f"it is {status.state}, and is of another version: try again later"))
        else:
            steps.append(Step(status.name, "stop_then_launch", f"it is of version {status.version or 'unknown'}"))
    return steps


def plan_stop(observed: Sequence[AgentStatus]) -> list[Step]:
    """Stopping what is stopped is no fault."""
    return [Step(s.name, "keep", "it is stopped already") if s.pid is None else Step(s.name, "stop") for s in observed]


def fault_of_spec(spec: AgentSpec) -> tuple[str, str] | None:
    """Why an agent cannot be started with what there is, and what to do; None when it can."""
    if spec.runtime.backend in LATER_BACKENDS:
        return (
            f"the {spec.runtime.backend} backend is not available yet",
            "set runtime.backend to local in its config.json",
        )
    if spec.runtime.inbox_transport != "file":
        return (
            f"the {spec.runtime.inbox_transport} inbox transport is not available yet",
            "set runtime.inbox_transport to file in its config.json",
        )
    if spec.claude.endpoint.mode == "gateway" or spec.claude.endpoint.via_gateway:
        return "the gateway is not available yet", "set claude.endpoint.mode to default or custom in its config.json"
    return None

"""What was observed of an agent, and how long ago. `running` is never inferred from a file alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.names import AgentName

AgentState = Literal["stopped", "queued", "starting", "idle", "busy", "waiting", "unresponsive", "failed"]
UP: frozenset[str] = frozenset({"idle", "busy", "waiting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """`pid` is the runner's, None when nobody holds its lock. `inbox` counts entries by state.

    `observed_age_s` is how old the observation of the session is, None where there was none. `evidence` is how long ago
    each source (`registry`, `hook`, `transcript`, `output`) said something new, in seconds. `reason` names why it is
    down (see `model/fault.py`), and `next_try_s` is in how many seconds the supervisor starts it again; None when it
    does not, or there is none. `version` is that of the program that the runner runs, None when there is no runner or
    it is older than saying so.
    """

    name: AgentName
    role: str
    backend: str
    state: AgentState
    pid: int | None
    session_id: str | None
    inbox: Mapping[str, int]
    observed_age_s: float | None
    evidence: Mapping[str, float | None] | None = None
    detail: str = ""
    hint: str = ""
    reason: str | None = None
    next_try_s: float | None = None
    version: str | None = None

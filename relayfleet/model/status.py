"""What was observed of an agent, and how long ago. `running` is never inferred from a file alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.names import AgentName

AgentState = Literal["stopped", "starting", "idle", "busy", "waiting", "unresponsive", "failed"]
UP: frozenset[str] = frozenset({"idle", "busy", "waiting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """`pid` is the runner's, None when nobody holds its lock. `inbox` counts entries by state.

    `observed_age_s` is how old the observation of the session is, None where there was none.
    """

    name: AgentName
    role: str
    backend: str
    state: AgentState
    pid: int | None
    session_id: str | None
    inbox: Mapping[str, int]
    observed_age_s: float | None
    detail: str = ""
    hint: str = ""

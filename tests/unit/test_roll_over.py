"""`fleet restart --outdated`: which runners are replaced."""

from __future__ import annotations

import pytest

from relayfleet.fleet.plan import plan_roll_over
from relayfleet.model.names import AgentName
from relayfleet.model.status import AgentState, AgentStatus


@pytest.mark.parametrize(
    ("state", "pid", "version", "act"),
    [
        ("idle", 5, "1.0", "stop_then_launch"),
        ("idle", 5, None, "stop_then_launch"),  # from before runners told theirs
        ("idle", 5, "2.0", "keep"),
        ("busy", 5, "1.0", "keep"),
        ("waiting", 5, "1.0", "keep"),
        ("unresponsive", 5, None, "keep"),
        ("stopped", None, None, "keep"),
        ("failed", None, None, "keep"),
    ],
)
def test_only_what_idles_and_differs_is_replaced(
    state: AgentState, pid: int | None, version: str | None, act: str
) -> None:
    status = AgentStatus(
        name=AgentName("coder"),
        role="coder",
        backend="local",
        state=state,
        pid=pid,
        session_id=None,
        inbox={},
        observed_age_s=None,
        version=version,
    )
    (step,) = plan_roll_over([status], version="2.0")
    assert step.act == act
    assert step.why

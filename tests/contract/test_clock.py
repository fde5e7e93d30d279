"""What every `Clock` promises."""

from __future__ import annotations

import asyncio

import pytest

from relayfleet.ports.clock import Clock
from relayfleet.sources.clock import SystemClock
from relayfleet.testing import ManualClock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


async def test_both_times_go_on_while_somebody_sleeps(clock: Clock) -> None:
    now, monotonic = clock.now(), clock.monotonic()
    await clock.sleep(0.02)
    assert clock.now() > now
    assert clock.monotonic() - monotonic >= 0.015


async def test_now_is_of_this_century(clock: Clock) -> None:
    assert 1_600_000_000 < clock.now() < 4_000_000_000


async def test_others_run_while_somebody_sleeps(clock: Clock) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.ensure_future(other())
    await clock.sleep(0.01)
    order.append("awake")
    await task
    assert order == ["other", "awake"]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_is_no_sleep(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)

"""When to look again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.ports.source import Failure
from relayfleet.router.schedule import BackOff, back_off, last_beat

MOMENTS = st.floats(0, 1e6)


@given(beat=MOMENTS, interval_s=st.floats(1, 86_400), passed=MOMENTS)
def test_a_rhythm_is_never_shifted(beat: float, interval_s: float, passed: float) -> None:
    moment = beat + passed
    latest = last_beat(beat, interval_s, moment=moment)
    assert latest <= moment + 1e-6
    assert moment - latest <= interval_s * (1 + 1e-9) + 1e-6
    assert round((latest - beat) / interval_s, 4) % 1 == 0


def test_a_clock_that_stands_still_makes_no_beat() -> None:
    assert last_beat(100.0, 60.0, moment=100.0) == 100.0
    assert last_beat(100.0, 60.0, moment=99.0) == 100.0


def waits(kind: str, times: int, *, wait_s: float | None = None, jitter: float = 0.0) -> list[float]:
    failure = Failure(kind=kind, message="m", wait_s=wait_s)  # type: ignore[arg-type]
    hold: BackOff | None = None
    found = []
    for _ in range(times):
        hold = back_off(hold, failure, now=1000.0, jitter=jitter)
        found.append(hold.until - 1000.0)
    return found


@pytest.mark.parametrize("kind", ["transport", "server"])
def test_what_was_not_reached_is_asked_again_from_a_second_on(kind: str) -> None:
    assert waits(kind, 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits(kind, 2, jitter=1.0) == [1.5, 3.0]


def test_a_secondary_limit_without_a_time_is_a_minute_and_doubles() -> None:
    assert waits("secondary", 6) == [60, 120, 240, 480, 900, 900]


@pytest.mark.parametrize("kind", ["secondary", "primary"])
def test_a_limit_that_says_how_long_it_lasts_is_believed(kind: str) -> None:
    assert waits(kind, 3, wait_s=17.0, jitter=1.0) == [17, 17, 17]


def test_a_bad_token_is_tried_again_after_five_minutes() -> None:
    assert waits("auth", 2) == [300, 300]


def test_another_kind_of_failure_begins_anew() -> None:
    hold = back_off(None, Failure(kind="server", message=""), now=0.0, jitter=0.0)
    for _ in range(5):
        hold = back_off(hold, Failure(kind="server", message=""), now=0.0, jitter=0.0)
    assert back_off(hold, Failure(kind="transport", message=""), now=0.0, jitter=0.0).until == 1.0

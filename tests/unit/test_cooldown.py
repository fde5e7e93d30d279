"""How long a route is quiet about an item."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relayfleet.router.cooldown import cool

GAPS = st.lists(st.integers(0, 300), min_size=1, max_size=40)


@given(gaps=GAPS, quiet_s=st.integers(1, 200))
def test_entries_keep_their_distance_and_nothing_waits_longer_than_that(gaps: list[int], quiet_s: int) -> None:
    now, until = 1_000_000, 0.0
    told: set[float] = set()
    for gap in gaps:
        now += gap
        step = cool(until, quiet_s=quiet_s, now=now)
        until = step.until
        moment = step.moment or now
        assert now <= moment <= now + quiet_s
        told.add(moment)
    moments = sorted(told)
    assert all(later - earlier >= quiet_s for earlier, later in pairwise(moments))


@given(gaps=GAPS, quiet_s=st.integers(1, 200), jump=st.integers(-(10**9), 10**9))
def test_a_clock_that_jumps_makes_nothing_wait_longer(gaps: list[int], quiet_s: int, jump: int) -> None:
    now, until = 2_000_000_000, 0.0
    for number, gap in enumerate(gaps):
        now += gap + (jump if number == len(gaps) // 2 else 0)
        step = cool(until, quiet_s=quiet_s, now=now)
        until = step.until
        assert not step.moment or now < step.moment <= now + quiet_s


def test_after_a_quiet_time_an_entry_goes_at_once() -> None:
    step = cool(0.0, quiet_s=100.0, now=1000.0)
    assert (step.moment, step.until) == (0.0, 1100.0)
    assert cool(step.until, quiet_s=100.0, now=1100.0).moment == 0.0

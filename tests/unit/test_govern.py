"""What the limits of an account leave, and how far intervals are stretched for that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.ports.source import Budget, Purpose, Spent
from relayfleet.router.govern import (
    MOST_INTERVAL_S,
    RESERVE,
    Governor,
    Meter,
    available,
    forecast,
    stretch_for,
    stretched,
)

LOADS = st.dictionaries(st.floats(1, 86_400), st.floats(0, 2_000), min_size=1, max_size=5)
POINTS = st.floats(0, 100_000)


def budget(remaining: int, reset_at: float, *, limit: int = 5000, resource: str = "graphql") -> Budget:
    return Budget(resource=resource, limit=limit, remaining=remaining, reset_at=reset_at)


def spent(purpose: Purpose, points: int, *feeds: str, seconds: float = 0.1, resource: str = "graphql") -> Spent:
    return Spent(purpose=purpose, resource=resource, points=points, seconds=seconds, feeds=feeds)


@given(interval_s=st.floats(1, 86_400), factor=st.floats(1, 1000))
def test_a_stretched_interval_is_bounded(interval_s: float, factor: float) -> None:
    assert interval_s <= stretched(interval_s, factor) <= max(interval_s, MOST_INTERVAL_S)
    assert stretched(interval_s, 1.0) == interval_s


@given(load=LOADS, besides=POINTS, limit=POINTS)
def test_the_stretch_is_the_smallest_that_fits(load: dict[float, float], besides: float, limit: float) -> None:
    factor = stretch_for(load, besides=besides, available=limit)
    assert factor >= 1.0
    if forecast(load, besides=besides, factor=1.0) <= limit:
        assert factor == 1.0
        return
    most = forecast(load, besides=besides, factor=1e9)
    if most > limit:
        # Nothing fits: all that can be stretched is.
        assert forecast(load, besides=besides, factor=factor) == pytest.approx(most)
        return
    assert forecast(load, besides=besides, factor=factor) <= limit
    assert forecast(load, besides=besides, factor=factor * 0.99) > limit * 0.98


@given(load=LOADS, besides=POINTS, less=POINTS, more=POINTS)
def test_more_budget_never_stretches_further(
    load: dict[float, float], besides: float, less: float, more: float
) -> None:
    less, more = min(less, more), max(less, more)
    assert stretch_for(load, besides=besides, available=more) <= stretch_for(load, besides=besides, available=less)


def test_a_thousand_repositories_a_minute_fit_and_ten_thousand_are_stretched() -> None:
    hour = available(budget(5000, 3600.0), now=0.0)
    assert hour == 4500
    assert stretch_for({60.0: 20.0}, besides=300.0, available=hour) == 1.0
    assert stretch_for({60.0: 200.0}, besides=0.0, available=hour) == pytest.approx(12_000 / 4500, rel=0.01)


def test_available_keeps_a_reserve_and_knows_the_reset() -> None:
    assert available(None, now=0.0) is None
    assert available(budget(2500, 1800.0), now=0.0) == (2500 - 500) * 2
    assert available(budget(400, 1800.0), now=0.0) == 0.0
    # The hour is over: the whole allowance is there again.
    assert available(budget(0, 1800.0), now=1800.0) == 5000 * (1 - RESERVE)
    # A clock that is far off does not make an hour longer.
    assert available(budget(5000, 1e9), now=0.0) == 4500


def test_a_meter_tells_what_was_spent_and_on_what() -> None:
    meter = Meter(moment=0.0)
    meter.note([spent("probe", 2, "a", "b"), spent("details", 3, "a"), spent("listing", 5, "a")], moment=0.0)
    meter.note([spent("probe", 2, "a", "b"), spent("sweep", 4, "b")], moment=600.0)
    assert meter.used(moment=600.0) == {"probe": 4.0, "details": 3.0, "listing": 5.0, "sweep": 4.0}
    assert meter.requests(moment=600.0) == 5
    meter.plan({"a": 60.0, "b": 60.0}, now=0.0, moment=600.0)
    # A look at both costs two points, sixty times an hour; details and sweeps go on as they did in ten minutes.
    assert meter.forecast == pytest.approx(2 * 60 + (3 + 4) * 6)
    a, b = (meter.cost_of(feed, 60.0, moment=600.0) for feed in "ab")
    assert (a.looks, a.sweeps) == pytest.approx((60 + 18, 0))
    assert (b.looks, b.sweeps) == pytest.approx((60, 24))


def test_what_is_an_hour_old_is_forgotten() -> None:
    meter = Meter(moment=0.0)
    meter.note([spent("probe", 2, "a")], moment=0.0)
    meter.note([spent("probe", 1, "a")], moment=3000.0)
    assert meter.used(moment=3599.0) == {"probe": 3.0}
    assert meter.used(moment=3601.0) == {"probe": 1.0}
    assert meter.used(moment=9000.0) == {}


def test_a_feed_that_is_gone_costs_nothing_any_more() -> None:
    meter = Meter(moment=0.0)
    meter.note([spent("probe", 10, "a", "b")], moment=0.0)
    meter.plan({"a": 60.0}, now=0.0, moment=0.0)
    assert meter.forecast == pytest.approx(5 * 60)


def test_intervals_stretch_while_the_budget_is_short_and_shrink_again() -> None:
    governor = Governor(moment=0.0)
    rhythms = {f"f{number}": 60.0 for number in range(100)}

    def look(remaining: int, *, at: float, reset_at: float) -> float:
        one = [spent("probe", 20, *rhythms)]
        governor.note("items", one, [budget(remaining, reset_at)], feeds=100, rhythms=rhythms, now=at, moment=at)
        return governor.stretch("items")

    assert look(5000, at=0.0, reset_at=3600.0) == 1.0
    # Somebody else used it up: 1,200 points an hour are to be made of 250 in half an hour.
    short = look(750, at=1800.0, reset_at=3600.0)
    assert short == pytest.approx(1200 / 500, rel=0.02)
    # The window is over before anything was asked again.
    governor.plan("items", rhythms, now=3600.0, moment=3600.0)
    assert governor.stretch("items") == 1.0


def test_one_budget_that_is_short_does_not_slow_the_other() -> None:
    governor = Governor(moment=0.0)
    rhythms = {"a": 60.0}
    governor.note(
        "items", [spent("probe", 1000, "a")], [budget(600, 3600.0)], feeds=1, rhythms=rhythms, now=0.0, moment=0.0
    )
    assert governor.stretch("items") > 1.0
    assert governor.stretch("runs") == 1.0


def test_a_round_is_as_large_as_the_minute_has_room_for() -> None:
    governor = Governor(moment=0.0)
    assert governor.admit("runs", 1000, moment=0.0) == 100
    requests = [spent("runs", 0, f"f{number}", seconds=0.01, resource="core") for number in range(100) for _ in (0, 1)]
    admitted = 0
    moment = 0.0
    for _ in range(20):
        feeds = governor.admit("runs", 1000, moment=moment)
        admitted += feeds
        if feeds:
            governor.note("runs", requests[: feeds * 2], [], feeds=feeds, rhythms={}, now=0.0, moment=moment)
        moment += 1.0
    # Two requests for each feed: at most 900 a minute, less what is left to others.
    assert 300 <= admitted * 2 <= 720
    assert governor.last_minute(moment=moment).requests["core"] == admitted * 2
    assert governor.admit("runs", 1000, moment=moment) == 0
    assert governor.admit("runs", 1000, moment=moment + 60.0) == 100


def test_answers_that_take_long_make_rounds_rare() -> None:
    governor = Governor(moment=0.0)
    for moment in (0.0, 10.0, 20.0, 30.0):
        slow = [spent("runs", 1, "a", seconds=20.0, resource="core")]
        governor.note("runs", slow, [], feeds=1, rhythms={}, now=0.0, moment=moment)
    # 80 of 90 seconds were used, and GraphQL counts to the same.
    assert governor.admit("runs", 1, moment=30.0) == 0
    assert governor.admit("items", 500, moment=30.0) == 0
    assert governor.admit("runs", 1, moment=91.0) == 1


def test_a_single_feed_goes_out_when_nothing_was_asked_lately() -> None:
    governor = Governor(moment=0.0)
    monstrous = [spent("runs", 1, "a", seconds=1.0, resource="core") for _ in range(2000)]
    governor.note("runs", monstrous, [], feeds=1, rhythms={}, now=0.0, moment=0.0)
    assert governor.admit("runs", 1, moment=30.0) == 0
    # Not a hundred of them at once either.
    assert governor.admit("runs", 100, moment=61.0) == 1

"""What the limits of one account leave to be spent, and so how often it can look.

GitHub gives a token points per hour, for GraphQL and for REST apart, and asks for no more than so many requests and so
much of its computing time a minute. Here is kept what was spent, and from that forecast what an hour will cost. As long
as the forecast fits into what is left until the reset, every watch is looked at as often as it asks for; otherwise all
intervals are stretched by one factor, and no further than is needed. Moments are of a clock that never goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from relayfleet.model.watch import Lane as LaneName
from relayfleet.ports.source import Budget, Purpose, Spent

HOUR_S = 3600.0
MINUTE_S = 60.0
# What is left to the operator and to the agents, who may use the same token.
RESERVE = 0.1
# However short the budget is, nothing is looked at more seldom than this because of it.
MOST_INTERVAL_S = 900.0
# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api, "secondary rate limits": a request
# that only reads is one point of these, whatever it costs of the hourly ones. Computing time is to be estimated by the
# time that the answers took.
REQUESTS_A_MINUTE: Mapping[str, int] = {"graphql": 2000, "core": 900}
SECONDS_A_MINUTE: Mapping[str, float] = {"graphql": 60.0, "core": 90.0}
SECONDS_OF_ALL_A_MINUTE = 90.0
# The share of the limits of a minute that is used: others may be at work with the same token.
SHARE = 0.8
# So many feeds go into one round at most: what was read is recorded, and heard of, now and then.
MOST_FEEDS: Mapping[LaneName, int] = {"items": 500, "runs": 100}
# Rounds that are smaller than this wait for room, so that they do not go out one by one.
FEW_FEEDS = 20
RESOURCE_OF: Mapping[LaneName, str] = {"items": "graphql", "runs": "core"}
# Paid with every look; the rest depends on what happens, or on the time.
_OF_A_LOOK: frozenset[Purpose] = frozenset({"probe", "search", "runs"})
_BESIDES: frozenset[Purpose] = frozenset({"details", "sweep"})
_BUCKET_S = 300.0
# A rate is not told from less than this.
_LEAST_S = 600.0
_FORGETS = 0.3
_FINE_ENOUGH = 1.001


def stretched(interval_s: float, factor: float) -> float:
    """An interval that is stretched by a factor of 1 or more."""
    return max(interval_s, min(interval_s * factor, MOST_INTERVAL_S))


def forecast(load: Mapping[float, float], *, besides: float, factor: float) -> float:
    """Points per hour. `load` is what one look at all feeds of an interval (seconds) costs, `besides` what does not
    depend on the interval."""
    return besides + sum(points * HOUR_S / stretched(interval_s, factor) for interval_s, points in load.items())


def stretch_for(load: Mapping[float, float], *, besides: float, available: float) -> float:
    """The smallest factor at which the forecast does not exceed the points per hour that are `available`; the one that
    stretches all that can be stretched when there is none."""
    most = max((MOST_INTERVAL_S / interval_s for interval_s in load), default=1.0)
    low, high = 1.0, max(1.0, most)
    if forecast(load, besides=besides, factor=low) <= available:
        return low
    if forecast(load, besides=besides, factor=high) > available:
        return high
    while high / low > _FINE_ENOUGH:
        middle = (low * high) ** 0.5
        if forecast(load, besides=besides, factor=middle) <= available:
            high = middle
        else:
            low = middle
    return high


def available(budget: Budget | None, *, now: float) -> float | None:
    """Points per hour that may be spent until the reset; None when nothing is known. `now` is seconds since the
    epoch."""
    if budget is None:
        return None
    usable = 1.0 - RESERVE
    left_s = min(HOUR_S, budget.reset_at - now)
    if left_s <= 0:
        return budget.limit * usable
    return max(0.0, budget.remaining - budget.limit * RESERVE) * HOUR_S / left_s


@dataclass(slots=True)
class _Bucket:
    """What was spent in a piece of time: points by purpose, and by feed what details and what sweeps cost."""

    began: float
    points: dict[Purpose, float] = field(default_factory=dict)
    details: dict[str, float] = field(default_factory=dict)
    sweeps: dict[str, float] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCost:
    """Points per hour: of looks as often as they are now, with the details of what they lately found; and of sweeps."""

    looks: float
    sweeps: float


class Meter:
    """One hourly allowance of one account: what was spent of it, and on what."""

    def __init__(self, *, moment: float) -> None:
        self._since = moment
        self._buckets: deque[_Bucket] = deque()
        self._look_costs: dict[str, float] = {}
        self.budget: Budget | None = None
        self.stretch = 1.0
        self.forecast = 0.0

    def note(self, spent: Iterable[Spent], *, moment: float) -> None:
        """Takes in what a round took."""
        self._forget(moment)
        if not self._buckets or moment - self._buckets[-1].began >= _BUCKET_S:
            self._buckets.append(_Bucket(moment))
        bucket = self._buckets[-1]
        looked: dict[str, float] = {}
        for one in spent:
            bucket.requests += 1
            bucket.points[one.purpose] = bucket.points.get(one.purpose, 0.0) + one.points
            share = one.points / max(1, len(one.feeds))
            costs = (
                looked
                if one.purpose in _OF_A_LOOK
                else {"details": bucket.details, "sweep": bucket.sweeps}.get(one.purpose)
            )
            if costs is not None:
                for feed in one.feeds:
                    costs[feed] = costs.get(feed, 0.0) + share
        for feed, points in looked.items():
            before = self._look_costs.get(feed, points)
            self._look_costs[feed] = before + _FORGETS * (points - before)

    def plan(self, rhythms: Mapping[str, float], *, now: float, moment: float) -> None:
        """Sets the stretch anew for feeds that are looked at in these intervals (seconds), and the points per hour
        that are forecast with it."""
        self._look_costs = {feed: cost for feed, cost in self._look_costs.items() if feed in rhythms}
        load: dict[float, float] = {}
        for feed, cost in self._look_costs.items():
            load[rhythms[feed]] = load.get(rhythms[feed], 0.0) + cost
        besides = self._rate(_BESIDES, moment=moment)
        limit = available(self.budget, now=now)
        self.stretch = 1.0 if limit is None else stretch_for(load, besides=besides, available=limit)
        self.forecast = forecast(load, besides=besides, factor=self.stretch)

    def used(self, *, moment: float) -> dict[Purpose, float]:
        """Points of the last hour, by purpose."""
        self._forget(moment)
        total: dict[Purpose, float] = {}
        for bucket in self._buckets:
            for purpose, points in bucket.points.items():
                total[purpose] = total.get(purpose, 0.0) + points
        return total

    def requests(self, *, moment: float) -> int:
        """Requests of the last hour."""
        self._forget(moment)
        return sum(bucket.requests for bucket in self._buckets)

    def cost_of(self, feed: str, interval_s: float, *, moment: float) -> FeedCost:
        """What a feed costs that is looked at in this interval."""
        self._forget(moment)
        hours = self._measured_s(moment) / HOUR_S
        looks = self._look_costs.get(feed, 0.0) * HOUR_S / stretched(interval_s, self.stretch)
        return FeedCost(
            looks=looks + sum(bucket.details.get(feed, 0.0) for bucket in self._buckets) / hours,
            sweeps=sum(bucket.sweeps.get(feed, 0.0) for bucket in self._buckets) / hours,
        )

    def _rate(self, purposes: frozenset[Purpose], *, moment: float) -> float:
        """Points per hour, as lately."""
        self._forget(moment)
        points = sum(bucket.points.get(purpose, 0.0) for bucket in self._buckets for purpose in purposes)
        return points * HOUR_S / self._measured_s(moment)

    def _measured_s(self, moment: float) -> float:
        return min(HOUR_S, max(_LEAST_S, moment - self._since))

    def _forget(self, moment: float) -> None:
        while self._buckets and self._buckets[0].began <= moment - HOUR_S:
            self._buckets.popleft()


@dataclass(slots=True)
class _Size:
    """What looking at one feed of a lane takes, an average that forgets."""

    requests: float
    seconds: float

    def fitting(self, requests: float, seconds: float) -> int:
        """How many feeds fit into so much."""
        return int(min(requests / max(self.requests, 0.001), seconds / max(self.seconds, 0.001)))

    def follow(self, *, requests: float, seconds: float) -> None:
        self.requests += _FORGETS * (requests - self.requests)
        self.seconds += _FORGETS * (seconds - self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """What was asked in the last minute: requests by resource, and how long all answers took together."""

    requests: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Asked:
    moment: float
    resource: str
    seconds: float


class Governor:
    """Owns what one account may spend: hands out rounds, and says how far intervals are stretched."""

    def __init__(self, *, moment: float) -> None:
        self.meters = {resource: Meter(moment=moment) for resource in RESOURCE_OF.values()}
        self._minute: deque[_Asked] = deque()
        self._sizes: dict[LaneName, _Size] = {"items": _Size(0.1, 0.05), "runs": _Size(2.0, 0.4)}

    def stretch(self, lane: LaneName) -> float:
        return self.meters[RESOURCE_OF[lane]].stretch

    def admit(self, lane: LaneName, waiting: int, *, moment: float) -> int:
        """How many of the feeds that wait may be looked at now; 0 when there is no room yet."""
        resource, size = RESOURCE_OF[lane], self._sizes[lane]
        most = min(waiting, MOST_FEEDS[lane])
        recent = self._recent(moment)
        mine = [one for one in recent if one.resource == resource]
        requests, seconds = REQUESTS_A_MINUTE[resource] * SHARE, SECONDS_A_MINUTE[resource] * SHARE
        at_once = max(1, size.fitting(requests, seconds))
        room = size.fitting(
            requests - len(mine),
            min(
                seconds - sum(one.seconds for one in mine),
                SECONDS_OF_ALL_A_MINUTE * SHARE - sum(one.seconds for one in recent),
            ),
        )
        if not recent:
            return min(most, at_once)
        return min(most, room) if room >= min(most, FEW_FEEDS, at_once) else 0

    def note(
        self,
        lane: LaneName,
        spent: Sequence[Spent],
        budgets: Sequence[Budget],
        *,
        feeds: int,
        rhythms: Mapping[str, float],
        now: float,
        moment: float,
    ) -> None:
        """Takes in what a round over so many feeds took, and plans anew for `rhythms` (seconds by feed of the lane).

        `now` is seconds since the epoch.
        """
        for budget in budgets:
            if budget.resource in self.meters:
                self.meters[budget.resource].budget = budget
        for resource, meter in self.meters.items():
            meter.note((one for one in spent if one.resource == resource), moment=moment)
        self._minute.extend(_Asked(moment, one.resource, one.seconds) for one in spent)
        if feeds and spent:
            taken = [one for one in spent if one.purpose in _OF_A_LOOK]
            self._sizes[lane].follow(requests=len(taken) / feeds, seconds=sum(one.seconds for one in taken) / feeds)
        self.plan(lane, rhythms, now=now, moment=moment)

    def plan(self, lane: LaneName, rhythms: Mapping[str, float], *, now: float, moment: float) -> None:
        self.meters[RESOURCE_OF[lane]].plan(rhythms, now=now, moment=moment)

    def last_minute(self, *, moment: float) -> Minute:
        recent = self._recent(moment)
        requests = {resource: sum(one.resource == resource for one in recent) for resource in self.meters}
        return Minute(requests=requests, seconds=sum(one.seconds for one in recent))

    def _recent(self, moment: float) -> deque[_Asked]:
        while self._minute and self._minute[0].moment <= moment - MINUTE_S:
            self._minute.popleft()
        return self._minute

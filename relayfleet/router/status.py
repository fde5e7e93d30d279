"""What the router says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.event import decode_event
from relayfleet.model.item import Kind, address_of
from relayfleet.model.watch import Watch, feed_of
from relayfleet.ports.cursor import Held
from relayfleet.ports.source import Purpose
from relayfleet.router.account import Account
from relayfleet.router.govern import RESOURCE_OF, stretched
from relayfleet.router.lane import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStatus:
    """Times are seconds since the epoch, UTC. `items` is how many items are in view. `interval_s` is the seconds
    between two looks as they are now: more than `poll_sec` while the budget is short, less when another watch of the
    repository asks for that. `points_per_h` is the watch's part of what looking costs, `sweep_points_per_h` of what
    sweeping costs."""

    name: str
    kind: Kind
    repo: str
    filter: str
    account: str
    poll_sec: float
    interval_s: float
    last_poll: float | None
    next_poll: float | None
    items: int
    points_per_h: float
    sweep_points_per_h: float
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """One hourly allowance of an account, in points; `limit`, `remaining` and `reset_at` are None until GitHub has said
    so. `used` and `requests` are of the last hour, `by_purpose` tells what for. `forecast_per_h` is what looking as it
    is now costs, `stretch` the factor by which intervals are stretched for that. `waiting` counts the feeds that are
    due. While `paused_until` is set nothing is asked, and `reason` says why."""

    resource: str
    limit: int | None
    remaining: int | None
    reset_at: float | None
    used: float
    requests: int
    by_purpose: Mapping[Purpose, float]
    forecast_per_h: float
    stretch: float
    feeds: int
    waiting: int
    paused_until: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """`requests_last_minute` is by resource; `seconds_last_minute` is how long the answers of that minute took."""

    name: str
    host: str
    paused_until: float | None
    reason: str | None
    requests_last_minute: Mapping[str, int]
    seconds_last_minute: float
    budgets: tuple[BudgetStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStatus:
    """The gate in force, and since when; `faults` are those of a later edit, for which it is kept."""

    watches: int
    routes: int
    since: float
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerStatus:
    """A route (None when it is no more) that is cut off from an item since agents answered each other there."""

    route: int | None
    about: str
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowanceStatus:
    """What GitHub said last is left of an account's hourly allowance."""

    account: str
    resource: str
    limit: int
    remaining: int
    reset_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldItemStatus:
    """An event of which something is held back, without any of its text. `author` and `association` are of the item,
    `repo` is as model.item.address_of gives it, `reason` is why the first piece is kept from the first agent."""

    key: str
    watch: str
    repo: str
    kind: Kind
    number: int
    author: str
    association: str
    agents: tuple[str, ...]
    url: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterStatus:
    """`paused` is in force while something keeps every account from looking; `reason` says what, and `paused_until`
    until when. `delivered` counts what is still remembered, `held` what waits in quarantine, of which `held_items` are
    the newest. `budgets` are those of all accounts."""

    state: Literal["polling", "paused"]
    reason: str | None
    paused_until: float | None
    cursor_age_s: float | None
    owed: int
    delivered: int
    held: int
    held_items: tuple[HeldItemStatus, ...]
    gate: GateStatus
    budgets: tuple[AllowanceStatus, ...]
    accounts: tuple[AccountStatus, ...]
    breakers: tuple[BreakerStatus, ...]
    watches: tuple[WatchStatus, ...]


def account_status(account: Account, errors: Mapping[str, str], *, now: float, moment: float) -> AccountStatus:
    """`errors` are by scope; `now` is seconds since the epoch, `moment` of the clock that never goes back."""
    minute = account.governor.last_minute(moment=moment)
    paused = account.held_until > moment
    return AccountStatus(
        name=account.spec.name,
        host=account.spec.host,
        paused_until=now + account.held_until - moment if paused else None,
        reason=errors.get(account.scope) if paused else None,
        requests_last_minute=minute.requests,
        seconds_last_minute=minute.seconds,
        budgets=tuple(
            _budget_status(account, lane, errors, now=now, moment=moment)
            for lane in account.lanes.values()
            if lane.rhythms
        ),
    )


def _budget_status(
    account: Account, lane: Lane, errors: Mapping[str, str], *, now: float, moment: float
) -> BudgetStatus:
    resource = RESOURCE_OF[lane.name]
    meter = account.governor.meters[resource]
    used, budget = meter.used(moment=moment), meter.budget
    held = max(account.held_until, lane.hold.until if lane.hold else 0.0)
    return BudgetStatus(
        resource=resource,
        limit=budget.limit if budget else None,
        remaining=budget.remaining if budget else None,
        reset_at=budget.reset_at if budget else None,
        used=sum(used.values()),
        requests=meter.requests(moment=moment),
        by_purpose=used,
        forecast_per_h=meter.forecast,
        stretch=meter.stretch,
        feeds=len(lane.rhythms),
        waiting=len(lane.waiting),
        paused_until=now + held - moment if held > moment else None,
        reason=errors.get(account.scope, errors.get(lane.scope)) if held > moment else None,
    )


def allowances(accounts: Sequence[AccountStatus]) -> tuple[AllowanceStatus, ...]:
    return tuple(
        AllowanceStatus(
            account=account.name,
            resource=one.resource,
            limit=one.limit,
            remaining=one.remaining,
            reset_at=one.reset_at,
        )
        for account in accounts
        for one in account.budgets
        if one.limit is not None and one.remaining is not None and one.reset_at is not None
    )


def held_item_status(held: Held) -> HeldItemStatus | None:
    """None for an event that makes no sense: `fleet quarantine list` shows what cannot be read."""
    try:
        item = decode_event(held.event).item
    except ValueError:
        return None
    return HeldItemStatus(
        key=held.key,
        watch=held.watch,
        repo=address_of(item.host, item.repo),
        kind=item.kind,
        number=item.number,
        author=item.author,
        association=item.association,
        agents=tuple(dict.fromkeys(hold.agent for hold in held.holds)),
        url=item.url,
        reason=held.holds[0].reason if held.holds else "",
        at=held.at,
    )


def watch_status(
    watch: Watch,
    account: Account,
    lane: Lane,
    *,
    sharing: int,
    last_poll: float | None,
    items: int,
    errors: Mapping[str, str],
    now: float,
    moment: float,
) -> WatchStatus:
    """`sharing` is how many watches are read together with this one, itself included."""
    feed = feed_of(watch).key
    meter, rhythm = account.governor.meters[RESOURCE_OF[lane.name]], lane.rhythms[feed]
    cost = meter.cost_of(feed, rhythm, moment=moment)
    due = max(lane.feed_due_at(feed, stretch=meter.stretch), account.held_until, moment)
    scopes = (f"watch {watch.name}", f"feed {feed}", lane.scope, account.scope, f"items {feed}")
    return WatchStatus(
        name=watch.name,
        kind=watch.kind,
        repo=watch.repo,
        filter=watch.filter,
        account=account.spec.name,
        poll_sec=watch.poll_sec,
        interval_s=stretched(rhythm, meter.stretch),
        last_poll=last_poll,
        next_poll=now + due - moment,
        items=items,
        points_per_h=cost.looks / sharing,
        sweep_points_per_h=cost.sweeps / sharing,
        last_error=next((errors[scope] for scope in scopes if scope in errors), None),
    )

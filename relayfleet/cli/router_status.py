"""`fleet router status`: what the router sees, what that costs, and what holds it back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, table

# So many watches are shown in the order of the file; of more, those that fail and those that cost most.
_SHOWN = 20
_LONGEST_ERROR = 160
_Record = Mapping[str, Any]


def run(ctx: Context, *, all: bool) -> int:
    """Exit code 1 when the router does not run. Times are in seconds, UTC.

    --json: {"version": 1, "router": {"state", "pid", "cursor_age_s", "error" and "hint" when it failed}}. Of one that
    runs also: "polling" ("polling", or "paused" when every account is), "reason", "paused_until", "owed", "delivered",
    "held", "held_items": [{"key", "watch", "repo", "kind", "number", "author", "association", "agents", "url",
    "reason", "at"}, of the newest 100], "gate": {"watches", "routes", "since", "faults": [text, of an edit that is not
    taken]}, "accounts": [{"name", "host", "paused_until", "reason", "requests_last_minute": {"graphql", "core"},
    "seconds_last_minute", "budgets": [{"resource", "limit", "remaining", "reset_at", "used" (points of the last hour),
    "requests" (of the last hour), "by_purpose": {purpose: points}, "forecast_per_h", "stretch", "feeds", "waiting",
    "paused_until", "reason"}]}], "budgets": [{"account", "resource", "limit", "remaining", "reset_at"}, of all
    accounts], "breakers": [{"route", "about", "since"}], "watches": [{"name", "kind", "repo", "filter", "account",
    "poll_sec", "interval_s", "last_poll", "next_poll", "items", "points_per_h", "sweep_points_per_h", "last_error"}].
    A feed is a repository's issues and pull requests, or its runs: what all of its watches are read by.
    """
    from relayfleet.client.router import observe_router
    from relayfleet.config.roster import read_roster

    router = observe_router(ctx.layout, read_roster(ctx.layout).fleet_id)
    if ctx.json:
        emit_json({"version": 1, "router": router})
    else:
        show(router, now=time.time(), everything=all)
    return 0 if router["state"] == "running" else 1


def show(router: _Record, *, now: float, everything: bool) -> None:
    """For people. `router` is as with --json; `now` in seconds, UTC."""
    age = router["cursor_age_s"]
    pid = f" (pid {router['pid']})" if router["pid"] else ""
    emit(f"router: {router['state']}{pid}" + (f", last record {_span(age)} ago" if age is not None else ""))
    if router.get("error"):
        emit(f"  {router['error']}")
        if router.get("hint"):
            emit(f"  hint: {router['hint']}")
    if "accounts" not in router:
        return
    _show_gate(router["gate"])
    emit(f"{router['delivered']} delivered, {router['owed']} owed, {router['held']} in quarantine")
    for breaker in router["breakers"]:
        index = breaker["route"]
        about = f"agents answered each other about {breaker['about']}, {_span(now - breaker['since'])} ago"
        emit(
            f"route {index} is cut off there: {about} (`fleet route reset {index}`)"
            if index is not None
            else f"a route that is no more was cut off: {about} (`fleet route reset`)"
        )
    _show_accounts(router["accounts"], now=now)
    _show_watches(router["watches"], several=len(router["accounts"]) > 1, now=now, everything=everything)


def _show_gate(gate: _Record) -> None:
    emit(f"gate: {gate['watches']} watches, {gate['routes']} routes, read at {_clock(gate['since'])}")
    if gate["faults"]:
        emit("  routes.json was edited since and has faults; the router goes on with what it read before:")
        for fault in gate["faults"]:
            emit(f"    {fault}")


def _show_accounts(accounts: Sequence[_Record], *, now: float) -> None:
    emit("")
    rows = [
        (
            account["name"],
            budget["resource"],
            "?" if budget["limit"] is None else f"{budget['remaining']}/{budget['limit']}",
            _clock(budget["reset_at"]),
            _points(budget["used"]),
            _points(budget["forecast_per_h"]),
            f"x{budget['stretch']:.2f}",
            budget["feeds"],
            budget["waiting"],
        )
        for account in accounts
        for budget in account["budgets"]
    ]
    table(("ACCOUNT", "BUDGET", "LEFT", "RESET", "USED/H", "FORECAST/H", "STRETCH", "FEEDS", "DUE"), rows)
    for account in accounts:
        for budget in account["budgets"]:
            where = f"{account['name']} {budget['resource']}"
            if budget["by_purpose"]:
                purposes = sorted(budget["by_purpose"].items(), key=lambda pair: -pair[1])
                emit(f"  {where}, last hour: " + ", ".join(f"{name} {_points(points)}" for name, points in purposes))
            if budget["paused_until"] is not None:
                emit(f"  {where} pauses until {_clock(budget['paused_until'])}: {budget['reason'] or ''}")
            if budget["stretch"] > 1.0:
                emit(f"  {where} is short: intervals are stretched by {budget['stretch']:.2f} until there is more")


def _show_watches(watches: Sequence[_Record], *, several: bool, now: float, everything: bool) -> None:
    shown = list(watches)
    if not everything and len(shown) > _SHOWN:
        shown.sort(key=lambda watch: (watch["last_error"] is None, -watch["points_per_h"]))
        shown = shown[:_SHOWN]
    emit("")
    table(
        (
            "WATCH",
            "KIND",
            "REPO",
            *(("ACCOUNT",) if several else ()),
            "LAST",
            "NEXT",
            "EVERY",
            "ITEMS",
            "PTS/H",
            "SWEEP/H",
        ),
        [
            (
                watch["name"],
                watch["kind"],
                watch["repo"],
                *((watch["account"],) if several else ()),
                "-" if watch["last_poll"] is None else f"{_span(now - watch['last_poll'])} ago",
                f"in {_span(max(0.0, watch['next_poll'] - now))}",
                _span(watch["interval_s"]),
                watch["items"],
                _points(watch["points_per_h"]),
                _points(watch["sweep_points_per_h"]),
            )
            for watch in shown
        ],
    )
    if len(shown) < len(watches):
        emit(f"... and {len(watches) - len(shown)} more (`fleet router status --all`)")
    errors: dict[str, list[str]] = {}
    for watch in watches:
        if watch["last_error"] is not None:
            errors.setdefault(watch["last_error"], []).append(watch["name"])
    for error, names in errors.items():
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        emit(f"! {some}: {error if len(error) <= _LONGEST_ERROR else error[:_LONGEST_ERROR] + ' ...'}")


def _clock(at: float | None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) if at is not None else "-"


def _span(seconds: float) -> str:
    """As a person says it: 4 s, 12 min, 3 h."""
    if seconds < 100:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.0f} h"


def _points(points: float) -> str:
    return f"{points:.0f}" if points >= 9.95 or points == 0 else f"{points:.1f}"

"""What `fleet router status` shows of a small fleet and of a large one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from relayfleet.cli.router_status import show
from relayfleet.router.status import (
    AccountStatus,
    BreakerStatus,
    BudgetStatus,
    GateStatus,
    RouterStatus,
    WatchStatus,
)

NOW = 1_700_000_000.0


def watch(number: int = 1, **more: Any) -> WatchStatus:
    known: dict[str, Any] = {
        "name": f"repository-{number}-issues",
        "kind": "issues",
        "repo": f"acme/repository-{number}",
        "filter": "",
        "account": "github.com",
        "poll_sec": 60.0,
        "interval_s": 60.0,
        "last_poll": NOW - 12.0,
        "next_poll": NOW + 48.0,
        "items": number,
        "points_per_h": 1.2,
        "sweep_points_per_h": 0.0,
        "last_error": None,
    }
    return WatchStatus(**{**known, **more})


def budget(resource: str = "graphql", **more: Any) -> BudgetStatus:
    known: dict[str, Any] = {
        "resource": resource,
        "limit": 5000,
        "remaining": 4321,
        "reset_at": NOW + 1800.0,
        "used": 679.0,
        "requests": 600,
        "by_purpose": {"probe": 600.0, "details": 60.0, "sweep": 19.0},
        "forecast_per_h": 1234.0,
        "stretch": 1.0,
        "feeds": 1000,
        "waiting": 0,
        "paused_until": None,
        "reason": None,
    }
    return BudgetStatus(**{**known, **more})


def account(*budgets: BudgetStatus, name: str = "github.com", **more: Any) -> AccountStatus:
    known: dict[str, Any] = {
        "name": name,
        "host": "github.com",
        "paused_until": None,
        "reason": None,
        "requests_last_minute": {"graphql": 20, "core": 0},
        "seconds_last_minute": 4.0,
    }
    return AccountStatus(budgets=budgets or (budget(),), **{**known, **more})


def answer(*watches: WatchStatus, **more: Any) -> dict[str, Any]:
    """What the running router says, as `observe_router` hands it on."""
    known: dict[str, Any] = {
        "state": "polling",
        "reason": None,
        "paused_until": None,
        "cursor_age_s": 12.0,
        "owed": 1,
        "delivered": 7,
        "held": 2,
        "held_items": (),
        "budgets": (),
        "gate": GateStatus(watches=len(watches), routes=3, since=NOW - 100, faults=()),
        "accounts": (account(),),
        "breakers": (),
        "watches": watches,
    }
    said = dataclasses.asdict(RouterStatus(**{**known, **more}))
    return {"pid": 77, **said, "polling": said.pop("state"), "state": "running"}


def shown(capsys: pytest.CaptureFixture[str], router: dict[str, Any], *, everything: bool = False) -> list[str]:
    show(router, now=NOW, everything=everything)
    return capsys.readouterr().out.splitlines()


def test_one_watch(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, answer(watch()))
    assert lines[0] == "router: running (pid 77), last record 12 s ago"
    assert "7 delivered, 1 owed, 2 in quarantine" in lines
    [row] = [line.split() for line in lines if line.startswith("repository-1-issues")]
    assert " ".join(row) == "repository-1-issues issues acme/repository-1 12 s ago in 48 s 60 s 1 1.2 0"
    assert "  github.com graphql, last hour: probe 600, details 60, sweep 19" in lines
    assert max(map(len, lines)) <= 120


def test_a_thousand_watches_fit_on_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    watches = [watch(number, points_per_h=float(number)) for number in range(1000)]
    watches[3] = watch(3, last_error="GitHub failed: HTTP 502")
    watches[4] = watch(4, last_error="GitHub failed: HTTP 502")
    router = answer(*watches)
    lines = shown(capsys, router)
    assert len(lines) < 50 and max(map(len, lines)) <= 120
    rows = [line.split()[0] for line in lines if line.startswith("repository-")]
    # Those that fail, then those that cost most.
    assert rows[:3] == ["repository-3-issues", "repository-4-issues", "repository-999-issues"]
    assert "... and 980 more (`fleet router status --all`)" in lines
    assert "! repository-3-issues, repository-4-issues: GitHub failed: HTTP 502" in lines
    everything = shown(capsys, router, everything=True)
    assert sum(line.startswith("repository-") for line in everything) == 1000


def test_what_holds_it_back(capsys: pytest.CaptureFixture[str]) -> None:
    short = budget(stretch=2.5, paused_until=NOW + 60, reason="GitHub's secondary limit \x1b[31m")
    router = answer(
        watch(),
        watch(2, account="bot"),
        accounts=(account(short), account(name="bot")),
        breakers=(
            BreakerStatus(route=3, about="acme/WMS#41", since=NOW - 600),
            BreakerStatus(route=None, about="acme/WMS#42", since=NOW - 600),
        ),
        gate=GateStatus(watches=2, routes=1, since=NOW - 100, faults=("routes.json: watches[0].kind: is missing",)),
    )
    text = "\n".join(shown(capsys, router))
    assert "github.com graphql pauses until" in text and "secondary limit" in text and "\x1b" not in text
    assert "intervals are stretched by 2.50" in text
    assert "agents answered each other about acme/WMS#41, 10 min ago (`fleet route reset 3`)" in text
    assert "a route that is no more was cut off" in text
    assert "goes on with what it read before" in text and "watches[0].kind: is missing" in text
    assert [line.split()[3] for line in text.splitlines() if line.startswith("repository-")] == ["github.com", "bot"]


def test_before_the_first_look(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = budget(limit=None, remaining=None, reset_at=None, used=0.0, requests=0, by_purpose={}, forecast_per_h=0.0)
    lines = shown(capsys, answer(watch(last_poll=None), accounts=(account(unknown),), cursor_age_s=None))
    [row] = [line for line in lines if line.startswith("github.com")]
    assert " ".join(row.split()) == "github.com graphql ? - 0 0 x1.00 1000 0"


def test_no_watches_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, answer(accounts=()))[0].startswith("router: running")


@pytest.mark.parametrize("state", ["stopped", "failed", "unresponsive"])
def test_one_that_does_not_run(capsys: pytest.CaptureFixture[str], state: str) -> None:
    router = {"state": state, "pid": None, "cursor_age_s": None, "error": "the lock is held", "hint": "look at it"}
    assert shown(capsys, router) == [f"router: {state}", "  the lock is held", "  hint: look at it"]

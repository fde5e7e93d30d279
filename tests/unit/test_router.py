"""The router over fakes: who is looked at when and by which account, what a failure holds back, an edited gate."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from relayfleet.errors import ConfigError
from relayfleet.model.fleet import GithubAccount
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.watch import Watch
from relayfleet.ports.cursor import Cursor
from relayfleet.ports.source import Budget, Failure
from relayfleet.router.daemon import Router
from relayfleet.router.status import RouterStatus, WatchStatus
from relayfleet.testing import (
    ManualClock,
    MemoryAuthorship,
    MemoryCursor,
    MemoryGateFile,
    MemoryLog,
    MemoryTransport,
    ScriptedSource,
    a_report,
)

WMS = "acme/WMS"


def watch(name: str = "w", *, kind: str = "issues", repo: str = WMS, poll_sec: float = 60.0, filter: str = "") -> Watch:
    return Watch(name=name, kind=kind, repo=repo, poll_sec=poll_sec, filter=filter)  # type: ignore[arg-type]


def gate_of(*watches: Watch, routes: Sequence[Route] = (Route(match=Match(), to=("coder",)),)) -> Gate:
    return Gate(watches=tuple(watches), routes=tuple(routes))


class Fleet:
    """A router that is driven by hand. Every account has a source of its own, which knows all repositories."""

    def __init__(
        self,
        gate: Gate,
        *repos: str,
        accounts: Sequence[GithubAccount] = (),
        cursor: Cursor | None = None,
        start: float = 1_700_000_000.0,
    ) -> None:
        self.clock = ManualClock(start)
        self.cursor = cursor or MemoryCursor()
        self.transport = MemoryTransport()
        self.log = MemoryLog()
        self.authorship = MemoryAuthorship()
        self.gate_file = MemoryGateFile(gate)
        self.sources: dict[str, ScriptedSource] = {}
        self.repos = repos or (WMS,)
        self.router = Router(
            gate_file=self.gate_file,
            accounts=accounts,
            connect=self.connect,
            cursor=self.cursor,
            transport=self.transport,
            authorship=self.authorship,
            log=self.log,
            clock=self.clock,
            rng=random.Random(1),
        )

    def connect(self, account: GithubAccount) -> ScriptedSource:
        self.sources[account.name] = ScriptedSource(*self.repos, now=self.clock.now)
        return self.sources[account.name]

    @property
    def github(self) -> ScriptedSource:
        return self.sources["github.com"]

    async def round(self, *, passing: float = 60.0) -> None:
        for lane in self.router.lanes:
            await self.router.poll(lane)
        await self.router.deliver()
        self.clock.advance(passing)

    def put(self, number: int, *, ago: float = 0.0, **fields: Any) -> None:
        """As it is `ago` seconds before now; what has a title was edited then."""
        at = self.at(ago=ago)
        edited_at = at if "title" in fields else ""
        self.github.put(a_report(number, updated_at=at, edited_at=edited_at, **fields))

    def at(self, *, ago: float = 0.0) -> str:
        return datetime.fromtimestamp(self.clock.now() - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def got(self, agent: str = "coder") -> list[str]:
        return [f"{one.metadata['number']} {one.metadata['event']}" for one in self.transport.entries.get(agent, [])]

    def status(self, name: str = "w") -> WatchStatus:
        return next(one for one in self.router.status().watches if one.name == name)


async def test_a_first_look_is_silent_and_a_change_reaches_the_agent_once() -> None:
    fleet = Fleet(gate_of(watch()))
    fleet.put(1, ago=1000.0)
    await fleet.round()
    assert fleet.got() == []
    fleet.put(1, ago=1.0, title="now it burns")
    for _ in range(3):
        await fleet.round()
    assert fleet.got() == ["1 updated"]
    [snapshot] = fleet.log.of("router.snapshot")
    assert snapshot[1] == {"watch": "w", "items": 1}


async def test_feeds_of_one_rhythm_are_asked_for_together() -> None:
    repos = [f"acme/r{number}" for number in range(30)]
    watches = [watch(f"{kind}{repo}", kind=kind, repo=repo) for repo in repos for kind in ("issues", "pulls", "runs")]
    fleet = Fleet(gate_of(*watches), *repos)
    for _ in range(3):
        await fleet.round()
    # Issues and pull requests of a repository are one feed, runs another.
    assert [len(looks) for looks in fleet.github.looks] == [30, 30] * 3
    assert {len({look.feed.lane for look in looks}) for looks in fleet.github.looks} == {1}


async def test_the_fastest_watch_of_a_repository_sets_its_rhythm() -> None:
    fleet = Fleet(gate_of(watch("slow", poll_sec=240.0), watch("fast", kind="pulls", poll_sec=30.0)))
    await fleet.round(passing=30.0)
    await fleet.round(passing=30.0)
    assert len(fleet.github.looks) == 2
    assert fleet.status("slow").interval_s == 30.0


async def test_what_keeps_failing_is_said_once_and_is_over_once() -> None:
    fleet = Fleet(gate_of(watch()))
    await fleet.round()
    for _ in range(3):
        fleet.github.failures.append(Failure(kind="server", message="HTTP 502", status=502))
        await fleet.round()
    assert fleet.status().last_error == "GitHub failed: HTTP 502"
    await fleet.round()
    assert len(fleet.log.of("router.failing")) == len(fleet.log.of("router.recovered")) == 1
    assert fleet.status().last_error is None


async def test_after_a_502_the_round_is_tried_again_soon() -> None:
    repos = [f"acme/r{number}" for number in range(200)]
    fleet = Fleet(gate_of(*(watch(repo, repo=repo, poll_sec=600.0) for repo in repos)), *repos)
    await fleet.round(passing=600.0)
    fleet.github.failures.append(Failure(kind="server", message="HTTP 502", status=502))
    before = len(fleet.github.looks)
    await fleet.round(passing=0.0)
    [lane] = fleet.router.lanes
    assert len(lane.waiting) == 200
    due = lane.due_at(stretch=1.0)
    assert due is not None and 1.0 <= due - fleet.clock.monotonic() <= 1.5
    fleet.clock.advance(2.0)
    await fleet.round()
    first, second = fleet.github.looks[before:]
    assert {one.feed for one in first} == {one.feed for one in second}
    # What the failed request was for comes last.
    assert [one.feed for one in first[:50]] == [one.feed for one in second[-50:]]
    assert not lane.waiting


async def test_one_repository_that_is_gone_does_not_disturb_the_others() -> None:
    fleet = Fleet(gate_of(watch("here"), watch("away", repo="acme/away")))
    for _ in range(5):
        await fleet.round(passing=10.0)
        fleet.put(1, ago=0.0, title=f"{fleet.clock.now()}")
    assert fleet.status("here").last_error is None
    assert "no such repository" in (fleet.status("away").last_error or "")
    assert [name for name, _ in fleet.log.of("router.failing")] == [fleet.status("away").last_error]


async def test_a_bad_token_pauses_the_whole_account_and_one_line_says_until_when() -> None:
    other = GithubAccount(name="other", owners=("umbrella",))
    fleet = Fleet(
        gate_of(watch(), watch("r", kind="runs"), watch("u", repo="umbrella/x")), WMS, "umbrella/x", accounts=[other]
    )
    await fleet.round()
    bad = Failure(kind="auth", message="Bad credentials", status=401)
    fleet.github.failures += [bad, bad]
    await fleet.round(passing=0.0)
    [(message, fields)] = fleet.log.of("router.failing")
    assert "'github.com'" in message and "Bad credentials" in message and "2023-11-14T22:19:20Z" in message
    assert fields["scope"] == "account github.com"
    by_name = {account.name: account for account in fleet.router.status().accounts}
    until = by_name["github.com"].paused_until
    assert until is not None and until - fleet.clock.now() == pytest.approx(300.0, abs=1.0)
    assert by_name["other"].paused_until is None
    assert fleet.router.status().state == "polling"

    asked = len(fleet.github.looks)
    fleet.clock.advance(301.0)
    await fleet.round()
    assert len(fleet.github.looks) == asked + 2
    assert len(fleet.log.of("router.recovered")) == 1


async def test_a_secondary_limit_of_one_lane_holds_the_other_and_is_not_counted_twice() -> None:
    fleet = Fleet(gate_of(watch(), watch("r", kind="runs")))
    await fleet.round()
    limited = Failure(kind="secondary", message="slow down")
    fleet.github.failures += [limited, limited]
    await fleet.round(passing=0.0)
    [account] = fleet.router.status().accounts
    assert account.paused_until is not None
    assert account.paused_until - fleet.clock.now() == pytest.approx(60.0, abs=1.0)
    assert fleet.router.status().state == "paused"
    fleet.clock.advance(61.0)
    fleet.github.failures.append(limited)
    await fleet.round(passing=0.0)
    [account] = fleet.router.status().accounts
    assert account.paused_until is None or account.paused_until - fleet.clock.now() == pytest.approx(120.0, abs=1.0)


async def test_a_spent_allowance_pauses_one_lane() -> None:
    fleet = Fleet(gate_of(watch(), watch("r", kind="runs")))
    await fleet.round()
    fleet.github.failures.append(Failure(kind="primary", message="API rate limit exceeded", wait_s=900.0))
    await fleet.round(passing=0.0)
    graphql, core = fleet.router.status().accounts[0].budgets
    assert graphql.paused_until is not None and graphql.paused_until - fleet.clock.now() == pytest.approx(
        900.0, abs=1.0
    )
    assert core.paused_until is None


async def test_a_watch_goes_by_the_first_account_that_is_for_it() -> None:
    accounts = [
        GithubAccount(name="bot", owners=("ACME",)),
        GithubAccount(name="rest"),
        GithubAccount(name="never", owners=("acme",)),
        GithubAccount(name="corp", host="ghe.corp"),
    ]
    repos = (WMS, "umbrella/x", "ghe.corp/tools/ci", "ghe.other/a/b")
    fleet = Fleet(gate_of(*(watch(repo, repo=repo) for repo in repos)), *repos, accounts=accounts)
    await fleet.round()
    found = {one.name: one.account for one in fleet.router.status().watches}
    assert found == {WMS: "bot", "umbrella/x": "rest", "ghe.corp/tools/ci": "corp", "ghe.other/a/b": "ghe.other"}
    assert set(fleet.sources) == {"bot", "rest", "corp", "ghe.other"}
    assert all(one.last_error is None for one in fleet.router.status().watches)


async def test_the_plan_stretches_when_the_budget_is_short_and_says_so() -> None:
    fleet = Fleet(gate_of(watch(poll_sec=10.0)))
    reset_at = fleet.clock.now() + 3600.0
    fleet.github.points = 5
    fleet.github.budgets = (Budget(resource="graphql", limit=5000, remaining=1400, reset_at=reset_at),)
    await fleet.round(passing=0.0)
    [budget] = fleet.router.status().accounts[0].budgets
    # 5 points every 10 s are 1,800 an hour; 1,400 less the reserve of 500 are left for one.
    assert budget.stretch == pytest.approx(2.0, rel=0.01)
    assert budget.forecast_per_h == pytest.approx(900, rel=0.01)
    assert fleet.status().interval_s == pytest.approx(20.0, rel=0.01)
    fleet.clock.advance(10.0)
    await fleet.round(passing=0.0)
    assert len(fleet.github.looks) == 1
    fleet.clock.advance(11.0)
    await fleet.round()
    assert len(fleet.github.looks) == 2
    assert fleet.status().points_per_h == pytest.approx(900, rel=0.05)


async def test_an_edit_adds_a_watch_silently_and_forgets_another() -> None:
    fleet = Fleet(gate_of(watch("old"), watch("stays")), WMS, "acme/new")
    fleet.put(1, ago=1000.0)
    await fleet.round(passing=10.0)
    fleet.gate_file.edit(gate_of(watch("stays"), watch("new", repo="acme/new")))
    assert fleet.gate_file.has_changed()
    fleet.put(2, ago=1000.0, repo="acme/new")
    await fleet.router.reload()
    assert not fleet.gate_file.has_changed()
    # The new watch is looked at at once, and the one that stays keeps its rhythm.
    await fleet.round()
    assert fleet.got() == []
    assert [look.feed.repo for look in fleet.github.looks[-1]] == ["acme/new"]
    assert set(fleet.cursor.watches()) == {"stays", "new"}
    [(_, fields)] = fleet.log.of("router.reloaded")
    assert (fields["added"], fields["removed"]) == (["new"], ["old"])
    fleet.put(2, repo="acme/new", title="changed")
    fleet.put(1, title="changed")
    for _ in range(2):
        await fleet.round()
    assert sorted(fleet.got()) == ["1 updated", "2 updated"]


async def test_a_watch_that_comes_back_begins_anew() -> None:
    fleet = Fleet(gate_of(watch(), watch("b", repo="acme/b")), WMS, "acme/b")
    fleet.put(1, ago=1000.0)
    await fleet.round()
    both = fleet.router
    fleet.gate_file.edit(gate_of(watch("b", repo="acme/b")))
    await both.reload()
    fleet.put(1, title="nobody looks")
    await fleet.round()
    fleet.gate_file.edit(gate_of(watch(), watch("b", repo="acme/b")))
    await both.reload()
    for _ in range(3):
        await fleet.round()
    assert fleet.got() == []


async def test_a_broken_edit_keeps_the_gate_and_is_said_once() -> None:
    fleet = Fleet(gate_of(watch()))
    fleet.put(1, ago=1000.0)
    await fleet.round()
    fleet.gate_file.edit(gate_of(), faults=("routes.json: watches[0].kind: is missing",))
    await fleet.router.reload()
    assert fleet.router.status().gate.faults == ("routes.json: watches[0].kind: is missing",)
    fleet.put(1, title="changed")
    await fleet.round()
    await fleet.round()
    assert fleet.got() == ["1 updated"]
    assert len(fleet.log.of("router.reload_refused")) == 1

    fleet.gate_file.edit(gate_of(watch(), watch("p", kind="pulls")))
    await fleet.router.reload()
    assert fleet.router.status().gate.faults == ()
    assert {one.name for one in fleet.router.status().watches} == {"w", "p"}


def test_a_gate_with_faults_is_no_gate_to_start_with() -> None:
    gate_file = MemoryGateFile(gate_of())
    gate_file.edit(gate_of(), faults=("routes.json: routes[0].to: is missing",))
    with pytest.raises(ConfigError):
        Router(
            gate_file=gate_file,
            connect=lambda account: ScriptedSource(now=lambda: 0.0),
            cursor=MemoryCursor(),
            transport=MemoryTransport(),
            authorship=MemoryAuthorship(),
            log=MemoryLog(),
            clock=ManualClock(),
            rng=random.Random(1),
        )


async def test_no_round_is_under_way_while_the_gate_changes() -> None:
    """A round that began with the old gate is recorded with it; the edit waits for that."""
    fleet = Fleet(gate_of(watch()))
    source = fleet.github
    answering = asyncio.Event()
    look = source.look

    async def slow(looks: object) -> object:
        await answering.wait()
        return await look(looks)  # type: ignore[arg-type]

    source.look = slow  # type: ignore[method-assign, assignment]
    [lane] = fleet.router.lanes
    polling = asyncio.create_task(fleet.router.poll(lane))
    await asyncio.sleep(0)
    fleet.gate_file.edit(gate_of(watch("other")))
    reloading = asyncio.create_task(fleet.router.reload())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not reloading.done()
    assert [one.name for one in fleet.router.status().watches] == ["w"]
    answering.set()
    await polling
    await reloading
    assert set(fleet.cursor.watches()) == set()
    assert [one.name for one in fleet.router.status().watches] == ["other"]


async def test_nothing_is_lost_when_the_cursor_is_full() -> None:
    fleet = Fleet(gate_of(watch()))
    fleet.put(1, ago=1000.0)
    await fleet.round()
    fleet.put(1, title="changed")
    fleet.cursor.full = True
    await fleet.round(passing=5.0)
    assert "cannot be written" in (fleet.status().last_error or "")
    fleet.cursor.full = False
    for _ in range(2):
        await fleet.round()
    assert fleet.got() == ["1 updated"]
    assert fleet.status().last_error is None


COOLING = Route(match=Match(), to=("coder",), cooldown_s=100.0)


async def test_a_route_that_cools_down_joins_what_comes_meanwhile() -> None:
    fleet = Fleet(gate_of(watch(poll_sec=10.0), routes=[COOLING]))
    fleet.put(1, ago=1000.0)
    await fleet.round(passing=10.0)
    for number in range(5):
        fleet.put(1, title=f"title {number}")
        await fleet.round(passing=10.0)
    assert fleet.got() == ["1 updated"]
    for _ in range(10):
        await fleet.round(passing=10.0)
    first, second = fleet.transport.entries["coder"]
    assert first.metadata["title"] == "title 0"
    assert (second.metadata["title"], second.metadata["joined"]) == ("title 4", 4)


@pytest.mark.parametrize("years", [10, -10])
async def test_a_clock_that_jumps_neither_stalls_nor_floods(years: int) -> None:
    seconds = years * 365 * 86_400.0
    fleet = Fleet(gate_of(watch(poll_sec=10.0), watch("p", kind="pulls", poll_sec=10.0), routes=[COOLING]))
    github_time = fleet.clock.now  # GitHub's clock does not jump.
    offset = 0.0
    fleet.github._now = lambda: github_time() - offset

    def change(title: str) -> None:
        fleet.put(1, ago=offset, title=title)

    async def rounds(times: int) -> None:
        for _ in range(times):
            await fleet.round(passing=10.0)

    change("before")
    await rounds(2)
    change("one")
    await rounds(1)
    fleet.clock.jump(seconds)
    offset = seconds
    change("two")
    await rounds(15)
    fleet.clock.jump(-seconds)
    offset = 0.0
    change("three")
    await rounds(15)
    titles = [entry.metadata["title"] for entry in fleet.transport.entries["coder"]]
    assert titles == ["one", "two", "three"]
    # Sweeps go by the clock that never jumps: at most one in ten minutes.
    assert sum(bool(look.sweep) for looks in fleet.github.looks for look in looks) <= 1


async def test_a_clock_that_jumped_ahead_does_not_make_everything_look_old() -> None:
    pruned: list[float] = []

    class Noting(MemoryCursor):
        def prune(self, *, now: float) -> None:
            pruned.append(now)

    fleet = Fleet(gate_of(watch()), cursor=Noting(), start=1000.0)
    fleet.clock.advance(600.0)
    fleet.clock.jump(1e9)
    fleet.router.prune()
    fleet.clock.jump(-1e9 - 500.0)
    fleet.router.prune()
    assert pruned == [1600.0, 1100.0]


async def test_it_runs_until_it_is_told_to_stop() -> None:
    fleet = Fleet(gate_of(watch(), watch("r", kind="runs")))
    fleet.put(1, ago=1000.0)
    stop = asyncio.Event()
    running = asyncio.create_task(fleet.router.run(stop))
    await _until(lambda: fleet.status().last_poll is not None and fleet.status("r").last_poll is not None)
    fleet.put(1, title="changed")
    await _until(lambda: fleet.got() == ["1 updated"])
    fleet.gate_file.edit(gate_of(watch("x", repo="ghe.corp/a/b"), routes=[replace(COOLING, to=("ops",))]))
    await _until(lambda: [one.name for one in fleet.router.status().watches] == ["x"])
    await _until(lambda: bool(fleet.sources["ghe.corp"].looks))
    stop.set()
    await asyncio.wait_for(running, 5)
    assert [action for _, action, _, _ in fleet.log.lines][-1] == "router.stopped"


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to pass")


def test_the_status_of_nothing() -> None:
    status: RouterStatus = Fleet(gate_of()).router.status()
    assert (status.state, status.watches, status.accounts) == ("polling", (), ())

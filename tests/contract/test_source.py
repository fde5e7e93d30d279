"""What every `Source` promises the router. GitHub's own is asked through the real `gh`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from relayfleet.model.filter import parse_filter
from relayfleet.model.item import Kind
from relayfleet.model.snapshot import snapshot_of
from relayfleet.model.watch import Feed, Progress
from relayfleet.ports.source import Failure, Listing, Look, Round, Sight, Source
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.testing import ScriptedSource, a_report
from tests.standins.github import github_standin

FEED = Feed("github.com", "acme/wms", "items")
RUNS = Feed("github.com", "acme/wms", "runs")
LONG_AGO = 3600.0


@dataclass
class View:
    """A source that sees acme/WMS, and how to change what it sees: `put` an issue as of `ago` seconds, `remove` it, let
    the next round fail."""

    source: Source
    put: Callable[[int, float, str], str]
    remove: Callable[[int], None]
    fail: Callable[[], None]
    heal: Callable[[], None] = lambda: None

    async def look(
        self,
        feed: Feed = FEED,
        *,
        before: Sight | None = None,
        members: tuple[str, ...] = (),
        again: tuple[str, ...] = (),
    ) -> Round:
        kind: Kind = "runs" if feed.lane == "runs" else "issues"
        listing = Listing(watch="w", kind=kind, filter=parse_filter("", kind))
        snapshots = {one.item.node_id: snapshot_of(one) for one in before.reports} if before else {}
        look = Look(
            feed=feed,
            kinds=(kind,),
            progress=before.progress if before else {},
            known=lambda node_ids: {key: snapshots[key] for key in node_ids if key in snapshots},
            members=lambda kind: members,
            listings=() if before else (listing,),
            again=again,
        )
        return await self.source.look([look])


def scripted() -> Iterator[View]:
    source = ScriptedSource("acme/wms", now=time.time)
    node_ids: dict[int, str] = {}

    def put(number: int, ago: float, title: str) -> str:
        at = datetime.fromtimestamp(time.time() - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        report = a_report(number, updated_at=at, title=title)
        node_ids[number] = report.item.node_id
        source.put(report)
        return report.item.node_id

    def fail() -> None:
        source.failures.append(Failure(kind="server", message="HTTP 500", status=500))

    yield View(source, put, lambda number: source.remove(node_ids[number]), fail)


def github() -> Iterator[View]:
    with github_standin() as standin:
        standin.do(lambda: standin.state.add_repository("acme/WMS"))
        there = set[int]()

        def put(number: int, ago: float, title: str) -> str:
            known = {} if number in there else {"author": "ann"}
            there.add(number)
            return standin.put("acme/WMS", "issues", number, title=title, at=time.time() - ago, **known).node_id

        yield View(
            GitHubSource(GhProgram(("gh",), standin.env), time.time),
            put,
            lambda number: standin.remove("acme/WMS", "issues", number),
            lambda: standin.fault("500", times=1),
            standin.heal,
        )


KINDS = {"scripted": scripted, "github": github}


@pytest.fixture(
    params=[
        "scripted",
        pytest.param("github", marks=[pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]),
    ]
)
def view(request: pytest.FixtureRequest) -> Iterator[View]:
    yield from KINDS[request.param]()


def only(found: Round) -> Sight:
    assert found.failure is None and not found.failures
    [sight] = found.sights
    return sight


async def test_a_first_look_lists_what_is_there(view: View) -> None:
    ids = {view.put(number, LONG_AGO + number, f"title {number}") for number in range(1, 4)}
    found = await view.look()
    sight = only(found)
    assert {item.node_id for item in sight.listed["w"]} == ids
    assert {item.title for item in sight.listed["w"]} == {"title 1", "title 2", "title 3"}
    assert not sight.reports and not sight.gone
    progress = sight.progress["issues"]
    assert progress.mark and progress.count == 3
    assert sight.feed == FEED and sight.named.casefold() == "acme/wms"
    assert found.spent and {feed for one in found.spent for feed in one.feeds} == {FEED.key}
    assert all(one.points >= 0 and one.resource == "graphql" and one.seconds > 0 for one in found.spent)


async def test_an_empty_repository_has_a_mark_too(view: View) -> None:
    first = only(await view.look())
    assert first.listed["w"] == ()
    node_id = view.put(1, 0.0, "the first one")
    second = only(await view.look(before=first))
    assert [report.item.node_id for report in second.reports] == [node_id]


async def test_nothing_new_is_nothing_to_report(view: View) -> None:
    view.put(1, LONG_AGO, "old")
    first = only(await view.look())
    second = only(await view.look(before=first))
    assert not second.reports and not second.gone and not second.listed
    assert second.progress["issues"].mark == first.progress["issues"].mark


async def test_a_change_is_reported_until_it_has_settled(view: View) -> None:
    view.put(1, LONG_AGO, "old")
    first = only(await view.look())
    node_id = view.put(1, 0.0, "new")
    second = only(await view.look(before=first))
    [report] = second.reports
    assert (report.item.node_id, report.item.title) == (node_id, "new")
    # It may change again within the same second: it stays above the mark.
    assert second.progress["issues"].mark < report.item.updated_at
    view.put(1, 60.0, "new")
    third = only(await view.look(before=first))
    assert third.progress["issues"].mark == third.reports[0].item.updated_at
    assert not only(await view.look(before=third)).reports


async def test_what_is_asked_for_again_is_reported_though_it_is_old(view: View) -> None:
    node_id = view.put(1, LONG_AGO, "old")
    first = only(await view.look())
    second = only(await view.look(before=first, again=(node_id,)))
    assert [report.item.node_id for report in second.reports] == [node_id]


async def test_an_item_that_is_deleted_is_gone(view: View) -> None:
    kept, lost = view.put(1, LONG_AGO, "kept"), view.put(2, LONG_AGO, "lost")
    first = only(await view.look())
    view.remove(2)
    second = only(await view.look(before=first, members=(kept, lost)))
    assert second.gone == (lost,)


async def test_a_repository_that_is_not_there_fails_by_itself(view: View) -> None:
    view.put(1, LONG_AGO, "old")
    away = Feed("github.com", "acme/away", "items")
    looks = [
        Look(feed=feed, kinds=("issues",), progress={}, known=lambda ids: {}, members=lambda kind: ())
        for feed in (away, FEED)
    ]
    found = await view.source.look(looks)
    assert found.failure is None
    assert [sight.feed for sight in found.sights] == [FEED]
    assert {key: failure.kind for key, failure in found.failures.items()} == {away.key: "not_found"}


async def test_a_failure_ends_the_round_and_nothing_is_reported(view: View) -> None:
    view.put(1, LONG_AGO, "old")
    first = only(await view.look())
    view.put(1, 0.0, "new")
    view.fail()
    found = await view.look(before=first)
    assert found.failure is not None and found.failure.kind == "server"
    assert found.sights == ()
    view.heal()
    assert only(await view.look(before=first)).reports


async def test_runs_come_by_another_way(view: View) -> None:
    found = await view.look(RUNS)
    sight = only(found)
    assert sight.feed == RUNS and isinstance(sight.progress["runs"], Progress)
    assert {one.resource for one in found.spent} == {"core"}

"""What looking costs, counted by the stand-in: through the real `gh`."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from relayfleet.model.route import Gate
from relayfleet.model.watch import Watch
from relayfleet.router.poll import SWEEP_S, Poller
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.testing import MemoryAuthorship, MemoryLog
from tests.standins.github import GitHubStandin, github_standin

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]
REPOS = tuple(f"acme/repo{number}" for number in range(60))


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        running.do(lambda: running.state.seed(len(REPOS), issues=3, pulls=2, runs=0))
        yield running


class Last(random.Random):
    """All feeds are swept in the same round."""

    def random(self) -> float:
        return 0.0


async def test_a_round_over_many_repositories_is_a_few_requests(github: GitHubStandin, tmp_path: Path) -> None:
    watches = tuple(
        Watch(name=f"{kind} {repo}", kind=kind, repo=repo) for repo in REPOS for kind in ("issues", "pulls")
    )
    cursor = SqliteCursor(tmp_path / "router.db")
    source = GitHubSource(GhProgram(("gh",), github.env), time.time)
    poller = Poller(
        gate=Gate(watches=watches),
        cursor=cursor,
        authorship=MemoryAuthorship(),
        log=MemoryLog(),
        rng=Last(),
        moment=0.0,
    )

    async def look(moment: float) -> tuple[int, float]:
        """Requests and points, as the stand-in counts them."""
        github.do(github.state.log.clear)
        polled = await poller.poll(source, list(poller.feeds), now=time.time(), moment=moment)
        assert len(polled.seen) == len(REPOS)
        seen = github.requests("graphql")
        assert sum(one["cost"] for one in seen) == sum(one.points for one in polled.round.spent)
        assert len(seen) == len(polled.round.spent)
        return len(seen), sum(one["cost"] for one in seen)

    await look(0.0)
    assert await look(1.0) == (2, 2)
    github.put(REPOS[7], "issues", 2, title="changed")
    requests, _ = await look(2.0)
    assert requests == 3
    # Sweeps of all repositories share their queries: 120 pull requests.
    requests, points = await look(SWEEP_S)
    assert (requests - 3, points) <= (2, 20)
    cursor.close()

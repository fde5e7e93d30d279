"""Random stories of workflow runs, read over REST by the real `gh`, against a plain model of what must come of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from relayfleet.model.watch import Watch
from tests.oracle.oracle import Expected
from tests.oracle.reader import BEGAN, FAULTS, Reader
from tests.oracle.runs import RunOracle, RunStory, WatchedRuns, runs_of
from tests.standins.github import github_standin

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]

VIEWS = {
    "all": ("", lambda run: True),
    "red": ("--status failure", lambda run: run.conclusion == "failure"),
    "busy": ("--status in_progress --branch main", lambda run: run.status == "in_progress" and run.branch == "main"),
    "release": ("--workflow release", lambda run: run.workflow == "Release"),
}


@pytest.mark.timeout(7200)
async def test_every_run_once_and_nothing_else(tmp_path: Path, rng: random.Random, long: bool) -> None:
    with github_standin() as github:
        limits = github.limits()
        limits.allowed |= {"core": 10**9}
        limits.enforce_secondary = False
        reader, oracle, story = Reader[WatchedRuns](github, tmp_path, rng), RunOracle(), RunStory(github, rng)
        repos: dict[str, int] = {}
        for index in range(20 if long else 3):
            repo, runs = f"acme/repo{index}", rng.choice([0, 20, 150])
            repos[repo] = story.begin(repo, runs=runs, at=BEGAN - 20 * 86_400, private=rng.random() < 0.3)
            for name in rng.sample(list(VIEWS), 2):
                watch = Watch(name=f"{name} {repo}", kind="runs", repo=repo, filter=VIEWS[name][0])
                reader.watched.append(WatchedRuns(watch, VIEWS[name][1]))
        levels = {one.watch.name: reader.agents(one.watch.name, 3) for one in reader.watched}
        reader.route(levels)
        reader.start()
        expected, unread = Expected(), set(repos)
        for number in range(400 if long else 40):
            repositories = {one.id: one for one in github.state.repositories.values()}
            for repo, repository in repos.items():
                bursts = rng.random() < 0.05 and number > 0 and repo not in unread
                for _ in range(rng.choice([0, 1, 3, 8]) if number else 0):
                    reader.pass_moment()
                    story.act(repositories[repository], calm=not bursts)
                if bursts:
                    story.burst(repositories[repository])
            unread = set(repos)
            if rng.random() < 0.2:
                github.fault(rng.choice(FAULTS), times=1, after=rng.randrange(4), retry_after=1)
            if rng.random() < 0.1:
                reader.restart()
            reader.pass_time(rng.choice([0.0, 1.0, 300.0]))
            for _ in range(2):
                truth = github.do(lambda: runs_of(github.state))
                read = await reader.poll(list(repos))
                names = {repo: (repos[repo], repositories[repos[repo]].full) for repo in read}
                expected += oracle.look(truth, names, reader.watched, levels)
                unread -= set(read)
            if not unread:
                story.resting.clear()
            github.heal()
            reader.deliver()
            reader.compare(expected, f"round {number}")
            expected = Expected()
        reader.cursor.close()

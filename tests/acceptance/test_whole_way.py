"""GitHub through the real `gh`, the router, an inbox, the real `claude`, a receipt: the whole way of an event."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.github import GitHubStandin, github_standin
from tests.standins.model import ModelStandin, until

pytestmark = pytest.mark.needs("gh", "claude", "github-schema")
REPO = "acme/WMS"


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        running.put(REPO, "issues", title="The pump is loud", body="It hums.")
        yield running


def _watch(fleet: Fleet, github: GitHubStandin, *agents: str) -> None:
    """One watch over the open issues of a private repository, every second, to `agents`."""
    fleet.env.update(github.env)
    gate: dict[str, Any] = {
        "watches": [{"name": "open", "kind": "issues", "repo": REPO, "filter": "--state open", "poll_sec": 1}],
        "routes": [{"match": {"watch": "open"}, "to": list(agents), "trust": "anyone"}],
    }
    fleet.edit("routes.json", lambda c: c.update(gate))
    fleet.run("router", "start")
    until(lambda: fleet.json("router", "status")["router"]["watches"][0]["last_poll"])


def test_an_edited_issue_becomes_a_turn_that_is_handled(
    real: Fleet, model: ModelStandin, github: GitHubStandin
) -> None:
    real.run("new-agent", "coder")
    real.run("start", "coder")
    _watch(real, github, "coder")
    assert real.entries("coder") == [], "the first look is silent"
    github.put(REPO, "issues", 1, body="It screams now.")
    (entry,) = real.wait_for("coder", "handled")
    expected = {"repo", "kind", "number", "event", "url", "title", "author", "association", "state", "labels"}
    assert expected | {"updated_at", "watch"} <= set(entry["metadata"])
    assert model.has_seen(f"[FROM github | {REPO}#1 updated | id={entry['id']} trust=")
    assert model.has_seen("> It screams now.")
    assert real.json("status")["router"]["state"] == "running"


def test_ten_agents_get_one_issue_once_each(real: Fleet, github: GitHubStandin) -> None:
    names = [f"agent-{n}" for n in range(10)]
    for name in names:
        real.run("new-agent", name)
    real.run("start", "--all")
    _watch(real, github, *names)
    github.put(REPO, "issues", title="For everybody", body="all of you")
    for name in names:
        (entry,) = real.wait_for(name, "handled", within_s=60)
        assert entry["metadata"]["title"] == "For everybody"


def test_kill_9_of_the_router_loses_and_repeats_nothing(scripted: Fleet, github: GitHubStandin) -> None:
    scripted.run("new-agent", "coder")
    scripted.run("start", "coder")
    _watch(scripted, github, "coder")
    for round_number in range(5):
        github.put(REPO, "issues", title=f"issue {round_number}", body="x")
        process = psutil.Process(scripted.json("status")["router"]["pid"])
        process.send_signal(signal.SIGKILL)
        until(lambda: scripted.json("status")["router"]["state"] == "failed")
        scripted.run("router", "start")
    scripted.wait_for("coder", "handled", count=5)
    titles = [entry["metadata"]["title"] for entry in scripted.entries("coder")]
    assert sorted(titles) == [f"issue {n}" for n in range(5)]

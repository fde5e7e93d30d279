"""What the operator does to a router that runs: quarantine, replay, a forgotten watch, a breaker that is reset."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.load import load_gate
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.cursor import Batch, Breaker
from relayfleet.store.router_db.cursor import SqliteCursor
from tests.acceptance.conftest import Fleet
from tests.events import write
from tests.standins.github import GitHubStandin, github_standin
from tests.standins.model import until

pytestmark = pytest.mark.needs("gh", "github-schema")
REPO = "acme/WMS"


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        running.do(lambda: running.state.add_repository(REPO, private=False))
        running.associate(REPO, "ann", "MEMBER")
        running.put(REPO, "issues", title="There before", body="x", author="ann")
        yield running


@pytest.fixture
def watching(fleet: Fleet, github: GitHubStandin) -> Fleet:
    """A fleet whose router watches the issues of a public repository every second for one agent."""
    fleet.env.update(github.env)
    fleet.run("new-agent", "coder")
    gate: dict[str, Any] = {
        "watches": [{"name": "open", "kind": "issues", "repo": REPO, "filter": "--state open", "poll_sec": 1}],
        "routes": [{"match": {"watch": "open"}, "to": ["coder"]}],
    }
    fleet.edit("routes.json", lambda c: c.update(gate))
    start(fleet)
    return fleet


def start(fleet: Fleet) -> None:
    fleet.run("router", "start")
    until(lambda: fleet.json("router", "status")["router"]["watches"][0]["last_poll"], what="a first look")


def entries(fleet: Fleet, count: int) -> list[dict[str, Any]]:
    """What is in the inbox, once there are so many."""
    until(lambda: len(fleet.entries("coder")) >= count, what=f"{count} entries")
    return fleet.entries("coder")


def held(fleet: Fleet) -> list[dict[str, Any]]:
    """What is in quarantine, once there is something."""
    until(lambda: fleet.json("quarantine", "list")["held"], what="something in quarantine")
    found: list[dict[str, Any]] = fleet.json("quarantine", "list")["held"]
    return found


def db_of(fleet: Fleet) -> Path:
    return fleet.root / "state" / "router.db"


def test_a_strangers_issue_is_held_until_it_is_released(watching: Fleet, github: GitHubStandin) -> None:
    github.put(REPO, "issues", title="Let me in", body="do as I say", author="mallory")
    (one,) = held(watching)
    assert (one["repo"], one["number"], one["by"][0]["author"]) == (REPO, 2, "mallory")
    assert watching.entries("coder") == []
    assert "  | do as I say" in watching.run("quarantine", "show", str(one["id"])).stdout
    assert "held back from coder: 'mallory' is stranger" in watching.run("router", "log", f"{REPO}#2").stdout
    done = watching.run("quarantine", "release", str(one["id"]))
    assert done.stderr == "the router delivers it now\n"
    (entry,) = entries(watching, 1)
    known = entry["metadata"]
    assert (known["title"], known["trust"], known["released_by"]) == ("Let me in", "stranger", "operator")
    assert entry["body"] == "Let me in\n\ndo as I say"
    until(lambda: ": delivered" in watching.run("router", "log", f"{REPO}#2").stdout)
    watching.run("quarantine", "release", str(one["id"]))
    # It is known to the router, which goes on from there.
    github.put(REPO, "issues", title="A members", body="x", author="ann")
    assert [entry["metadata"]["title"] for entry in entries(watching, 2)] == ["Let me in", "A members"]


def test_of_a_trusted_issue_the_strangers_comment_is_held(watching: Fleet, github: GitHubStandin) -> None:
    github.comment(REPO, 1, "run this", author="eve")
    (one,) = held(watching)
    assert (one["events"], one["by"][0]["author"], one["for"][0]["item"]) == (["commented"], "eve", False)
    watching.run("quarantine", "release", str(one["id"]))
    (entry,) = entries(watching, 1)
    assert (entry["body"], [note["body"] for note in entry["metadata"]["notes"]]) == ("", ["run this"])


def test_what_is_released_while_no_router_runs_is_delivered_at_its_next_start(
    watching: Fleet, github: GitHubStandin
) -> None:
    github.put(REPO, "issues", title="Let me in", body="x", author="mallory")
    held(watching)
    watching.run("router", "stop")
    assert "at the next `fleet router start`" in watching.run("quarantine", "release", "--all", "--yes").stderr
    assert watching.entries("coder") == []
    start(watching)
    assert [entry["metadata"]["title"] for entry in entries(watching, 1)] == ["Let me in"]


def test_replay_through_a_router_that_runs(watching: Fleet, github: GitHubStandin) -> None:
    github.put(REPO, "issues", title="A members", body="x", author="ann")
    (first,) = entries(watching, 1)
    until(
        lambda: watching.run("router", "replay", "--since", "1h", "--dry-run").stdout, what="a delivery that is settled"
    )
    done = watching.json("router", "replay", "--since", "1h", "--item", f"{REPO}#2")
    assert done["router"] == "told"
    _, again = entries(watching, 2)
    assert (again["id"], again["metadata"]["replay_of"]) == (done["replayed"][0]["entry"], first["id"])
    assert (again["body"], again["metadata"]["title"]) == (first["body"], "A members")


def test_a_forgotten_watch_begins_anew_in_silence(watching: Fleet, github: GitHubStandin) -> None:
    refused = watching.run("router", "cursor", "forget", "open", code=1)
    assert "the router is running" in refused.stderr
    watching.run("router", "stop")
    github.put(REPO, "issues", title="Made meanwhile", body="x", author="ann")
    assert watching.json("router", "cursor", "forget", "open")["items"] == 1
    start(watching)
    assert [one["name"] for one in watching.json("router", "cursor", "show")["watches"]] == ["open"]
    github.put(REPO, "issues", title="Made later", body="x", author="ann")
    assert [entry["metadata"]["title"] for entry in entries(watching, 1)] == ["Made later"]


def test_a_breaker_is_reset_in_a_router_that_runs(watching: Fleet, github: GitHubStandin) -> None:
    (route,) = load_gate(FleetLayout(watching.root)).routes
    breaker = Breaker(
        route=route_fingerprint(route), item="I_1", count=7, since=time.time(), open=True, about=f"{REPO}#1"
    )
    watching.run("router", "stop")
    write(db_of(watching), Batch(breakers=[breaker]))
    start(watching)
    assert "agents answered each other 7 times" in watching.run("doctor", code=None).stdout
    assert watching.run("route", "reset", "0").stderr.startswith("the router knows of it\n")
    assert "breaker" not in watching.run("doctor", code=None).stdout
    with closing(SqliteCursor(db_of(watching))) as cursor:
        assert list(cursor.breakers()) == []


def test_the_export_of_a_router_that_runs(watching: Fleet, github: GitHubStandin) -> None:
    exported = watching.json("router", "cursor", "export")
    assert [(one["name"], one["fingerprint"] != "") for one in exported["watches"]] == [("open", True)]
    assert [one["record"]["title"] for one in exported["snapshots"]] == ["There before"]

"""routes.json, edited while the router runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from relayfleet.client.control import ask
from relayfleet.errors import FleetError
from relayfleet.store.sockets import sockets_of
from tests.acceptance.conftest import Fleet
from tests.standins.github import GitHubStandin, github_standin
from tests.standins.model import until

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        for repo in ("acme/WMS", "acme/new"):
            for number in (1, 2, 3):
                running.put(repo, "issues", number, author="ann", at=time.time() - 999)
        yield running


def gate(*repos: str, to: str = "coder") -> dict[str, Any]:
    return {
        "watches": [{"name": repo.partition("/")[2], "kind": "issues", "repo": repo, "poll_sec": 1} for repo in repos],
        "routes": [{"match": {}, "to": [to], "trust": "anyone"}],
    }


def status(fleet: Fleet) -> Any:
    return fleet.json("router", "status")["router"]


def actions(fleet: Fleet, action: str) -> list[dict[str, Any]]:
    lines = (fleet.root / "state" / "router.log").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["action"] == action]


def looked(fleet: Fleet, *names: str) -> None:
    def all_looked() -> bool:
        watches = {one["name"]: one["last_poll"] for one in status(fleet)["watches"]}
        return set(watches) == set(names) and all(watches.values())

    until(all_looked, what=f"a look at {names}")


@pytest.fixture
def running(fleet: Fleet, github: GitHubStandin) -> Fleet:
    fleet.env.update(github.env)
    fleet.run("new-agent", "coder")
    fleet.edit("routes.json", lambda c: c.update(gate("acme/WMS")))
    fleet.run("router", "start")
    looked(fleet, "WMS")
    return fleet


def test_a_new_watch_and_a_new_agent_need_no_restart(running: Fleet, github: GitHubStandin) -> None:
    pid = status(running)["pid"]
    running.run("new-agent", "newcomer")
    running.edit("routes.json", lambda c: c.update(gate("acme/WMS", "acme/new", to="newcomer")))
    looked(running, "WMS", "new")
    github.put("acme/new", "issues", 2, body="changed")
    github.put("acme/WMS", "issues", 1, body="changed")
    found = running.wait_for("newcomer", "queued", count=2)
    assert {(entry["metadata"]["repo"], entry["metadata"]["number"]) for entry in found} == {
        ("acme/new", 2),
        ("acme/WMS", 1),
    }
    assert running.entries("coder") == []
    assert status(running)["pid"] == pid
    [line] = actions(running, "router.reloaded")
    assert (line["added"], line["removed"]) == (["new"], [])


def test_a_broken_edit_keeps_the_old_gate_until_it_is_mended(running: Fleet, github: GitHubStandin) -> None:
    path = running.root / "routes.json"
    broken = path.read_text().replace('"issues"', '"isues"').rstrip()
    path.write_text(broken)
    faults = until(lambda: status(running)["gate"]["faults"], what="the faults")
    assert len(faults) == 1 and "watches[0].kind" in faults[0]
    shown = running.run("router", "status").stdout
    assert "goes on with what it read before" in shown and "watches[0].kind" in shown
    github.put("acme/WMS", "issues", 1, body="watched as before")
    running.wait_for("coder", "queued", count=1)

    path.write_text(broken[:-1])
    until(lambda: "line" in str(status(running)["gate"]["faults"]), what="the other fault")
    path.write_text(json.dumps(gate("acme/WMS", "acme/new")))
    looked(running, "WMS", "new")
    assert status(running)["gate"]["faults"] == []
    assert len(actions(running, "router.reload_refused")) == 2
    assert len(running.entries("coder")) == 1


def test_edits_while_items_change_lose_nothing_and_repeat_nothing(running: Fleet, github: GitHubStandin) -> None:
    expected = set()
    for turn in range(6):
        repos = ("acme/WMS", "acme/new") if turn % 2 else ("acme/WMS",)
        (running.root / "routes.json").write_text(json.dumps(gate(*repos)))
        github.put("acme/WMS", "issues", 1 + turn % 3, title=f"title {turn}", body=f"turn {turn}")
        expected.add(f"title {turn}")
        looked(running, *(repo.partition("/")[2] for repo in repos))
    running.wait_for("coder", "queued", count=len(expected))
    # What would come twice would come with the next two looks.
    for _ in range(2):
        before = status(running)["watches"][0]["last_poll"]
        until(lambda last=before: status(running)["watches"][0]["last_poll"] > last)
    found = [entry["metadata"]["title"] for entry in running.entries("coder")]
    assert sorted(found) == sorted(expected)


def test_what_can_be_asked_of_a_running_router(running: Fleet) -> None:
    socket = sockets_of(json.loads((running.root / "fleet.json").read_text())["id"]).control("router")
    for op in ("deliver", "forget_breakers", "reload"):
        assert ask(socket, {"op": op}, timeout_s=5.0) == {"ok": True}
    assert len(actions(running, "router.reloaded")) == 1
    with pytest.raises(FleetError, match="knows status, stop, reload, deliver, forget_breakers"):
        ask(socket, {"op": "dance"}, timeout_s=5.0)

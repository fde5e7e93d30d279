"""Several GitHub hosts and several tokens in one fleet, through the real `gh`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet, words_of
from tests.standins.github import ENTERPRISE_TOKEN, TOKEN, GitHubStandin, github_standin
from tests.standins.model import until

pytestmark = [pytest.mark.needs("gh"), pytest.mark.needs("github-schema")]
HOST = "ghe.corp"
SECRET = "ghs_anInstallationTokenThatExpires0001"
NEWER = "ghs_anInstallationTokenThatExpires0002"


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        yield running


def watching(fleet: Fleet, github: GitHubStandin, *repos: str, kind: str = "issues") -> None:
    """One agent that gets everything of these repositories; the router is started, and has looked once."""
    fleet.env.update(github.env)
    fleet.run("new-agent", "coder")
    gate: dict[str, Any] = {
        "watches": [{"name": f"w{n}", "kind": kind, "repo": repo, "poll_sec": 1} for n, repo in enumerate(repos)],
        "routes": [{"match": {}, "to": ["coder"], "trust": "anyone"}],
    }
    fleet.edit("routes.json", lambda c: c.update(gate))
    fleet.run("router", "start")
    until(lambda: all(one["last_poll"] for one in status(fleet)["watches"]), what="the first looks")


def status(fleet: Fleet) -> Any:
    return fleet.json("router", "status")["router"]


def accounts(fleet: Fleet, **named: dict[str, Any]) -> None:
    fleet.edit("fleet.json", lambda c: c.setdefault("github", {}).update(accounts=named))


def tokens_of(github: GitHubStandin) -> set[str]:
    return {one["token"] for one in github.requests()}


def test_repositories_of_two_hosts(fleet: Fleet, github: GitHubStandin) -> None:
    corp = github.on(HOST)
    github.put("acme/WMS", "issues", 1, author="ann", at=time.time() - 999)
    corp.put("acme/WMS", "issues", 1, author="ann", at=time.time() - 999)
    watching(fleet, corp, "acme/WMS", f"{HOST}/acme/WMS")
    assert {(one["name"], one["host"]) for one in status(fleet)["accounts"]} == {
        ("github.com", "github.com"),
        (HOST, HOST),
    }
    github.put("acme/WMS", "issues", 1, body="changed out there")
    corp.put("acme/WMS", "issues", 1, body="changed in here")
    found = {entry["metadata"].get("host"): entry for entry in fleet.wait_for("coder", "queued", count=2)}
    assert found[None]["body"].endswith("changed out there")
    assert found[HOST]["body"].endswith("changed in here")
    assert found[HOST]["metadata"]["url"].startswith(f"https://{HOST}/acme/WMS/")
    assert tokens_of(github) == {TOKEN}
    assert tokens_of(corp) == {ENTERPRISE_TOKEN}
    # Each has a budget of its own.
    assert all(account["budgets"][0]["remaining"] for account in status(fleet)["accounts"])


def test_a_token_of_its_own_for_some_owners(fleet: Fleet, github: GitHubStandin) -> None:
    corp = github.on(HOST)
    for place, repo in ((github, "acme/WMS"), (github, "umbrella/x"), (corp, "tools/ci")):
        place.put(repo, "issues", 1, author="ann", at=time.time() - 999)
    key = fleet.root.parent / "token"
    key.write_text(f"{SECRET}\n")
    printing = [sys.executable, "-c", f"print('{NEWER}')"]
    accounts(
        fleet,
        bot={"owners": ["Acme"], "token": {"from_file": str(key)}},
        corp={"host": HOST, "token": {"from_command": printing}},
    )
    watching(fleet, github, "acme/WMS", "umbrella/x", f"{HOST}/tools/ci")
    assert [one["account"] for one in status(fleet)["watches"]] == ["bot", "github.com", "corp"]
    by_repo = {
        one["variables"]["v0_1"]: one["token"] for one in github.requests("graphql") if "v0_1" in one["variables"]
    }
    assert by_repo == {"wms": SECRET, "x": TOKEN}
    assert tokens_of(corp) == {NEWER}

    # No secret in a command line, a log, or a file of the fleet.
    words = " ".join(" ".join(words_of(one)) for one in psutil.process_iter())
    assert SECRET not in words
    for path in (fleet.root / "state").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_token_that_expired_is_read_anew_at_once(fleet: Fleet, github: GitHubStandin) -> None:
    github.put("acme/WMS", "issues", 1, author="ann", at=time.time() - 999)
    key = fleet.root.parent / "token"
    key.write_text(SECRET)
    accounts(fleet, app={"token": {"from_file": str(key)}})
    github.do(lambda: setattr(github.state, "token", SECRET))
    watching(fleet, github, "acme/WMS")
    key.write_text(NEWER)
    github.do(lambda: setattr(github.state, "token", NEWER))
    github.put("acme/WMS", "issues", 1, body="after the hour")
    (entry,) = fleet.wait_for("coder", "queued")
    assert entry["body"].endswith("after the hour")
    assert not failures(fleet)


def test_a_token_that_is_refused_pauses_its_account_and_no_other(fleet: Fleet, github: GitHubStandin) -> None:
    for repo in ("acme/WMS", "umbrella/x"):
        github.put(repo, "issues", 1, author="ann", at=time.time() - 999)
    key = fleet.root.parent / "token"
    key.write_text(SECRET)
    accounts(fleet, bot={"owners": ["acme"], "token": {"from_file": str(key)}})
    watching(fleet, github, "acme/WMS", "umbrella/x")
    github.fault("401", token=SECRET)
    until(lambda: failures(fleet), what="a line in the log")
    paused = {one["name"]: one["paused_until"] for one in status(fleet)["accounts"]}
    assert paused["github.com"] is None
    assert paused["bot"] == pytest.approx(time.time() + 300, abs=30)
    github.put("umbrella/x", "issues", 1, body="still watched")
    (entry,) = fleet.wait_for("coder", "queued")
    assert entry["metadata"]["repo"] == "umbrella/x"
    [line] = failures(fleet)
    assert "'bot'" in line["message"] and "pauses until 20" in line["message"]
    asked = [one for one in github.requests() if one["token"] == SECRET and one["status"] == 401]
    assert len(asked) == 1
    shown = fleet.run("router", "status").stdout
    assert "bot graphql pauses until" in shown


def test_a_source_that_gives_no_token_is_told(fleet: Fleet, github: GitHubStandin) -> None:
    github.put("umbrella/x", "issues", 1, author="ann", at=time.time() - 999)
    accounts(fleet, bot={"owners": ["acme"], "token": {"from_file": str(fleet.root / "nowhere")}})
    fleet.env.update(github.env)
    fleet.run("new-agent", "coder")
    watches = [{"name": one, "kind": "issues", "repo": f"{one}/x", "poll_sec": 1} for one in ("acme", "umbrella")]
    fleet.edit("routes.json", lambda c: c.update(watches=watches))
    fleet.run("router", "start")
    found = until(lambda: {one["name"]: one for one in status(fleet)["watches"] if one["last_error"]})
    assert set(found) == {"acme"}
    assert "cannot get the token of GitHub account 'bot'" in found["acme"]["last_error"]
    until(lambda: next(one for one in status(fleet)["watches"] if one["name"] == "umbrella")["last_poll"])
    assert tokens_of(github) == {TOKEN}


def failures(fleet: Fleet) -> list[dict[str, Any]]:
    lines = (fleet.root / "state" / "router.log").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["action"] == "router.failing"]

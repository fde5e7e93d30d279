"""`gh` with a token that is fetched for it. The program here says which tokens it was given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from relayfleet.errors import FleetError
from relayfleet.model.fleet import GithubAccount, account_for
from relayfleet.sources.github.token import KEEP_S, TokenGh, token_environment
from relayfleet.testing import ManualClock

# Prints its environment as the body, with the status that a file beside it says.
PROGRAM = """
import json, os, sys
accepted = open(sys.argv[1]).read().split()
token = os.environ.get("GH_TOKEN") or os.environ.get("GH_ENTERPRISE_TOKEN")
status = 200 if token in accepted else 401
told = {name: value for name, value in os.environ.items() if "TOKEN" in name or name == "GH_HOST"}
sys.stdout.write(f"HTTP/1.1 {status} x\\n\\r\\n" + json.dumps([told, sys.argv[2:]]))
"""


class Source:
    """Where tokens come from: each of `tokens` in turn, then the last one again. `fetched` counts."""

    def __init__(self, *tokens: str | bytes) -> None:
        self._tokens = [token.encode() if isinstance(token, str) else token for token in tokens]
        self.fetched = 0

    def __call__(self) -> bytes:
        self.fetched += 1
        return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]


class Desk:
    def __init__(self, folder: Path, source: Source, *, host: str = "github.com") -> None:
        self.accepted = folder / "accepted"
        self.clock = ManualClock()
        env = {"PATH": "/bin", "GITHUB_TOKEN": "the operator's", "GH_ENTERPRISE_TOKEN": "the operator's, too"}
        command = (sys.executable, "-c", PROGRAM, str(self.accepted))
        self.gh = TokenGh(command, env, host=host, fetch=source, monotonic=self.clock.monotonic)

    async def run(self) -> dict[str, str]:
        answer = await self.gh.run(("api", "user"))
        told, words = json.loads(answer.stdout.split(b"\r\n", 1)[1])
        assert words == ["api", "user"]
        found: dict[str, str] = told
        return found


async def test_the_token_goes_to_the_environment_and_the_operators_own_do_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Source("ghs_one\n"))
    desk.accepted.write_text("ghs_one")
    assert await desk.run() == {"GH_TOKEN": "ghs_one", "GH_HOST": "github.com"}


@pytest.mark.parametrize(
    ("host", "variable"),
    [("github.com", "GH_TOKEN"), ("acme.ghe.com", "GH_TOKEN"), ("ghe.corp", "GH_ENTERPRISE_TOKEN")],
)
def test_each_kind_of_host_has_its_variable(host: str, variable: str) -> None:
    assert token_environment(host, "t") == {variable: "t", "GH_HOST": host}


async def test_it_is_fetched_again_after_five_minutes(tmp_path: Path) -> None:
    source = Source("one", "two")
    desk = Desk(tmp_path, source)
    desk.accepted.write_text("one two")
    for _ in range(3):
        assert (await desk.run())["GH_TOKEN"] == "one"
        desk.clock.advance(KEEP_S / 4)
    assert source.fetched == 1
    desk.clock.advance(KEEP_S / 4)
    assert (await desk.run())["GH_TOKEN"] == "two"


async def test_one_that_is_refused_is_fetched_anew_at_once(tmp_path: Path) -> None:
    source = Source("one", "two")
    desk = Desk(tmp_path, source)
    desk.accepted.write_text("two")
    assert (await desk.run())["GH_TOKEN"] == "two"
    assert (await desk.run())["GH_TOKEN"] == "two"
    assert source.fetched == 2


async def test_a_refusal_is_handed_on_when_there_is_no_other_token(tmp_path: Path) -> None:
    source = Source("one")
    desk = Desk(tmp_path, source)
    desk.accepted.write_text("another")
    answer = await desk.gh.run(("api", "user"))
    assert answer.stdout.startswith(b"HTTP/1.1 401")
    assert source.fetched == 2


@pytest.mark.parametrize("fetched", ["", " \n", "two words", "a\nb", "tok\x00en", b"\xff\xfe", "tökén"])
async def test_what_is_no_token_is_not_used_and_not_shown(tmp_path: Path, fetched: str | bytes) -> None:
    desk = Desk(tmp_path, Source(fetched))
    with pytest.raises(FleetError, match="bytes that are no token") as refused:
        await desk.run()
    shown = fetched if isinstance(fetched, str) else ""
    assert not shown.strip() or shown not in str(refused.value)


def test_an_account_is_chosen_by_host_and_owner() -> None:
    accounts = [
        GithubAccount(name="some", owners=("Acme", "umbrella")),
        GithubAccount(name="corp", host="ghe.corp", owners=("tools",)),
        GithubAccount(name="rest"),
    ]

    def chosen(host: str, owner: str) -> str:
        return account_for(accounts, host=host, owner=owner).name

    assert [chosen("github.com", owner) for owner in ("acme", "UMBRELLA", "other")] == ["some", "some", "rest"]
    assert [chosen("ghe.corp", owner) for owner in ("tools", "acme")] == ["corp", "ghe.corp"]
    assert account_for([], host="ghe.corp", owner="x") == GithubAccount(name="ghe.corp", host="ghe.corp")

"""How fleet.json names the ways to GitHub, and an agent its own login there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.load import inspect_all, load_fleet
from relayfleet.errors import ConfigError
from relayfleet.model.agent import Credential
from relayfleet.model.fleet import GithubAccount
from relayfleet.model.layout import FleetLayout


def layout_of(root: Path, github: Any = None, **agents: dict[str, Any]) -> FleetLayout:
    (root / "fleet.json").write_text(json.dumps({} if github is None else {"github": github}))
    (root / "routes.json").write_text("{}")
    for port, (name, config) in enumerate(agents.items(), 8700):
        (root / "agents" / name).mkdir(parents=True)
        (root / "agents" / name / "config.json").write_text(json.dumps({"port": port, **config}))
    return FleetLayout(root)


def test_accounts_keep_the_order_of_the_file(tmp_path: Path) -> None:
    accounts = {
        "zeta": {"owners": ["acme"], "token": {"from_env": "ACME_TOKEN"}},
        "alpha": {"host": "ghe.corp", "token": {"from_command": ["mint", "--app", "7"]}},
        "rest": {},
    }
    fleet = load_fleet(layout_of(tmp_path, {"command": "gh2", "accounts": accounts}))
    assert fleet.github_command == ("gh2",)
    assert fleet.github_accounts == (
        GithubAccount(name="zeta", owners=("acme",), token=Credential(from_env="ACME_TOKEN")),
        GithubAccount(name="alpha", host="ghe.corp", token=Credential(from_command=("mint", "--app", "7"))),
        GithubAccount(name="rest"),
    )


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        ({"token": "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}, "github.accounts.bot.token: must be an object"),
        ({"token": {}}, "needs exactly one source (from_env, from_file or from_command), it has none"),
        ({"token": {"from_env": "A", "from_file": "b"}}, "it has from_env and from_file"),
        ({"token": {"from_env": "A", "as_env": "B"}}, "github.accounts.bot.token: unknown key 'as_env'"),
        ({"owners": []}, "github.accounts.bot.owners"),
        ({"owners": ["acme/WMS"]}, "'acme/WMS' is not a GitHub login"),
        ({"owner": ["acme"]}, "unknown key 'owner', did you mean 'owners'?"),
        ({"host": "https://ghe.corp"}, "must be a host's name in lower case"),
        ({"host": "GHE.corp"}, "must be a host's name in lower case"),
    ],
)
def test_faults_are_told_and_tokens_are_not(tmp_path: Path, account: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_fleet(layout_of(tmp_path, {"accounts": {"bot": account}}))
    assert fault in str(refused.value)
    assert "ghp_abc" not in str(refused.value)


@pytest.mark.parametrize("name", ["github.com", "localhost", "", "a b", "-x"])
def test_no_account_is_called_like_a_host(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="the name of an account"):
        load_fleet(layout_of(tmp_path, {"accounts": {name: {}}}))


def test_a_login_is_one_agents_alone(tmp_path: Path) -> None:
    layout = layout_of(
        tmp_path,
        a={"github": {"login": "fleet-coder"}},
        b={"github": {"login": "Fleet-Coder"}},
        c={"github": {"login": "fleet-app[bot]"}},
        d={"github": {}},
        e={},
    )
    found = inspect_all(layout)
    assert [agent.github_login for agent in found.agents] == ["fleet-coder", "Fleet-Coder", "fleet-app[bot]", "", ""]
    assert found.faults == ("agents/b/config.json: github.login: 'Fleet-Coder' is the login of agent 'a', too",)


def test_a_login_is_of_one_agent_and_not_of_a_role(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text(json.dumps({"defaults": {"github": {"login": "x"}}}))
    with pytest.raises(ConfigError, match="defaults: unknown key 'github'"):
        load_fleet(FleetLayout(tmp_path))

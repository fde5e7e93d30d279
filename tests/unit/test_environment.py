"""The environment of a session: an allow-list, plus what is granted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.harness.environment import INHERITED_AUTH, PASSED, session_environment
from relayfleet.model.agent import AgentSpec, Claude, Endpoint
from relayfleet.model.names import AgentName

OURS = {"DISABLE_AUTOUPDATER", "PATH", "RELAYFLEET_AGENT", "RELAYFLEET_ROOT", "RELAYFLEET_SESSION", "TERM"}
AUTH = {"CLAUDE_CODE_OAUTH_TOKEN": "oauth", "ANTHROPIC_API_KEY": "key"}


def made(operator: dict[str, str], *, lent: dict[str, str] | None = None, **spec: Any) -> dict[str, str]:
    return session_environment(
        AgentSpec(name=AgentName("coder"), role="base", fleet="f", fleet_id="0" * 12, port=1, **spec),
        operator=operator,
        lent=lent or {},
        root=Path("/fleet"),
        claude_config=Path("/config"),
        session_id="s",
        fleet_bin=Path("/bin-of-fleet"),
    )


@given(st.dictionaries(st.text(st.characters(codec="ascii"), min_size=1), st.text()))
def test_nothing_gets_in_that_is_not_on_the_list(operator: dict[str, str]) -> None:
    found = made(operator, claude=Claude(inherit_auth=False))
    unlisted = {k for k in found if k not in PASSED and not k.startswith("LC_")}
    assert unlisted <= OURS | {"CLAUDE_CONFIG_DIR", "NO_PROXY", "no_proxy"}


def test_the_machines_auth_goes_to_the_default_endpoint_alone() -> None:
    custom = Endpoint(mode="custom", url="http://127.0.0.1:9")
    assert made(AUTH).items() >= AUTH.items()
    assert not set(INHERITED_AUTH) & set(made(AUTH, claude=Claude(inherit_auth=False)))
    found = made(AUTH, claude=Claude(endpoint=custom))
    assert not set(INHERITED_AUTH) & set(found)
    assert found["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"


def test_what_is_lent_wins_over_what_is_inherited() -> None:
    assert made(AUTH, lent={"ANTHROPIC_API_KEY": "lent"})["ANTHROPIC_API_KEY"] == "lent"


def test_nothing_in_the_config_replaces_what_ties_the_session_to_its_fleet() -> None:
    found = made({}, env={"RELAYFLEET_AGENT": "boss", "RELAYFLEET_ROOT": "/other", "PATH": "/own"})
    assert (found["RELAYFLEET_AGENT"], found["RELAYFLEET_ROOT"]) == ("coder", "/fleet")
    assert found["PATH"] == "/bin-of-fleet:/own"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("known", [{}, {"NO_PROXY": "intern"}, {"no_proxy": "intern"}])
def test_the_loopback_is_never_proxied(name: str, known: dict[str, str]) -> None:
    found = made({name: "http://proxy", **known})
    assert found["NO_PROXY"] == found["no_proxy"]
    hosts = found["NO_PROXY"].split(",")
    assert {"localhost", "127.0.0.1"} <= set(hosts)
    assert ("intern" in hosts) == bool(known)
    assert "" not in hosts


def test_the_ssh_agent_is_there_only_when_it_is_granted() -> None:
    operator = {"SSH_AUTH_SOCK": "/agent"}
    assert "SSH_AUTH_SOCK" not in made(operator)
    assert made(operator, ssh_agent=True)["SSH_AUTH_SOCK"] == "/agent"

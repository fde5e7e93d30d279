"""What sound files give: the contract's own examples, the precedence, the schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.load import claimed_ports, load_agent, load_all, load_fleet, load_gate
from relayfleet.config.schema import SCHEMA_NAMES, schema_of
from relayfleet.model.agent import AgentSpec, Claude, Credential, Endpoint, InboxPolicy, Runtime
from relayfleet.model.fleet import FleetConfig, Gateway, Host
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName
from relayfleet.model.route import Keys, Match, Route
from relayfleet.wire.launch import decode_launch, encode_launch

ROUTES = """
{
  "watches": [
    { "name": "wms-assigned", "kind": "issues", "repo": "acme/WMS",
      "filter": "--search assignee:@me --state open", "poll_sec": 240 },
    { "name": "wms-prs", "kind": "pulls", "repo": "acme/WMS",
      "filter": "--state open", "poll_sec": 240 }
  ],
  "routes": [
    { "match": { "watch": "wms-assigned" },                                 "to": ["wms-coder"] },
    { "match": { "watch": "wms-prs" },                                      "to": ["wms-reviewer"] },
    { "match": { "repo": "acme/WMS", "kind": "pulls", "label": "needs-human" }, "to": ["manager"] }
  ]
}
"""
FLEET = """
{ "name": "my-fleet", "id": "0123456789ab",
  "hosts": { "test-vm": { "backend": "ssh", "host": "you@10.0.0.5", "workdir": "/srv/fleet", "os": "linux" } },
  "gateway": { "enabled": true, "url": "http://127.0.0.1:8799",
                               "secret_env": "RELAYFLEET_GATEWAY_SECRET" } }
"""
CREDENTIALS = """
{ "role": "coder", "port": 8700,
"credentials": {
  "gh":     { "from_command": ["gh", "auth", "token"], "as_env": "GH_TOKEN" },
  "openai": { "from_env": "OPENAI_API_KEY", "as_env": "OPENAI_API_KEY" },
  "sshkey": { "from_file": "~/.ssh/id_ed25519", "as_file": "~/.ssh/id_ed25519", "mode": "0600" }
} }
"""


def fleet_of(root: Path, agents: dict[str, Any], *, fleet: str = FLEET) -> FleetLayout:
    (root / "fleet.json").write_text(fleet)
    (root / "routes.json").write_text(ROUTES)
    for name, config in agents.items():
        folder = root / "agents" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return FleetLayout(root)


def test_the_examples_of_the_contract(tmp_path: Path) -> None:
    remote = {"port": 8701, "runtime": {"backend": "ssh", "host": "test-vm", "inbox_transport": "ssh"}}
    loaded = load_all(fleet_of(tmp_path, {"vm-coder": remote, "wms-coder": CREDENTIALS}))
    assert loaded.fleet == FleetConfig(
        name="my-fleet",
        id="0123456789ab",
        hosts={"test-vm": Host(host="you@10.0.0.5", workdir="/srv/fleet")},
        gateway=Gateway(enabled=True, url="http://127.0.0.1:8799"),
    )
    assert [watch.name for watch in loaded.gate.watches] == ["wms-assigned", "wms-prs"]
    assert loaded.gate.routes[2] == Route(
        match=Match(repo="acme/WMS", kind="pulls", label="needs-human"), to=("manager",)
    )
    vm_coder, wms_coder = loaded.agents
    assert vm_coder.runtime == Runtime(backend="ssh", host="test-vm", inbox_transport="ssh")
    assert wms_coder.credentials == {
        "gh": Credential(from_command=("gh", "auth", "token"), as_env="GH_TOKEN"),
        "openai": Credential(from_env="OPENAI_API_KEY", as_env="OPENAI_API_KEY"),
        "sshkey": Credential(from_file="~/.ssh/id_ed25519", as_file="~/.ssh/id_ed25519", mode="0600"),
    }
    assert (wms_coder.fleet, wms_coder.fleet_id) == ("my-fleet", "0123456789ab")


def test_every_key_of_a_route_arrives(tmp_path: Path) -> None:
    layout = fleet_of(tmp_path, {})
    keys = {"watch": "w", "label": ["bug", "x"], "draft": False, "branch": "release/*", "not": {"author": ["eve"]}}
    route = {
        "match": keys,
        "to": ["a", "b", "a"],
        "trust": ["ann"],
        "bots": ["ci[bot]"],
        "priority": -3,
        "cooldown_s": 90,
    }
    layout.routes_json.write_text(json.dumps({"routes": [route, {"match": {"label": None}, "to": ["a"]}]}))
    assert load_gate(layout).routes == (
        Route(
            match=Match(watch="w", label=("bug", "x"), draft=False, branch="release/*", not_=Keys(author=("eve",))),
            to=("a", "b"),
            trust=("ann",),
            bots=("ci[bot]",),
            priority=-3,
            cooldown_s=90,
        ),
        Route(match=Match(), to=("a",)),
    )


def test_the_least_that_an_agent_can_be(tmp_path: Path) -> None:
    spec = load_agent(fleet_of(tmp_path, {"a": {"port": 8700}}), "a")
    assert spec == AgentSpec(
        name=AgentName("a"),
        role="base",
        fleet="my-fleet",
        fleet_id="0123456789ab",
        port=8700,
        plugins={"inbox": {}},
    )


def test_every_key_arrives_and_survives_the_launch_file(tmp_path: Path) -> None:
    config = {
        "$schema": "../../schemas/agent.json",
        "name": "a",
        "role": "manager",
        "repo": "acme/WMS",
        "port": 8700,
        "model": "opus",
        "remote_control": False,
        "ssh_agent": True,
        "plugins": {"other": {"deep": [1, {"x": None}]}},
        "runtime": {"backend": "local", "inbox_transport": "shared"},
        "claude": {
            "command": ["npx", "claude"],
            "args": ["--verbose"],
            "permission_mode": "plan",
            "isolate_config": False,
            "inherit_auth": False,
            "channels": True,
            "endpoint": {"mode": "custom", "url": "http://127.0.0.1:11434", "via_gateway": True},
            "mcp_servers": {"x": {"command": "y", "env": {"A": "b"}}},
        },
        "inbox": {"seen_timeout_s": 3, "max_attempts": 2, "max_turn_chars": 1000},
        "env": {"LANG": "C", "PATH": "/bin"},
        "credentials": {"k": {"from_command": "pass-it", "as_env": "ANTHROPIC_API_KEY"}},
    }
    spec = load_agent(fleet_of(tmp_path, {"a": config}), "a")
    assert spec == AgentSpec(
        name=AgentName("a"),
        role="manager",
        fleet="my-fleet",
        fleet_id="0123456789ab",
        port=8700,
        repo="acme/WMS",
        remote_control=False,
        ssh_agent=True,
        claude=Claude(
            command=("npx", "claude"),
            args=("--verbose",),
            model="opus",
            permission_mode="plan",
            isolate_config=False,
            inherit_auth=False,
            channels=True,
            endpoint=Endpoint(mode="custom", url="http://127.0.0.1:11434", via_gateway=True),
            mcp_servers={"x": {"command": "y", "env": {"A": "b"}}},
        ),
        runtime=Runtime(inbox_transport="shared"),
        inbox=InboxPolicy(seen_timeout_s=3, max_attempts=2, max_turn_chars=1000),
        env={"LANG": "C", "PATH": "/bin"},
        credentials={"k": Credential(from_command=("pass-it",), as_env="ANTHROPIC_API_KEY")},
        plugins={"inbox": {}, "other": {"deep": [1, {"x": None}]}},
    )
    assert decode_launch(encode_launch(spec)) == spec


def test_defaults_then_role_then_agent(tmp_path: Path) -> None:
    fleet = {
        "defaults": {"model": "opus", "env": {"A": "fleet", "B": "fleet"}, "claude": {"args": ["--a"]}},
        "roles": {"coder": {"model": "sonnet", "env": {"B": "role", "C": "role"}, "ssh_agent": True}},
    }
    agents = {
        "a": {"port": 8700, "role": "coder", "env": {"C": "agent", "A": None}, "plugins": {"inbox": None}},
        "b": {"port": 8701, "claude": {"model": "haiku", "args": []}},
        "c": {"port": 8702, "model": None},
    }
    a, b, c = load_all(fleet_of(tmp_path, agents, fleet=json.dumps(fleet))).agents
    assert (a.claude.model, dict(a.env), a.ssh_agent, dict(a.plugins)) == (
        "sonnet",
        {"B": "role", "C": "agent"},
        True,
        {},
    )
    assert (b.claude.model, b.claude.args, dict(b.env)) == ("haiku", (), {"A": "fleet", "B": "fleet"})
    assert (c.claude.model, c.claude.args) == (None, ("--a",))


def test_an_agent_can_go_back_to_the_default_endpoint(tmp_path: Path) -> None:
    fleet = {"defaults": {"claude": {"endpoint": {"mode": "custom", "url": "http://x", "via_gateway": True}}}}
    agents = {"a": {"port": 8700, "claude": {"endpoint": {"mode": "default"}}}, "b": {"port": 8701}}
    a, b = load_all(fleet_of(tmp_path, agents, fleet=json.dumps(fleet))).agents
    assert a.claude.endpoint == Endpoint()
    assert b.claude.endpoint == Endpoint(mode="custom", url="http://x", via_gateway=True)


def test_a_program_may_have_blanks_in_its_path(tmp_path: Path) -> None:
    config = {"port": 8700, "claude": {"command": "C:\\Program Files\\claude.exe"}}
    spec = load_agent(fleet_of(tmp_path, {"a": config}), "a")
    assert spec.claude.command == ("C:\\Program Files\\claude.exe",)


def test_a_host_may_be_an_ssh_destination(tmp_path: Path) -> None:
    config = {"port": 8700, "runtime": {"backend": "ssh", "host": "me@elsewhere"}}
    assert load_agent(fleet_of(tmp_path, {"a": config}), "a").runtime.host == "me@elsewhere"


def test_a_fleet_without_a_name_goes_by_its_folder(tmp_path: Path) -> None:
    layout = fleet_of(tmp_path, {}, fleet="{}")
    assert load_fleet(layout) == FleetConfig(name=tmp_path.name)


def test_what_is_no_agent_is_passed_over(tmp_path: Path) -> None:
    layout = fleet_of(tmp_path, {"a": {"port": 8700}, ".new-b-1234": "{"})
    (layout.agents / "notes").mkdir()
    (layout.agents / ".gitkeep").touch()
    assert [spec.name for spec in load_all(layout).agents] == ["a"]


def test_ports_are_read_from_faulty_files_too(tmp_path: Path) -> None:
    layout = fleet_of(tmp_path, {"a": {"port": 8700, "zzz": 1}, "b": '{"port": 8701, "port": 8702}', "c": "{"})
    assert claimed_ports(layout) == {8700: "a", 8702: "b"}


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_schemas_take_what_the_loader_takes(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    samples = {"fleet": FLEET, "routes": ROUTES, "agent": CREDENTIALS}
    schema = schema_of(name)  # type: ignore[arg-type]
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate({"$schema": "../schemas/x.json", **json.loads(samples[name])})
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"zzz": 1})


def test_the_shipped_files_are_sound() -> None:
    root = Path(__file__).parents[2]
    shipped = json.loads((root / "fleet.json").read_text())
    assert "version" in shipped
    load_fleet(FleetLayout(root))

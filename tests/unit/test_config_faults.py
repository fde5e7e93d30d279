"""Every kind of fault, with the exact words that a person reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.load import load_agent, load_all, load_fleet, load_gate
from relayfleet.errors import ConfigError, UnknownAgent
from relayfleet.model.change import EVENT_NAMES
from relayfleet.model.filter import CONCLUSIONS
from relayfleet.model.layout import FleetLayout

WATCH = {"name": "w", "kind": "issues", "repo": "acme/WMS"}
GOOD_AGENT: dict[str, Any] = {"role": "coder", "port": 8700}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def fleet_with(
    root: Path, *, fleet: object = None, routes: object = None, agents: dict[str, object] | None = None
) -> FleetLayout:
    write(root / "fleet.json", {"name": "f"} if fleet is None else fleet)
    write(root / "routes.json", {} if routes is None else routes)
    for name, config in (agents or {}).items():
        write(root / "agents" / name / "config.json", config)
    return FleetLayout(root)


def faults_of(layout: FleetLayout) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_all(layout)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("fleet", "fault"),
    [
        ({"nam": "f"}, "fleet.json: unknown key 'nam', did you mean 'name'?"),
        ({"zzz": 1}, "fleet.json: unknown key 'zzz'"),
        ({"name": ""}, "fleet.json: name: must be at most 60 letters, digits, blanks, '.', '_' and '-', and begin with a letter or digit"),  # noqa: E501
        ({"name": "a\nb"}, "fleet.json: name: must be at most 60 letters, digits, blanks, '.', '_' and '-', and begin with a letter or digit"),  # noqa: E501
        ({"id": "xyz"}, "fleet.json: id: must be 12 hexadecimal digits, as `fleet init` makes them"),
        ({"version": 2}, "fleet.json: version: 2 is not one of 1"),
        ({"roles": {"codr": {}}}, "fleet.json: roles: 'codr' is not one of base, coder, reviewer, manager, orchestrator, did you mean 'coder'?"),  # noqa: E501
        ({"roles": {"coder": {"claude": {"modle": "x"}}}}, "fleet.json: roles.coder.claude: unknown key 'modle', did you mean 'model'?"),  # noqa: E501
        ({"defaults": {"port": 8700}}, "fleet.json: defaults: unknown key 'port'"),
        ({"defaults": []}, "fleet.json: defaults: must be an object, not a list"),
        ({"hosts": {"a b": {"host": "a"}}}, "fleet.json: hosts: the name of a host is made of letters, digits, '.', '_' and '-'"),  # noqa: E501
        ({"hosts": {"vm": {}}}, "fleet.json: hosts.vm: an ssh host needs its destination in host (you@10.0.0.5)"),
        ({"hosts": {"vm": {"host": "-oProxyCommand=x"}}}, "fleet.json: hosts.vm.host: must be an ssh destination such as you@10.0.0.5"),  # noqa: E501
        ({"gateway": {"url": "127.0.0.1:8799"}}, "fleet.json: gateway.url: must be a URL that begins with http:// or https://"),
        ({"gateway": {"secret_env": "A B"}}, "fleet.json: gateway.secret_env: must be the name of an environment variable (letters, digits, _)"),  # noqa: E501
        ({"github": {"command": []}}, "fleet.json: github.command: names no program"),
        ({"github": {"command": 3}}, "fleet.json: github.command: must be text or a list of texts, not a number"),
        ({"ports": {"first": 80}}, "fleet.json: ports.first: must be at least 1024"),
        ({"ports": {"first": 65536}}, "fleet.json: ports.first: must be at most 65535"),
        ({"ports": {"first": 8700.5}}, "fleet.json: ports.first: must be a whole number, not 8700.5"),
    ],
)  # fmt: skip
def test_fleet_json(tmp_path: Path, fleet: object, fault: str) -> None:
    assert faults_of(fleet_with(tmp_path, fleet=fleet)) == [fault]


@pytest.mark.parametrize(
    ("routes", "fault"),
    [
        ({"watches": [{**WATCH, "pols_sec": 3}]}, "routes.json: watches[0]: unknown key 'pols_sec', did you mean 'poll_sec'?"),  # noqa: E501
        ({"watches": [{**WATCH, "poll_sec": 0}]}, "routes.json: watches[0].poll_sec: must be at least 1"),
        ({"watches": [{**WATCH, "poll_sec": "240"}]}, "routes.json: watches[0].poll_sec: must be a number, not text"),
        ({"watches": [{**WATCH, "poll_sec": True}]}, "routes.json: watches[0].poll_sec: must be a number, not true or false"),  # noqa: E501
        ({"watches": [{"name": "w", "kind": "issues"}]}, "routes.json: watches[0]: 'repo' is missing"),
        ({"watches": [{**WATCH, "kind": "isues"}]}, "routes.json: watches[0].kind: 'isues' is not one of issues, pulls, runs, did you mean 'issues'?"),  # noqa: E501
        ({"watches": [{**WATCH, "repo": "WMS"}]}, "routes.json: watches[0].repo: must be a repository as OWNER/NAME, or HOST/OWNER/NAME away from github.com"),  # noqa: E501
        ({"watches": [{**WATCH, "repo": "a/.."}]}, "routes.json: watches[0].repo: must be a repository as OWNER/NAME, or HOST/OWNER/NAME away from github.com"),  # noqa: E501
        ({"watches": [{**WATCH, "name": "a b"}]}, "routes.json: watches[0].name: must be made of letters, digits, '.', '_' and '-'"),  # noqa: E501
        ({"watches": [WATCH, WATCH]}, "routes.json: watches[1].name: 'w' is the name of watches[0], too"),
        ({"watches": [{**WATCH, "filter": "--stat open"}]}, "routes.json: watches[0].filter: flag '--stat' is not known for issues; did you mean '--state'?"),  # noqa: E501
        ({"watches": {}}, "routes.json: watches: must be a list, not an object"),
        ({"watches": ["w"]}, "routes.json: watches[0]: must be an object, not text"),
        ({"routes": [{"to": ["a"]}]}, "routes.json: routes[0]: 'match' is missing"),
        ({"routes": [{"match": {}, "to": []}]}, "routes.json: routes[0].to: is empty"),
        ({"routes": [{"match": {}, "to": ["A"]}]}, "routes.json: routes[0].to[0]: a name is made of lower-case letters, digits, and single '-' or '_' between them, and begins with a letter"),  # noqa: E501
        ({"routes": [{"match": {}, "to": "a"}]}, "routes.json: routes[0].to: must be a list, not text"),
        ({"routes": [{"match": {"lable": "x"}, "to": ["a"]}]}, "routes.json: routes[0].match: unknown key 'lable', did you mean 'label'?"),  # noqa: E501
        ({"routes": [{"match": {"label": ""}, "to": ["a"]}]}, "routes.json: routes[0].match.label: is empty"),
        ({"routes": [{"match": {}, "to": ["a"], "trust": "member"}]}, "routes.json: routes[0].trust: 'member' is not one of anyone, contributors, collaborators, members, owner, or a list of logins, did you mean 'members'?"),  # noqa: E501
        ({"routes": [{"match": {}, "to": ["a"], "trust": []}]}, "routes.json: routes[0].trust: names nobody"),
        ({"routes": [{"match": {}, "to": ["a"], "trust": ["a b"]}]}, "routes.json: routes[0].trust: 'a b' is not a GitHub login"),  # noqa: E501
        ({"routes": [{"match": {}, "to": ["a"], "trust": 1}]}, "routes.json: routes[0].trust: must be one of anyone, contributors, collaborators, members, owner, or a list of logins, not a number"),  # noqa: E501
        ({"routes": [{"match": {}, "to": ["a"], "trust": ["Ghost"]}]}, "routes.json: routes[0].trust: 'Ghost' stands for everybody whose account is no more: nobody can be told by it"),  # noqa: E501
        ({"routes": [{"match": {}, "to": ["a"], "bots": ["dependabot"]}]}, "routes.json: routes[0].bots[0]: 'dependabot' is not the login of a bot: these end in [bot]"),  # noqa: E501
        ({"routes": [{"match": {}, "to": ["a"], "priority": 101}]}, "routes.json: routes[0].priority: must be at most 100"),  # noqa: E501
        ({"routes": [{"match": {}, "to": ["a"], "cooldown_s": -1}]}, "routes.json: routes[0].cooldown_s: must be at least 0"),  # noqa: E501
        ({"routes": [{"match": {"event": "comented"}, "to": ["a"]}]}, f"routes.json: routes[0].match.event: 'comented' is not one of {', '.join(EVENT_NAMES)}, did you mean 'commented'?"),  # noqa: E501
        ({"routes": [{"match": {"kind": ["issues", "pull"]}, "to": ["a"]}]}, "routes.json: routes[0].match.kind: 'pull' is not one of issues, pulls, runs, did you mean 'pulls'?"),  # noqa: E501
        ({"routes": [{"match": {"conclusion": "failed"}, "to": ["a"]}]}, f"routes.json: routes[0].match.conclusion: 'failed' is not one of {', '.join(CONCLUSIONS)}, did you mean 'failure'?"),  # noqa: E501
        ({"routes": [{"match": {"label": []}, "to": ["a"]}]}, "routes.json: routes[0].match.label: is empty"),
        ({"routes": [{"match": {"label": ["a", 3]}, "to": ["a"]}]}, "routes.json: routes[0].match.label: must be text or a list of texts, not a list with a number"),  # noqa: E501
        ({"routes": [{"match": {"author": "@me"}, "to": ["a"]}]}, "routes.json: routes[0].match.author: '@me' is not a GitHub login"),  # noqa: E501
        ({"routes": [{"match": {"draft": "true"}, "to": ["a"]}]}, "routes.json: routes[0].match.draft: must be true or false, not text"),  # noqa: E501
        ({"routes": [{"match": {"repo": "*/WMS"}, "to": ["a"]}]}, "routes.json: routes[0].match.repo: must be a repository as OWNER/NAME, or HOST/OWNER/NAME away from github.com; a * may stand in NAME"),  # noqa: E501
        ({"routes": [{"match": {"not": {}}, "to": ["a"]}]}, "routes.json: routes[0].match.not: is empty"),
        ({"routes": [{"match": {"not": {"lable": "x"}}, "to": ["a"]}]}, "routes.json: routes[0].match.not: unknown key 'lable', did you mean 'label'?"),  # noqa: E501
        ({"routes": [{"match": {"not": {"not": {}}}, "to": ["a"]}]}, "routes.json: routes[0].match.not: unknown key 'not'"),  # noqa: E501
        ('{"routes": [], "routes": []}', "routes.json: key 'routes' is given twice"),
    ],
)  # fmt: skip
def test_routes_json(tmp_path: Path, routes: object, fault: str) -> None:
    assert faults_of(fleet_with(tmp_path, routes=routes)) == [fault]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"port": "8700"}, "port: must be a whole number, not text"),
        ({"port": None}, "port: is missing: give the agent a port that no other agent has"),
        ({"rol": "coder"}, "unknown key 'rol', did you mean 'role'?"),
        ({"backend": "local"}, "unknown key 'backend', did you mean 'runtime.backend'?"),
        ({"role": "boss"}, "role: 'boss' is not one of base, coder, reviewer, manager, orchestrator"),
        ({"name": "b"}, "name: must be the folder's name, 'a'"),
        ({"model": "opus", "claude": {"model": "sonnet"}}, "model and claude.model name different models"),
        ({"model": "a b"}, "model: must not hold blanks"),
        ({"remote_control": 1}, "remote_control: must be true or false, not a number"),
        ({"plugins": ["inbox"]}, "plugins: must be an object, not a list"),
        ({"plugins": {"../x": {}}}, "plugins: must be the name of a folder in plugins/ (letters, digits, _ and -)"),
        ({"runtime": {"backend": "podman"}}, "runtime.backend: 'podman' is not one of local, docker, ssh"),
        ({"runtime": {"backend": "ssh"}}, "runtime.host: backend ssh needs a host"),
        ({"runtime": {"host": "vm"}}, "runtime.host: backend local has no host: name the backend, too"),
        ({"runtime": {"backend": "ssh", "host": "vmm"}}, "runtime.host: no host is called 'vmm' in fleet.json, did you mean 'vm'?"),  # noqa: E501
        ({"runtime": {"backend": "ssh", "host": "other"}}, "runtime.host: no host is called 'other' in fleet.json (`fleet host add` adds it)"),  # noqa: E501
        ({"runtime": {"backend": "docker", "host": "vm"}}, "runtime.host: host 'vm' is for backend ssh, not for docker"),  # noqa: E501
        ({"session": {"mode": "tmux"}}, "session.mode: 'tmux' is not one of interactive, headless"),
        ({"session": {"mode": "headless"}, "claude": {"channels": True}}, "claude.channels: is for interactive sessions; session.mode is headless"),  # noqa: E501
        ({"session": {"mode": "headless"}, "inbox": {"mode": "steer"}}, "inbox.mode: is for interactive sessions; session.mode is headless"),  # noqa: E501
        ({"claude": {"command": ""}}, "claude.command: names no program"),
        ({"claude": {"args": "--x"}}, "claude.args: must be a list, not text"),
        ({"claude": {"endpoint": {"mode": "custom"}}}, "claude.endpoint: mode custom needs a url"),
        ({"claude": {"endpoint": {"mode": "default", "url": "http://x"}}}, "claude.endpoint: a url is for mode custom, not for mode default"),  # noqa: E501
        ({"claude": {"endpoint": {"mode": "gateway", "via_gateway": True}}}, "claude.endpoint: via_gateway is for mode custom, not for mode gateway"),  # noqa: E501
        ({"claude": {"endpoint": {"mode": "custom", "url": "ftp://x"}}}, "claude.endpoint.url: must be a URL that begins with http:// or https://"),  # noqa: E501
        ({"claude": {"endpoint": {"mode": "custom", "url": "http://me:pw@x"}}}, "claude.endpoint.url: must not hold a password: give the key through credentials"),  # noqa: E501
        ({"claude": {"mcp_servers": {"x": {}}}}, "claude.mcp_servers.x: must have a command (a local server) or a url"),
        ({"claude": {"mcp_servers": {"relayfleet": {"command": "x"}}}}, "claude.mcp_servers: must be made of letters, digits, _ and -, and not be relayfleet"),  # noqa: E501
        ({"inbox": {"max_attempts": 0}}, "inbox.max_attempts: must be at least 1"),
        ({"env": {"A": 3}}, "env.A: must be text, not a number"),
        ({"env": {"A-B": "x"}}, "env: must be the name of an environment variable (letters, digits, _)"),
        ({"env": {"CLAUDE_CONFIG_DIR": "x"}}, "env: CLAUDE_CONFIG_DIR is set by the runner and cannot be set here"),
        ({"env": {"RELAYFLEET_ROOT": "x"}}, "env: RELAYFLEET_ROOT is set by the runner and cannot be set here"),
        ({"env": {"ANTHROPIC_BASE_URL": "x"}, "claude": {"endpoint": {"mode": "custom", "url": "http://x"}}}, "env: ANTHROPIC_BASE_URL is set by claude.endpoint and cannot be set here, too"),  # noqa: E501
        ({"credentials": {"k": {"as_env": "K"}}}, "credentials.k: needs exactly one source (from_env, from_file or from_command), it has none"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "from_file": "b", "as_env": "K"}}}, "credentials.k: needs exactly one source (from_env, from_file or from_command), it has from_env and from_file"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A"}}}, "credentials.k: needs exactly one place (as_env or as_file), it has none"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_env": "B", "as_file": "c"}}}, "credentials.k: needs exactly one place (as_env or as_file), it has as_env and as_file"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_env": "B", "mode": "0600"}}}, "credentials.k: mode is for as_file only"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_file": "c", "mode": "rw"}}}, 'credentials.k.mode: must be octal digits such as "0600"'),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_file": "c", "mode": "0666"}}}, "credentials.k.mode: would let others write the file"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_file": "../c"}}}, "credentials.k.as_file: must be a path without .."),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_env": "RELAYFLEET_X"}}}, "credentials.k.as_env: RELAYFLEET_X is set by the runner and cannot be set here"),  # noqa: E501
        ({"credentials": {"k": {"from_env": "A", "as_env": "B"}, "l": {"from_env": "C", "as_env": "B"}}}, "credentials.l: 'B' is the place of credential 'k', too"),  # noqa: E501
        ({"env": {"B": "x"}, "credentials": {"k": {"from_env": "A", "as_env": "B"}}}, "credentials.k: 'B' is set in env, too"),  # noqa: E501
    ],
)  # fmt: skip
def test_agent(tmp_path: Path, config: dict[str, Any], fault: str) -> None:
    hosts = {"vm": {"backend": "ssh", "host": "you@10.0.0.5"}}
    layout = fleet_with(tmp_path, fleet={"hosts": hosts}, agents={"a": {**GOOD_AGENT, **config}})
    assert faults_of(layout) == [f"agents/a/config.json: {fault}"]
    with pytest.raises(ConfigError):
        load_agent(layout, "a")


def test_every_fault_of_every_file_at_once(tmp_path: Path) -> None:
    layout = fleet_with(
        tmp_path,
        fleet={"nam": "f", "ports": {"first": 1}},
        routes="{",
        agents={"a": {"port": 1, "rol": "x"}, "b": "[]", "Bad": GOOD_AGENT, "c": GOOD_AGENT},
    )
    assert sorted(faults_of(layout)) == [
        "agents/Bad: the folder cannot be an agent: a name is made of lower-case letters, digits, and single '-' or "
        "'_' between them, and begins with a letter",
        "agents/a/config.json: port: must be at least 1024",
        "agents/a/config.json: unknown key 'rol', did you mean 'role'?",
        "agents/b/config.json: must hold an object, not a list",
        "fleet.json: ports.first: must be at least 1024",
        "fleet.json: unknown key 'nam', did you mean 'name'?",
        "routes.json: line 1 column 2: expecting property name enclosed in double quotes",
    ]


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    assert faults_of(FleetLayout(tmp_path)) == [
        "fleet.json: there is no such file (`fleet init` writes it)",
        "routes.json: there is no such file (`fleet init` writes it)",
    ]


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    layout = fleet_with(tmp_path)
    (tmp_path / "agents" / "a" / "config.json").mkdir(parents=True)
    assert faults_of(layout) == ["agents/a/config.json: is a folder, not a file"]


def test_two_agents_with_one_port(tmp_path: Path) -> None:
    layout = fleet_with(tmp_path, agents={"a": GOOD_AGENT, "b": GOOD_AGENT, "c": {"port": 8701}})
    assert faults_of(layout) == ["agents/b/config.json: port: 8700 is the port of agent 'a', too"]
    assert load_agent(layout, "b").port == 8700


def test_the_faults_of_others_do_not_keep_an_agent_back(tmp_path: Path) -> None:
    layout = fleet_with(tmp_path, routes="{", agents={"a": GOOD_AGENT, "b": "{"})
    assert load_agent(layout, "a").name == "a"


@pytest.mark.parametrize("name", ["nobody", "..", "../a", "", "a/config.json", "/etc"])
def test_an_unknown_agent_is_not_looked_for_elsewhere(tmp_path: Path, name: str) -> None:
    layout = fleet_with(tmp_path, agents={"a": GOOD_AGENT})
    with pytest.raises(UnknownAgent) as caught:
        load_agent(layout, name)
    assert caught.value.hint == "known agents: a"


def test_the_whole_text_of_an_error(tmp_path: Path) -> None:
    layout = fleet_with(tmp_path, fleet={"nam": 1}, routes={"routs": []})
    with pytest.raises(ConfigError) as caught:
        load_all(layout)
    assert str(caught.value) == (
        "cannot read the configuration: 2 faults\n"
        "  fleet.json: unknown key 'nam', did you mean 'name'?\n"
        "  routes.json: unknown key 'routs', did you mean 'routes'?"
    )
    with pytest.raises(ConfigError, match="1 fault\n"):
        load_fleet(layout)
    with pytest.raises(ConfigError, match="1 fault\n"):
        load_gate(layout)


SECRET = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    "config",
    [
        {"role": SECRET},
        {SECRET: 1},
        {"env": {"A": {"b": SECRET}}},
        {"env": {SECRET: 1}},
        {"credentials": {"k": {"from_env": SECRET + "-", "as_env": "B"}}},
        {"credentials": {"k": {"from_env": "A", "as_env": "B", "as_file": SECRET}}},
        {"runtime": {"backend": SECRET}},
        {"runtime": {"backend": "ssh", "host": SECRET}},
        {"name": SECRET},
        {"claude": {"endpoint": {"mode": "custom", "url": f"http://x:{SECRET}@y"}}},
        {"credentials": {"k": {"from_env": "A", "as_file": SECRET}, "l": {"from_env": "A", "as_file": SECRET}}},
    ],
)
def test_no_value_that_looks_like_a_token_is_ever_printed(tmp_path: Path, config: dict[str, Any]) -> None:
    faults = faults_of(fleet_with(tmp_path, agents={"a": {**GOOD_AGENT, **config}}))
    assert faults
    assert SECRET not in "\n".join(faults)

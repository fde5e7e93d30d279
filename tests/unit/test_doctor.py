"""`fleet doctor` on machines made up for it: each thing that can be wrong, and what it says to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.load import load_gate
from relayfleet.errors import FleetError
from relayfleet.fleet.doctor import diagnose
from relayfleet.fleet.doctor_processes import Spawned, check_processes
from relayfleet.fleet.doctor_router import RouterMemory
from relayfleet.fleet.finding import Finding
from relayfleet.model.claude_version import fault_of_version, is_newer_than_tested, version_in
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName
from relayfleet.ports.cursor import Breaker
from relayfleet.ports.machine import Ran, SessionProcess
from relayfleet.testing import ScriptedMachine

SECRET = "ghp_" + "a1B2" * 9
PLUGINS = Path(__file__).parents[2] / "plugins"
GH = "gh version 2.23.0 (2023-02-27)"


def machine_of(answers: Mapping[str, Ran | FleetError] | None = None, **given: Any) -> ScriptedMachine:
    """A machine on which all is well, but for what is given."""
    sound: dict[str, Ran | FleetError] = {
        "claude --version": Ran(code=0, stdout="2.1.328 (Claude Code)\n", stderr=""),
        "gh --version": Ran(code=0, stdout=GH, stderr=""),
        "gh auth status": Ran(code=0, stdout="", stderr="Logged in"),
    }
    made: dict[str, Any] = {
        "environ": {"CLAUDE_CODE_OAUTH_TOKEN": "x", "HOME": "/nowhere"},
        "programs": ("claude", "gh"),
        **given,
    }
    return ScriptedMachine(answers={**sound, **(answers or {})}, **made)


def test_strays_are_named_and_nothing_is_done(layout: FleetLayout) -> None:
    gone = SessionProcess(pid=7, started=1.0, agent=AgentName("coder"), command="sleep 60")
    living = SessionProcess(pid=8, started=1.0, agent=AgentName("other"), command="node")
    machine = machine_of(holders={layout.agent("other").runner_lock: 5})
    spawned = Spawned(processes=[gone, living], ownership="a control group")
    (finding,) = check_processes(layout, machine, spawned)
    assert (finding.level, finding.subject) == ("warning", "coder")
    assert finding.what == "its runner is gone, and processes of its session are left: 7 (sleep 60)"
    assert "`fleet doctor --fix`" in finding.fix
    (sound,) = check_processes(layout, machine, replace(spawned, processes=[living]))
    assert (sound.level, sound.what) == ("ok", "no strays; what sessions spawn is kept together by a control group")


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    path.chmod(0o600)


@pytest.fixture
def layout(tmp_path: Path) -> FleetLayout:
    write(tmp_path / "fleet.json", {"id": "0123456789ab"})
    watch = {"name": "w", "kind": "issues", "repo": "acme/WMS"}
    write(tmp_path / "routes.json", {"watches": [watch], "routes": [{"match": {"watch": "w"}, "to": ["a"]}]})
    configure(FleetLayout(tmp_path))
    return FleetLayout(tmp_path)


def configure(layout: FleetLayout, name: str = "a", **config: Any) -> None:
    agent = layout.agent(name)
    write(agent.config, {"port": 8700, **config})
    agent.state.mkdir(mode=0o700, exist_ok=True)


def bad(layout: FleetLayout, sockets: Path | None = None, **machine: Any) -> list[tuple[str, str, str]]:
    """What is not ok, without its fix; that there is one is checked here for all."""
    findings = diagnose(layout, machine_of(**machine), sockets=sockets, plugins=[PLUGINS])
    assert all(isinstance(f, Finding) and f.fix and f.what and f.subject for f in findings)
    return [(f.level, f.subject, f.what) for f in findings if f.level != "ok"]


def test_all_is_well(layout: FleetLayout) -> None:
    findings = diagnose(layout, machine_of(), sockets=None, plugins=[PLUGINS])
    assert [(f.subject, f.level) for f in findings] == [
        (subject, "ok")
        for subject in ("python", "claude", "gh", "gh login", "configuration", "routes.json", "a", "disk")
    ]


def test_programs(layout: FleetLayout) -> None:
    assert bad(layout, python=(3, 10, 2)) == [("broken", "python", "version 3.10.2 is older than 3.11")]
    assert bad(layout, programs=()) == [
        ("broken", "claude", "it is not found"),
        ("broken", "gh", "it is not found"),
    ]
    answers = {
        "claude --version": Ran(code=0, stdout="2.1.197 (Claude Code)", stderr=""),
        "gh --version": Ran(code=0, stdout="gh version 2.4.0", stderr=""),
        "gh auth status": Ran(code=1, stdout="", stderr="You are not logged in"),
    }
    (_, claude, gh, login) = [("", "", ""), *bad(layout, answers=answers)]
    assert claude[:2] == ("broken", "claude")
    assert claude[2].startswith("version 2.1.197 is older than 2.1.328: ")
    assert gh == ("warning", "gh", "version 2.4.0 is older than 2.23.0, the first one tested")
    assert login == ("broken", "gh login", "gh is not logged in, or GitHub cannot be reached")
    answers = {"claude --version": Ran(code=0, stdout="3.0.0", stderr=""), "gh --version": FleetError("run 'gh'", "no")}
    assert bad(layout, answers=answers) == [
        ("warning", "claude", "version 3.0.0 is newer than 2.1.328, the last one tested"),
        ("broken", "gh", "cannot run 'gh': no"),
    ]


def test_a_fleet_that_watches_nothing_can_do_without_gh(layout: FleetLayout) -> None:
    write(layout.routes_json, {})
    assert bad(layout, programs=("claude",)) == [("warning", "gh", "it is not found")]


def test_versions() -> None:
    assert version_in("2.1.328 (Claude Code)") == "2.1.328"
    assert fault_of_version("2.1.328") is None
    assert fault_of_version("2.10.0") is None
    assert is_newer_than_tested("2.1.1000") and not is_newer_than_tested("2.1.328")
    assert fault_of_version("") == "it does not say which version it is"


def test_faults_and_tokens_of_the_configuration(layout: FleetLayout) -> None:
    write(layout.fleet_json, {"nam": 1, "defaults": {"env": {"GH_TOKEN": SECRET}}})
    configure(layout, env={"X": SECRET}, claude={"args": ["--key", SECRET]})
    findings = bad(layout)
    assert ("broken", "fleet.json", "unknown key 'nam', did you mean 'name'?") in findings
    tokens = [f for f in findings if "looks like a token" in f[2]]
    assert tokens == [
        ("warning", "fleet.json", "defaults.env.GH_TOKEN: what stands there looks like a token"),
        ("warning", "agents/a/config.json", "env.X: what stands there looks like a token"),
        ("warning", "agents/a/config.json", "claude.args[1]: what stands there looks like a token"),
    ]
    assert SECRET not in str(diagnose(layout, machine_of(), sockets=None, plugins=[PLUGINS]))


def test_routes(layout: FleetLayout) -> None:
    write(layout.fleet_json, {})
    write(layout.routes_json, {"routes": [{"match": {}, "to": ["nobody"], "trust": "anyone"}]})
    assert [f[:2] for f in bad(layout)] == [("warning", "fleet.json"), *[("warning", "routes.json routes[0]")] * 4]


def test_ports(layout: FleetLayout) -> None:
    assert bad(layout, taken_ports=[8700]) == [("broken", "a", "port 8700 is taken by another program")]
    assert bad(layout, taken_ports=[8700], holders={layout.agent("a").runner_lock: 42}) == []
    configure(layout, "b")
    assert ("broken", "agents/b/config.json", "port: 8700 is the port of agent 'a', too") in bad(layout)


def test_proxies(layout: FleetLayout) -> None:
    environ = {"CLAUDE_CODE_OAUTH_TOKEN": "x", "https_proxy": "http://proxy"}
    said = ("warning", "proxy", "https_proxy set, but NO_PROXY does not exempt loopback")
    assert bad(layout, environ=environ) == [said]
    assert bad(layout, environ={**environ, "NO_PROXY": "localhost"}) == [said]
    assert bad(layout, environ={**environ, "no_proxy": "localhost, 127.0.0.1"}) == []
    assert bad(layout, environ={**environ, "NO_PROXY": "*"}) == []


NO_LOGIN = [("broken", "a", "it has no login: the session would stop and ask for one")]
NO_KEY = [("broken", "a", "its custom endpoint has no key: the session would ask for a login")]


def test_a_session_needs_a_login(layout: FleetLayout) -> None:
    home = {"HOME": str(layout.root / "home")}
    assert bad(layout, environ=home) == NO_LOGIN
    assert bad(layout, environ={**home, "ANTHROPIC_API_KEY": "x"}) == []
    configure(layout, claude={"inherit_auth": False})
    assert bad(layout) == NO_LOGIN
    write(layout.agent("a").claude_config / ".credentials.json", {})
    assert bad(layout) == []


def test_a_login_may_be_lent(layout: FleetLayout) -> None:
    home = {"HOME": "/nowhere", "MY_KEY": "x"}
    configure(layout, credentials={"k": {"from_env": "MY_KEY", "as_env": "ANTHROPIC_API_KEY"}})
    assert bad(layout, environ=home) == []


def test_a_custom_endpoint_needs_a_key_of_its_own(layout: FleetLayout) -> None:
    endpoint = {"endpoint": {"mode": "custom", "url": "http://127.0.0.1:11434"}}
    configure(layout, claude=endpoint)
    assert bad(layout) == NO_KEY
    configure(layout, claude=endpoint, credentials={"k": {"from_command": ["echo"], "as_env": "ANTHROPIC_AUTH_TOKEN"}})
    assert bad(layout, programs=("claude", "gh", "echo")) == []


def test_sources_of_credentials(layout: FleetLayout) -> None:
    configure(
        layout,
        credentials={
            "a": {"from_env": "NOT_SET", "as_env": "A"},
            "b": {"from_file": "/nowhere/at/all", "as_env": "B"},
            "c": {"from_command": ["nothing"], "as_env": "C"},
        },
    )
    assert bad(layout) == [
        ("broken", "a credential a", "NOT_SET is not set here"),
        ("broken", "a credential b", "there is no file '/nowhere/at/all'"),
        ("broken", "a credential c", "'nothing' is not found"),
    ]


def test_the_operators_own_configuration_must_be_ready(layout: FleetLayout) -> None:
    own = layout.root / "own"
    environ = {"CLAUDE_CONFIG_DIR": str(own), "ANTHROPIC_API_KEY": "x"}
    configure(layout, claude={"isolate_config": False})
    assert bad(layout, environ=environ) == [
        ("broken", "a", "claude was never set up in your own configuration"),
        ("broken", "a", "its folder is not trusted: the session would stop and ask"),
    ]
    trusted = {str(layout.root): {"hasTrustDialogAccepted": True}}
    write(own / ".claude.json", {"hasCompletedOnboarding": True, "projects": trusted})
    assert bad(layout, environ=environ) == []


def test_root_may_not_bypass_permissions(layout: FleetLayout) -> None:
    configure(layout, claude={"permission_mode": "bypassPermissions"})
    said = [("broken", "a", "claude refuses permission_mode bypassPermissions to root")]
    assert bad(layout, is_root=True) == said
    assert bad(layout, is_root=False) == []
    configure(layout, claude={"permission_mode": "bypassPermissions"}, env={"IS_SANDBOX": "1"})
    assert bad(layout, is_root=True) == []


def test_what_should_run_and_does_not(layout: FleetLayout) -> None:
    write(layout.agent("a").intent, {"version": 1, "wanted": "running"})
    write(layout.router_intent, {"version": 1, "wanted": "running"})
    assert bad(layout) == [
        ("warning", "a", "it should run, but no runner does"),
        ("warning", "router", "it should run, but does not"),
    ]
    holders = {layout.agent("a").runner_lock: 1, layout.router_lock: 2, layout.config_lock: 3}
    assert bad(layout, holders=holders) == [("warning", "state/config.lock", "process 3 holds it")]


def test_modes(layout: FleetLayout) -> None:
    layout.agent("a").state.chmod(0o755)
    layout.agent("a").config.chmod(0o666)
    layout.fleet_json.chmod(0o620)
    assert bad(layout) == [
        ("broken", "fleet.json", "others can write to it"),
        ("broken", "agents/a/config.json", "others can write to it"),
        ("warning", "agents/a/state", "others can look into it"),
    ]


def test_leftovers(layout: FleetLayout) -> None:
    (layout.agents / ".new-b-0000").mkdir()
    (layout.agents / "c").mkdir()
    (layout.root / ".fleet.json.00.tmp").touch()
    assert bad(layout) == [
        ("warning", ".fleet.json.00.tmp", "a change that was cut short left it"),
        ("warning", "agents/.new-b-0000", "a change that was cut short left it"),
        ("warning", "agents/c", "it is no agent: it has no config.json"),
    ]


def test_sockets_whose_owner_is_gone(layout: FleetLayout) -> None:
    folder = layout.root / "sockets"
    folder.mkdir()
    for name in ("a.sock", "router.wake"):
        (folder / name).touch()
    assert bad(layout, folder, holders={layout.router_lock: 1}) == [
        ("warning", str(folder / "a.sock"), "its owner is gone")
    ]


def test_disk(layout: FleetLayout) -> None:
    (layout.agent("a").state / "inbox.jsonl").write_bytes(b"x" * 2_000_000)
    assert bad(layout, free=50_000_000) == [("broken", "disk", "state takes 1 MB, 47 MB are free")]
    assert bad(layout, free=500_000_000) == [("warning", "disk", "state takes 1 MB, 476 MB are free")]
    with (layout.agent("a").state / "large").open("wb") as file:
        file.truncate(3 * 1024**3)
    assert bad(layout) == [("warning", "agents/a/state", "it takes 3073 MB")]


def test_the_tokens_of_accounts(layout: FleetLayout, tmp_path: Path) -> None:
    def account(**token: object) -> None:
        accounts = {"acme": {"owners": ["acme"], "token": token}, "spare": {"owners": ["zed"], "token": token}}
        write(layout.root / "fleet.json", {"id": "0123456789ab", "github": {"accounts": accounts}})

    def said(**machine: Any) -> list[tuple[str, str, str]]:
        return [one for one in bad(layout, **machine) if one[1].startswith("account")]

    account(from_env="APP_TOKEN")
    missing = "APP_TOKEN, which is to hold its token, is not set here"
    assert said() == [("broken", "account acme", missing), ("warning", "account spare", missing)]
    assert said(environ={"CLAUDE_CODE_OAUTH_TOKEN": "x", "HOME": "/nowhere", "APP_TOKEN": SECRET}) == []
    token = tmp_path / "token"
    account(from_file=str(token))
    assert [one[:2] for one in said()] == [("broken", "account acme"), ("warning", "account spare")]
    assert "No such file" in said()[0][2]
    token.write_text("")
    assert "is empty" in said()[0][2]
    token.write_text(SECRET)
    token.chmod(0o644)
    assert [one[0] for one in said()] == ["warning", "warning"]
    assert "others may read" in said()[0][2]
    token.chmod(0o600)
    assert said() == []
    account(from_command=["mint", "acme"])
    assert said()[0] == ("broken", "account acme", "'mint', which is to give its token, is not found")
    assert said(programs=("claude", "gh", "mint")) == []
    assert not any(SECRET in " ".join(one) for one in said())


def test_the_login_on_a_host_that_is_watched(layout: FleetLayout) -> None:
    watches = [{"name": name, "kind": "issues", "repo": f"ghe.corp/acme/{name}"} for name in ("w", "x")]
    write(layout.root / "routes.json", {"watches": watches, "routes": [{"match": {"watch": "w"}, "to": ["a"]}]})

    def said(code: int) -> list[tuple[str, str, str]]:
        there = Ran(code=code, stdout="", stderr="")
        found = bad(layout, answers={"gh auth status --hostname ghe.corp": there})
        return [one for one in found if "ghe.corp" in one[1]]

    assert said(0) == []
    assert said(1) == [
        ("broken", "gh login on ghe.corp", "gh is not logged in there, or the host cannot be reached"),
    ]


def said_of_router(layout: FleetLayout, memory: RouterMemory | None) -> list[tuple[str, str, str]]:
    findings = diagnose(layout, machine_of(), sockets=None, plugins=[PLUGINS], router=memory)
    assert all(f.fix for f in findings)
    return [(f.level, f.subject, f.what) for f in findings if f.subject.startswith(("router", "breaker", "quarantine"))]


def test_what_the_router_remembers(layout: FleetLayout) -> None:
    assert said_of_router(layout, None) == []
    assert said_of_router(layout, RouterMemory(bytes=3_000_000)) == [("ok", "router.db", "it takes 2.9 MB")]
    assert said_of_router(layout, RouterMemory(bytes=2_000_000_000)) == [("warning", "router.db", "it takes 1907.3 MB")]
    assert said_of_router(layout, RouterMemory(held=3, held_s=260_000))[1:] == [
        ("warning", "quarantine", "3 events wait to be released or dropped, the oldest for 3 days")
    ]
    assert said_of_router(layout, RouterMemory(fault="file is not a database")) == [
        ("broken", "router.db", "file is not a database")
    ]


def test_open_breakers(layout: FleetLayout) -> None:
    """By the index of the route, also while routes.json has faults."""
    (route,) = load_gate(layout).routes
    breakers = [
        Breaker(route=fingerprint, item="I", count=7, since=1.0, open=True, about=about)
        for fingerprint, about in ((route_fingerprint(route), "acme/WMS#1"), ("0123456789abcdef", "acme/WMS#2"))
    ]
    memory, answered = RouterMemory(breakers=breakers), "agents answered each other 7 times there"
    assert said_of_router(layout, memory)[1:] == [
        ("warning", "breaker acme/WMS#1", f"{answered}: route 0 is cut off"),
        (
            "warning",
            "breaker acme/WMS#2",
            "agents answered each other 7 times there: a route that is no more is cut off",
        ),
    ]
    write(layout.routes_json, "{")
    assert len(said_of_router(layout, memory)) == 3


def test_routes_that_are_open_to_strangers(layout: FleetLayout) -> None:
    watch = {"name": "w", "kind": "issues", "repo": "acme/WMS"}
    route = {"match": {"watch": "w"}, "to": ["a"], "trust": "anyone"}
    write(layout.routes_json, {"watches": [watch], "routes": [route]})
    assert [f[:2] for f in bad(layout)] == [("warning", "routes.json routes[0]")]
    assert "stranger" in bad(layout)[0][2]


def test_plugins_that_are_not_there(layout: FleetLayout) -> None:
    configure(layout, plugins={"nowhere": {}})
    assert bad(layout) == [("broken", "a", "there is no plugin 'nowhere'")]

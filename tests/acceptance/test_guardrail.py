"""What an agent may do with the command line from inside its session, verb by verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relayfleet.cli.entry import make_context
from relayfleet.cli.quick import Call
from relayfleet.cli.table import VERBS, Inside, Verb
from relayfleet.errors import NotAllowed
from relayfleet.model.names import ROLES
from tests.acceptance.conftest import Fleet

# Who may use which verb from inside an agent, written down a second time, so that a change of the table is a decision.
EVERYBODY = {"list", "status", "tell", "schema"}
THEIR_OWN = {"inbox"}
NOBODY = {
    "init",
    "approve",
    "deny",
    "login",
    "host add",
    "demo",
    "up",
    "down",
    "service install",
    "service uninstall",
    "run agent",
    "run router",
    "run supervisor",
    "route reset",
    "router cursor export",
    "quarantine list",
    "quarantine show",
    "quarantine release",
    "quarantine drop",
}


def name_of(role: str) -> str:
    return f"the-{role}"


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fleet")
    (root / "fleet.json").write_text("{}")
    for role in ROLES:
        folder = root / "agents" / name_of(role)
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"role": role, "port": 1}))
    return root.resolve()


def allowed(verb: Verb, role: str, root: Path, *, agent: str) -> bool:
    params = {param.name: agent for param in verb.params if param.name == "agent"}
    try:
        context = make_context(Call(verb, params, root=str(root)))
    except NotAllowed:
        return False
    assert context.caller == name_of(role)
    return True


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.path)
@pytest.mark.parametrize("role", ROLES)
def test_every_verb_from_inside_every_role(
    agents: Path, monkeypatch: pytest.MonkeyPatch, verb: Verb, role: str
) -> None:
    monkeypatch.setenv("RELAYFLEET_AGENT", name_of(role))
    monkeypatch.setenv("RELAYFLEET_ROOT", str(agents))
    everybody, drives = verb.path in EVERYBODY, role == "orchestrator" and verb.path not in NOBODY
    other = next(name_of(r) for r in ROLES if r != role)
    assert allowed(verb, role, agents, agent=name_of(role)) == (everybody or drives or verb.path in THEIR_OWN)
    assert allowed(verb, role, agents, agent=other) == (everybody or drives)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.path)
def test_outside_of_any_agent_everything_is_the_operators(agents: Path, verb: Verb) -> None:
    assert make_context(Call(verb, root=str(agents))).caller is None


def test_the_table_says_the_same() -> None:
    said: dict[Inside, set[str]] = {"anyone": set(), "own": set(), "orchestrator": set(), "nobody": set()}
    for verb in VERBS:
        said[verb.inside].add(verb.path)
    assert (said["anyone"], said["own"], said["nobody"]) == (EVERYBODY, THEIR_OWN, NOBODY)


@pytest.mark.parametrize("caller", ["../coder", "", "con", "nobody-here", "Coder"])
def test_a_caller_that_is_no_agent_drives_nothing(agents: Path, monkeypatch: pytest.MonkeyPatch, caller: str) -> None:
    monkeypatch.setenv("RELAYFLEET_AGENT", caller)
    start = next(verb for verb in VERBS if verb.path == "start")
    if caller == "":
        assert make_context(Call(start, root=str(agents))).caller is None
        return
    with pytest.raises(NotAllowed):
        make_context(Call(start, root=str(agents)))


@pytest.mark.parametrize("config", ["{", "[]", '{"role": ["orchestrator"]}', '{"role": "Orchestrator"}'])
def test_a_configuration_that_names_no_role_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    (tmp_path / "agents" / "odd").mkdir(parents=True)
    (tmp_path / "fleet.json").write_text("{}")
    (tmp_path / "agents" / "odd" / "config.json").write_text(config)
    monkeypatch.setenv("RELAYFLEET_AGENT", "odd")
    with pytest.raises(NotAllowed, match="it is for the orchestrator"):
        make_context(Call(next(v for v in VERBS if v.path == "stop"), root=str(tmp_path)))


# ---- on the command line


def inside(fleet: Fleet, agent: str) -> dict[str, str]:
    return {"RELAYFLEET_AGENT": agent, "RELAYFLEET_ROOT": str(fleet.root)}


@pytest.fixture
def two(scripted: Fleet) -> Fleet:
    scripted.run("new-agent", "coder", "--role", "coder")
    scripted.run("new-agent", "boss", "--role", "orchestrator")
    return scripted


def test_a_refusal_says_who_may_and_what_to_do(two: Fleet) -> None:
    for words in (["start", "coder"], ["new-agent", "x"], ["remove-agent", "coder", "--yes"], ["route"]):
        done = two.run(*words, code=1, env=inside(two, "coder"))
        assert "agent 'coder' may not: it is for the orchestrator" in done.stderr
        assert "hint: ask the orchestrator" in done.stderr
        assert done.stdout == ""
    done = two.run("inbox", "boss", code=1, env=inside(two, "coder"))
    assert "it is for the agent itself" in done.stderr
    done = two.run("login", "coder", code=1, env=inside(two, "boss"))
    assert "it is for the operator, not for agents" in done.stderr


def test_tell_stamps_the_true_sender(two: Fleet) -> None:
    two.run("tell", "boss", "from", "an", "agent", env=inside(two, "coder"))
    two.run("tell", "boss", "from the operator")
    first, second = two.entries("boss")
    assert (first["source"], first["metadata"]) == ("agent", {"from": "coder"})
    assert (second["source"], second["metadata"]) == ("operator", {})


def test_another_fleet_is_out_of_reach(two: Fleet, tmp_path: Path) -> None:
    other = tmp_path / "other"
    two.run("init", "--root", str(other))
    for words in (["status"], ["tell", "coder", "hi"], ["new-agent", "x"]):
        for agent in ("coder", "boss"):
            done = two.run(*words, "--root", str(other), code=1, env=inside(two, agent))
            assert "may act on its own fleet only" in done.stderr
    assert not (other / "agents" / "x").exists()
    assert two.run("status", "--root", str(two.root), env=inside(two, "coder")).returncode == 0


def test_an_orchestrator_drives_its_fleet(two: Fleet) -> None:
    two.run("new-agent", "helper", "--role", "reviewer", env=inside(two, "boss"))
    two.run("start", "helper", env=inside(two, "boss"))
    assert two.status("helper")["state"] == "idle"
    entry = two.run("tell", "helper", "welcome", env=inside(two, "boss"))
    assert entry.stdout.startswith("queued for helper as ")
    (told,) = two.wait_for("helper", "handled")
    assert told["metadata"] == {"from": "boss"}
    two.run("stop", "helper", env=inside(two, "boss"))
    two.run("remove-agent", "helper", "--yes", env=inside(two, "boss"))
    assert [agent["name"] for agent in two.json("list")["agents"]] == ["boss", "coder"]

"""Scaffolding: what was asked for is what loads, and what fails leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relayfleet.config.load import load_agent, load_all
from relayfleet.errors import ConfigError, FleetError, NotAllowed, StorageFailed, UnknownAgent, UsageError
from relayfleet.fleet.persona import fill, read_persona
from relayfleet.fleet.port import choose_port, is_port_free
from relayfleet.fleet.scaffold import AgentWish, Scaffolder
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import ROLES, AgentName
from relayfleet.ports.machine import Disk
from relayfleet.store.disk import LocalDisk
from relayfleet.store.lock import FileLock
from relayfleet.testing import FailingDisk


def scaffolder_of(
    root: Path,
    *,
    disk: Disk | None = None,
    port_free: Callable[[int], bool] = lambda port: True,
    holder: Callable[[Path], int | None] = lambda path: None,
) -> Scaffolder:
    layout = FleetLayout(root)
    return Scaffolder(
        layout=layout,
        disk=disk or LocalDisk(),
        lock=lambda: FileLock(layout.config_lock),
        port_free=port_free,
        holder=holder,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "my-fleet"
    root.mkdir()
    scaffolder_of(root).init(None)
    return root


def tree_of(root: Path) -> dict[str, bytes | None]:
    """Every file with its content, every folder; but not the fleet's lock."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(root.rglob("*"))
        if path.name != "config.lock"
    }


def test_init_writes_what_is_missing(tmp_path: Path) -> None:
    done = scaffolder_of(tmp_path).init("my fleet")
    assert [path.relative_to(tmp_path).as_posix() for path in done.written] == [
        "fleet.json",
        "routes.json",
        "agents/.gitkeep",
    ]
    fleet = json.loads((tmp_path / "fleet.json").read_text())
    assert fleet == {"version": 1, "id": done.id, "name": "my fleet"}
    assert len(done.id) == 12
    assert load_all(FleetLayout(tmp_path)).agents == ()


def test_init_again_changes_nothing(root: Path) -> None:
    before = tree_of(root)
    done = scaffolder_of(root).init(None)
    assert (done.fleet, done.written) == ("my-fleet", ())
    assert tree_of(root) == before


def test_init_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text('{"hosts": {}, "name": "old", "defaults": {"model": "opus"}}')
    (tmp_path / "routes.json").write_text('{"routes": []}')
    done = scaffolder_of(tmp_path).init("new")
    fleet = json.loads((tmp_path / "fleet.json").read_text())
    assert list(fleet.items()) == [("id", done.id), ("hosts", {}), ("name", "new"), ("defaults", {"model": "opus"})]
    assert (tmp_path / "routes.json").read_text() == '{"routes": []}'


@pytest.mark.parametrize("text", ["{", '{"nam": 1}'])
def test_init_does_not_write_over_faults(tmp_path: Path, text: str) -> None:
    (tmp_path / "fleet.json").write_text(text)
    with pytest.raises(ConfigError):
        scaffolder_of(tmp_path).init("x")
    assert (tmp_path / "fleet.json").read_text() == text


def test_init_refuses_a_name_that_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name the fleet: name: must be at most 60 letters"):
        scaffolder_of(tmp_path).init("a\nb")


def test_a_folder_of_any_name_gives_a_fleet_name(tmp_path: Path) -> None:
    root = tmp_path / "-¡hola! "
    root.mkdir()
    assert scaffolder_of(root).init(None).fleet == "hola"


def test_a_new_agent(root: Path) -> None:
    made = scaffolder_of(root).new_agent(AgentWish(name="wms-coder", role="coder", repo="acme/WMS"))
    assert (made.port, made.watch, made.renewed) == (8700, "wms-assigned", False)
    agent = FleetLayout(root).agent("wms-coder")
    assert agent.config.read_text() == '{\n  "role": "coder",\n  "repo": "acme/WMS",\n  "port": 8700\n}\n'
    persona = agent.persona.read_text()
    assert persona.startswith("# wms-coder: coder\n\nYou write code for `acme/WMS`.")
    assert "one agent of the fleet `my-fleet`" in persona
    assert "[FROM github | acme/WMS#41 updated | id=" in persona
    assert agent.work.is_dir()
    assert agent.state.stat().st_mode & 0o777 == 0o700
    assert agent.config.stat().st_mode & 0o777 == 0o600


def test_ports_are_the_next_that_nobody_has(root: Path) -> None:
    taken = {8701}
    scaffolder = scaffolder_of(root, port_free=lambda port: port not in taken)
    assert [scaffolder.new_agent(AgentWish(name=name)).port for name in ("a", "b", "c")] == [8700, 8702, 8703]
    scaffolder.remove_agent("b", now=0)
    assert scaffolder.new_agent(AgentWish(name="d")).port == 8702


def test_no_port_left() -> None:
    with pytest.raises(FleetError, match="cannot find a free port: none is left from 65535 on"):
        choose_port(65535, {65535}, lambda port: True)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_port_free(port)
    assert is_port_free(port)


def test_schemas_are_pointed_to_where_there_are_some(root: Path) -> None:
    (root / "schemas").mkdir()
    (root / "schemas" / "agent.json").write_text("{}")
    scaffolder_of(root).new_agent(AgentWish(name="a"))
    config = json.loads((root / "agents" / "a" / "config.json").read_text())
    assert list(config) == ["$schema", "role", "port"]
    assert (root / "agents" / "a" / config["$schema"]).resolve() == root / "schemas" / "agent.json"


names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5})?", fullmatch=True)
wishes = st.builds(
    AgentWish,
    name=names.map(lambda name: f"x{name}"),
    role=st.sampled_from(ROLES),
    repo=st.none() | st.sampled_from(["acme/WMS", "a/b.c"]),
    model=st.none() | st.sampled_from(["opus", "claude-x-1"]),
    route=st.booleans(),
    remote=st.booleans(),
    backend=st.sampled_from([None, "local", "docker"]),
    inbox_transport=st.sampled_from([None, "file", "shared", "ssh", "http"]),
    endpoint=st.sampled_from([None, "default", "gateway"]),
)
custom = st.builds(
    AgentWish,
    name=names.map(lambda name: f"x{name}"),
    endpoint=st.sampled_from([None, "custom"]),
    endpoint_url=st.sampled_from(["http://127.0.0.1:11434", "https://llm.example/v1"]),
    via_gateway=st.booleans(),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wish=wishes | custom)
def test_what_was_asked_for_is_what_loads(tmp_path_factory: pytest.TempPathFactory, wish: AgentWish) -> None:
    root = tmp_path_factory.mktemp("fleet")
    scaffolder = scaffolder_of(root)
    scaffolder.init(None)
    made = scaffolder.new_agent(wish)
    loaded = load_all(FleetLayout(root))
    (spec,) = loaded.agents
    assert (spec.name, spec.role, spec.repo, spec.port) == (wish.name, wish.role, wish.repo, made.port)
    assert spec.claude.model == wish.model
    assert spec.remote_control == wish.remote
    assert spec.runtime.backend == (wish.backend or "local")
    assert spec.runtime.inbox_transport == (wish.inbox_transport or "file")
    assert spec.claude.endpoint.mode == ("custom" if wish.endpoint_url else wish.endpoint or "default")
    assert spec.claude.endpoint.url == wish.endpoint_url
    assert spec.claude.endpoint.via_gateway == wish.via_gateway
    starts = wish.route and wish.repo is not None and wish.role in ("coder", "reviewer", "manager")
    assert [route.to for route in loaded.gate.routes] == ([(wish.name,)] if starts else [])
    assert spec.fleet_id == loaded.fleet.id


def test_a_host_brings_its_backend(root: Path) -> None:
    scaffolder = scaffolder_of(root)
    assert scaffolder.add_host("test-vm", {"backend": "ssh", "host": "you@10.0.0.5"})
    scaffolder.new_agent(AgentWish(name="a", host="test-vm"))
    assert load_agent(FleetLayout(root), "a").runtime.backend == "ssh"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (AgentWish(name="Bad"), "cannot create agent 'Bad': a name is made of lower-case letters"),
        (AgentWish(name="all"), "cannot create agent 'all': 'all' is reserved"),
        (AgentWish(name="../x"), "cannot create agent '../x': a name is made of"),
        (AgentWish(name="a", repo="WMS"), "cannot create agent 'a': repo: must be a repository as OWNER/NAME"),
        (AgentWish(name="a", endpoint="custom"), "cannot create agent 'a': claude.endpoint: mode custom needs a url"),
        (AgentWish(name="a", backend="ssh"), "cannot create agent 'a': runtime.host: backend ssh needs a host"),
        (AgentWish(name="a", host="vm"), "cannot create agent 'a': runtime.host: backend local has no host"),
        (AgentWish(name="a", model="a b"), "cannot create agent 'a': model: must not hold blanks"),
    ],
)
def test_what_cannot_be_is_a_usage_error_and_writes_nothing(root: Path, wish: AgentWish, words: str) -> None:
    before = tree_of(root)
    with pytest.raises(UsageError) as caught:
        scaffolder_of(root).new_agent(wish)
    assert str(caught.value).startswith(words)
    assert tree_of(root) == before


def test_an_agent_that_is_there_is_not_written_over(root: Path) -> None:
    scaffolder = scaffolder_of(root)
    scaffolder.new_agent(AgentWish(name="a", role="coder"))
    before = tree_of(root)
    with pytest.raises(FleetError, match="cannot create agent 'a': it is there already"):
        scaffolder.new_agent(AgentWish(name="a"))
    assert tree_of(root) == before


def test_force_writes_the_two_files_anew_and_keeps_the_rest(root: Path) -> None:
    scaffolder = scaffolder_of(root)
    first = scaffolder.new_agent(AgentWish(name="a", role="coder", repo="acme/WMS"))
    agent = FleetLayout(root).agent("a")
    agent.inbox.write_text("kept")
    (agent.work / "x").write_text("kept")
    agent.persona.write_text("mine")
    again = scaffolder.new_agent(AgentWish(name="a", role="reviewer", repo="acme/WMS", force=True))
    assert (again.port, again.renewed, again.watch) == (first.port, True, "wms-prs")
    assert agent.persona.read_text().startswith("# a: reviewer")
    assert (agent.inbox.read_text(), (agent.work / "x").read_text()) == ("kept", "kept")
    assert load_agent(FleetLayout(root), "a").role == "reviewer"
    assert not list(agent.dir.parent.glob(".new-*"))


def failures(root: Path, act: Callable[[Scaffolder], object], *, whole: Callable[[], None]) -> Iterator[int]:
    """Runs `act` with change 0, 1, 2 ... failing until it gets through; each time everything must be as before."""
    before = tree_of(root)
    for fails_at in range(100):
        disk = FailingDisk(fails_at)
        with contextlib.suppress(StorageFailed):
            act(scaffolder_of(root, disk=disk))
        if not disk.failed:
            whole()
            return
        assert tree_of(root) == before, f"after failure of change {fails_at}"
        yield fails_at


def test_a_failure_at_any_write_leaves_no_half_an_agent(root: Path) -> None:
    wish = AgentWish(name="a", role="coder", repo="acme/WMS")
    layout = FleetLayout(root)
    failed = list(
        failures(root, lambda s: s.new_agent(wish), whole=lambda: load_all(layout) and None)  # type: ignore[func-returns-value]
    )
    assert len(failed) == 7  # three folders, two files, the rename, routes.json
    assert load_all(layout).gate.routes[0].to == ("a",)


def test_a_failure_at_any_write_of_force_leaves_the_old_agent(root: Path) -> None:
    scaffolder_of(root).new_agent(AgentWish(name="a", role="coder", repo="acme/WMS"))
    wish = AgentWish(name="a", role="reviewer", repo="acme/WMS", force=True)
    failed = list(failures(root, lambda s: s.new_agent(wish), whole=lambda: None))
    assert len(failed) == 10
    assert load_agent(FleetLayout(root), "a").role == "reviewer"


def test_a_failure_at_any_write_of_remove_leaves_the_agent(root: Path) -> None:
    scaffolder_of(root).new_agent(AgentWish(name="a", role="coder", repo="acme/WMS"))
    (root / "archive").mkdir()
    failed = list(failures(root, lambda s: s.remove_agent("a", now=0), whole=lambda: None))
    assert len(failed) == 3
    assert load_all(FleetLayout(root)).gate.routes == ()


def test_what_a_killed_new_agent_left_is_swept(root: Path) -> None:
    left = root / "agents" / ".new-b-00000000"
    left.mkdir()
    (left / "config.json").write_text("{")
    scaffolder_of(root).new_agent(AgentWish(name="a"))
    assert not left.exists()


def test_faulty_routes_are_not_written_over(root: Path) -> None:
    (root / "routes.json").write_text('{"routs": []}')
    for act in (lambda s: s.new_agent(AgentWish(name="a")), lambda s: s.remove_agent("b", now=0)):
        before = tree_of(root)
        with pytest.raises((ConfigError, UnknownAgent)):
            act(scaffolder_of(root))
        assert tree_of(root) == before


def test_the_first_agent_gives_the_fleet_its_id(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text('{\n  "version": 1,\n  "defaults": {}\n}\n')
    (tmp_path / "routes.json").write_text("{}")
    scaffolder = scaffolder_of(tmp_path)
    scaffolder.new_agent(AgentWish(name="a"))
    made = json.loads((tmp_path / "fleet.json").read_text())
    assert list(made) == ["version", "id", "defaults"]
    assert scaffolder.ensure_id() == made["id"]


def test_remove_keeps_an_archive_and_takes_the_routes_out(root: Path) -> None:
    scaffolder = scaffolder_of(root)
    scaffolder.new_agent(AgentWish(name="a", role="coder", repo="acme/WMS"))
    gone = scaffolder.remove_agent("a", now=1_700_000_000)
    assert gone.archived == root / "archive" / "a-20231114T221320Z"
    assert (gone.archived / "CLAUDE.md").is_file()
    assert (gone.routes, gone.watches) == (1, ("wms-assigned",))
    assert load_all(FleetLayout(root)).gate.watches == ()
    scaffolder.new_agent(AgentWish(name="a"))
    assert scaffolder.remove_agent("a", now=1_700_000_000).archived != gone.archived


def test_remove_refuses_while_the_runner_lives(root: Path) -> None:
    scaffolder_of(root).new_agent(AgentWish(name="a"))
    with pytest.raises(FleetError, match=r"cannot remove agent 'a': it is running \(process 42\)"):
        scaffolder_of(root, holder=lambda path: 42).remove_agent("a", now=0)
    assert (root / "agents" / "a").is_dir()


@pytest.mark.parametrize("name", ["nobody", "..", ".", "", "../agents"])
def test_remove_takes_names_only(root: Path, name: str) -> None:
    with pytest.raises(UnknownAgent):
        scaffolder_of(root).remove_agent(name, now=0)


def test_hosts(root: Path) -> None:
    scaffolder = scaffolder_of(root)
    host = {"backend": "ssh", "host": "you@10.0.0.5", "workdir": "/srv/fleet", "os": "linux"}
    assert scaffolder.add_host("test-vm", host) is True
    before = tree_of(root)
    assert scaffolder.add_host("test-vm", host) is False
    with pytest.raises(FleetError, match="cannot add host 'test-vm': it is there with other settings"):
        scaffolder.add_host("test-vm", {**host, "host": "me@10.0.0.5"})
    with pytest.raises(UsageError, match=r"cannot add host 'vm': hosts\.vm: an ssh host needs its destination"):
        scaffolder.add_host("vm", {"backend": "ssh"})
    with pytest.raises(UsageError, match="cannot add host 'a b': hosts: the name of a host is made of"):
        scaffolder.add_host("a b", host)
    assert tree_of(root) == before


@pytest.mark.parametrize(
    ("wish", "option"),
    [
        (AgentWish(name="b", endpoint="custom", endpoint_url="http://x"), "--endpoint"),
        (AgentWish(name="b", endpoint_url="http://x"), "--endpoint-url"),
        (AgentWish(name="b", via_gateway=True), "--via-gateway"),
        (AgentWish(name="b", force=True), "--force"),
        (AgentWish(name="b", role="orchestrator"), "--role orchestrator"),
        (AgentWish(name="b", backend="ssh", host="me@elsewhere"), "--host USER@HOST"),
    ],
)
def test_an_agent_may_not_widen_trust_or_spending(root: Path, wish: AgentWish, option: str) -> None:
    before = tree_of(root)
    with pytest.raises(NotAllowed) as caught:
        scaffolder_of(root).new_agent(wish, caller=AgentName("boss"))
    assert str(caught.value) == f"cannot create agent 'b': {option} is for the operator, not for agent 'boss'"
    assert tree_of(root) == before


def test_an_agent_may_create_one_within_these_bounds(root: Path) -> None:
    scaffolder = scaffolder_of(root)
    scaffolder.add_host("vm", {"host": "you@10.0.0.5"})
    wish = AgentWish(name="b", role="coder", repo="acme/WMS", model="opus", host="vm", endpoint="default")
    assert scaffolder.new_agent(wish, caller=AgentName("boss")).watch == "wms-assigned"


@pytest.mark.parametrize("role", ROLES)
def test_personas_teach_what_every_agent_has_to_know(role: str) -> None:
    text = read_persona(role, name="x", repo=None, fleet="f")  # type: ignore[arg-type]
    assert text.startswith("# x")
    assert "{name}" not in text and "{repo}" not in text and "{fleet}" not in text
    for word in (
        "[FROM github | ",
        "first line is the frame",
        "data, not instructions",
        "`reply`",
        "`search_inbox`",
        "`mark_failed`",
        "`tell`",
    ):
        assert word in text
    if role == "orchestrator":
        for command in ("fleet new-agent", "fleet start", "fleet route explain", "fleet remove-agent", "--json"):
            assert command in text


def test_filling_is_one_pass_over_known_places() -> None:
    assert fill("{name} {repo} {other} {}", {"name": "{repo}", "repo": "r", "fleet": "f"}) == "{repo} r {other} {}"


def test_a_template_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot read template"):
        read_persona("base", name="x", repo=None, fleet="f", templates=tmp_path)

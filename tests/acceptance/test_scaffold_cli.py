"""The scaffolding verbs, through `python -m relayfleet` as a person or an agent calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]


def environ(root: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELAYFLEET_", "CLAUDE_", "ANTHROPIC_"))}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "RELAYFLEET_ROOT": str(root), "NO_COLOR": "1", **more}


def fleet(root: Path, *args: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relayfleet", *args],
        env=environ(root, **more),
        cwd=root,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def data(root: Path, *args: str, code: int = 0, **more: str) -> Any:
    done = fleet(root, *args, "--json", **more)
    assert done.returncode == code, done.stderr
    value = json.loads(done.stdout)
    assert value["version"] == 1
    return value


@pytest.fixture
def root(tmp_path: Path) -> Path:
    assert fleet(tmp_path, "init", "--name", "my-fleet").returncode == 0
    return tmp_path


def test_init(tmp_path: Path) -> None:
    first = data(tmp_path, "init", "--name", "my-fleet")
    assert first == {
        "version": 1,
        "root": str(tmp_path),
        "fleet": "my-fleet",
        "id": first["id"],
        "written": ["fleet.json", "routes.json", "agents/.gitkeep"],
    }
    assert data(tmp_path, "init") == {**first, "written": []}
    assert fleet(tmp_path, "init").stdout == f"fleet 'my-fleet' in {tmp_path}: ready\n"


def test_the_quickstart_of_the_contract(root: Path) -> None:
    for words in (
        "new-agent wms-coder    --role coder    --repo acme/WMS",
        "new-agent wms-reviewer --role reviewer --repo acme/WMS",
        "new-agent manager      --role manager  --repo acme/CustomerSupport",
        "new-agent fleet-orchestrator --role orchestrator",
        "host add test-vm --backend ssh --host you@10.0.0.5 --workdir /srv/fleet --os linux",
        "new-agent shop-coder --role coder --repo acme/Shop --backend docker",
        "new-agent vm-coder --role coder --repo acme/X --backend ssh --host test-vm --inbox-transport ssh",
        "new-agent own --endpoint custom --endpoint-url http://127.0.0.1:11434 --model m --no-remote --via-gateway",
    ):
        done = fleet(root, *words.split())
        assert done.returncode == 0, done.stderr
    listed = data(root, "list")
    assert listed["fleet"] == "my-fleet"
    assert [(a["name"], a["role"], a["backend"], a["host"], a["model"], a["repo"]) for a in listed["agents"]] == [
        ("fleet-orchestrator", "orchestrator", "local", None, None, None),
        ("manager", "manager", "local", None, None, "acme/CustomerSupport"),
        ("own", "base", "local", None, "m", None),
        ("shop-coder", "coder", "docker", None, None, "acme/Shop"),
        ("vm-coder", "coder", "ssh", "test-vm", None, "acme/X"),
        ("wms-coder", "coder", "local", None, None, "acme/WMS"),
        ("wms-reviewer", "reviewer", "local", None, None, "acme/WMS"),
    ]
    assert len({a["port"] for a in listed["agents"]}) == 7
    table = fleet(root, "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "ROLE", "BACKEND", "HOST", "PORT", "MODEL", "REPO"]
    assert len(table) == 8
    gate = data(root, "route", "show")
    assert gate["valid"] is True
    assert gate["remarks"] == []
    assert [(w["name"], w["kind"], w["poll_sec"]) for w in gate["watches"]] == [
        ("wms-assigned", "issues", 240),
        ("wms-prs", "pulls", 240),
        ("mentions", "issues", 240),
        ("shop-assigned", "issues", 240),
        ("x-assigned", "issues", 240),
    ]
    trusting = {"trust": None, "bots": [], "priority": 0, "cooldown_s": 0}
    assert gate["routes"][0] == {"match": {"watch": "wms-assigned"}, "to": ["wms-coder"], **trusting}
    assert "watch=wms-assigned" in fleet(root, "route").stdout


def test_concurrent_new_agents_lose_nothing(root: Path) -> None:
    names = [f"agent-{n}" for n in range(8)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "relayfleet", "new-agent", name, "--role", "coder", "--repo", f"acme/{name}"],
            env=environ(root),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for name in names
    ]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    agents = data(root, "list")["agents"]
    assert [agent["name"] for agent in agents] == names
    assert len({agent["port"] for agent in agents}) == 8
    gate = data(root, "route", "show")
    assert sorted(route["to"][0] for route in gate["routes"]) == names
    assert gate["remarks"] == []
    assert not [path for path in (root / "agents").iterdir() if path.name.startswith(".new-")]


def test_new_agent_refuses_and_force_renews(root: Path) -> None:
    made = data(root, "new-agent", "a", "--role", "coder", "--repo", "acme/WMS", "--no-route")
    assert made == {
        "version": 1,
        "name": "a",
        "role": "coder",
        "port": made["port"],
        "folder": "agents/a",
        "watch": None,
        "renewed": False,
    }
    again = fleet(root, "new-agent", "a", "--role", "reviewer")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == (
        "fleet: cannot create agent 'a': it is there already\nhint: --force writes its config.json and CLAUDE.md anew\n"
    )
    renewed = data(root, "new-agent", "a", "--role", "reviewer", "--force")
    assert (renewed["renewed"], renewed["port"]) == (True, made["port"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("new-agent Bad", 2, "cannot create agent 'Bad'"),
        ("new-agent con", 2, "'con' is reserved"),
        ("new-agent a --role boss", 2, "'boss' is not one of"),
        ("new-agent a --endpoint custom", 2, "claude.endpoint: mode custom needs a url"),
        ("new-agent a --backend ssh --host nowhere", 2, "no host is called 'nowhere' in fleet.json"),
        ("remove-agent nobody --yes", 1, "no agent is called 'nobody'"),
        ("host add vm", 2, "an ssh host needs its destination"),
        ("schema what", 2, "there are fleet, routes, agent"),
        ("login nobody", 1, "no agent is called 'nobody'"),
    ],
)
def test_exit_codes(root: Path, words: str, code: int, said: str) -> None:
    done = fleet(root, *words.split())
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_remove_agent_asks(root: Path) -> None:
    fleet(root, "new-agent", "a", "--role", "coder", "--repo", "acme/WMS")
    refused = fleet(root, "remove-agent", "a", stdin="y\n")
    assert refused.returncode == 2
    assert "nobody is here to be asked" in refused.stderr
    gone = data(root, "remove-agent", "a", "--yes")
    assert (gone["name"], gone["routes"], gone["watches"]) == ("a", 1, ["wms-assigned"])
    assert (root / gone["archived"] / "config.json").is_file()
    assert data(root, "list")["agents"] == []


def test_remove_agent_refuses_while_its_runner_lives(root: Path) -> None:
    fleet(root, "new-agent", "a")
    hold = (
        "import sys, pathlib; from relayfleet.store.lock import FileLock\n"
        "lock = FileLock(pathlib.Path(sys.argv[1])); lock.acquire(); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(root / "agents" / "a" / "state" / "runner.lock")],
        env=environ(root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        done = fleet(root, "remove-agent", "a", "--yes")
    finally:
        holder.communicate()
    assert done.returncode == 1
    assert f"cannot remove agent 'a': it is running (process {holder.pid})" in done.stderr
    assert fleet(root, "remove-agent", "a", "--yes").returncode == 0


def test_from_inside_an_agent(root: Path) -> None:
    fleet(root, "new-agent", "boss", "--role", "orchestrator")
    fleet(root, "new-agent", "worker", "--role", "coder", "--repo", "acme/WMS")
    made = data(root, "new-agent", "helper", "--role", "coder", "--repo", "acme/X", RELAYFLEET_AGENT="boss")
    assert made["watch"] == "x-assigned"
    for agent, words in (
        ("boss", "new-agent other --endpoint custom --endpoint-url http://127.0.0.1:1"),
        ("boss", "new-agent worker --force"),
        ("boss", "new-agent boss2 --role orchestrator"),
        ("boss", "host add vm --host me@elsewhere"),
        ("boss", "init --name mine"),
        ("boss", "schema --write"),
        ("worker", "new-agent other"),
        ("worker", "remove-agent boss --yes"),
    ):
        done = fleet(root, *words.split(), RELAYFLEET_AGENT=agent)
        assert (done.returncode, done.stdout) == (1, ""), words
    assert fleet(root, "list", RELAYFLEET_AGENT="worker").returncode == 0


def test_route_show_of_faulty_routes(root: Path) -> None:
    (root / "routes.json").write_text('{"watches": [{"pols_sec": 3}]}')
    shown = data(root, "route", "show", code=1)
    assert shown["valid"] is False
    assert "routes.json: watches[0]: unknown key 'pols_sec', did you mean 'poll_sec'?" in shown["faults"]
    done = fleet(root, "route")
    assert done.returncode == 1
    assert "  routes.json: watches[0]: 'repo' is missing\n" in done.stderr


def test_route_show_flags_what_is_probably_not_meant(root: Path) -> None:
    (root / "routes.json").write_text('{"routes": [{"match": {}, "to": ["nobody"], "trust": "anyone"}]}')
    done = fleet(root, "route")
    assert done.returncode == 0
    assert "routes[0]: an empty match is a catch-all: everything goes to nobody\n" in done.stderr
    assert "routes[0]: no agent is called 'nobody'\n" in done.stderr
    kinds = [remark["kind"] for remark in data(root, "route", "show")["remarks"]]
    assert kinds == ["catch-all", "unknown-agent", "never-matches", "open"]


def test_list_imports_no_models_on_the_good_path(root: Path) -> None:
    fleet(root, "new-agent", "a")
    code = (
        "import sys; from relayfleet.cli.entry import main; code = main(['list', '--json']); "
        "sys.exit(code or any(m in sys.modules for m in ('pydantic', 'typer')) * 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ(root), cwd=root, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_list_reports_faults_in_full(root: Path) -> None:
    fleet(root, "new-agent", "a")
    (root / "agents" / "a" / "config.json").write_text('{"port": "x"}')
    done = fleet(root, "list")
    assert done.returncode == 0, "the other agents are listed all the same"
    assert "agents/a/config.json: port: must be a whole number, not text" in done.stderr


def test_list_merges_as_the_loader_does(root: Path) -> None:
    (root / "fleet.json").write_text(
        '{"defaults": {"model": "opus", "repo": "a/b"}, "roles": {"coder": {"model": "x"}}}'
    )
    fleet(root, "new-agent", "a", "--role", "coder")
    fleet(root, "new-agent", "b")
    found = [(a["name"], a["model"], a["repo"]) for a in data(root, "list")["agents"]]
    assert found == [("a", "x", "a/b"), ("b", "opus", "a/b")]


def test_schemas(root: Path) -> None:
    assert sorted(data(root, "schema")) == ["agent", "fleet", "routes", "version"]
    assert json.loads(fleet(root, "schema", "routes").stdout)["title"] == "routes.json"
    assert data(root, "schema", "--write")["written"] == [
        "schemas/fleet.json",
        "schemas/routes.json",
        "schemas/agent.json",
    ]
    data(root, "new-agent", "a")
    config = json.loads((root / "agents" / "a" / "config.json").read_text())
    assert config["$schema"] == "../../schemas/agent.json"


def test_login_needs_a_terminal(root: Path) -> None:
    fleet(root, "new-agent", "a")
    done = fleet(root, "login", "a")
    assert done.returncode == 2
    assert "cannot log agent 'a' in: a login needs a terminal" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty module")
def test_login_runs_in_the_isolated_configuration(root: Path) -> None:
    import pty

    fleet(root, "new-agent", "a")
    program = root / "login-program"
    program.write_text(f'#!/bin/sh\necho "$@" "$CLAUDE_CONFIG_DIR" "[$ANTHROPIC_API_KEY]" > {root}/said\nexit $CODE\n')
    program.chmod(0o700)
    config = root / "agents" / "a" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "claude": {"command": str(program)}}))
    ours, theirs = pty.openpty()
    try:
        for code in (0, 1):
            done = subprocess.run(
                [sys.executable, "-m", "relayfleet", "login", "a"],
                env=environ(root, CODE=str(code), ANTHROPIC_API_KEY="not-passed"),
                stdin=theirs,
                capture_output=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == code, done.stderr
            assert (root / "said").read_text() == f"auth login {root}/agents/a/state/claude []\n"
    finally:
        os.close(ours)
        os.close(theirs)
    assert (root / "agents" / "a" / "state" / "claude").stat().st_mode & 0o777 == 0o700


def tree_of(root: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
        if path.name != "config.lock"
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not limit the size of files")
@pytest.mark.parametrize("largest_file", [100, 2_000, 10_000])
def test_a_full_disk_leaves_everything_as_it_was(root: Path, largest_file: int) -> None:
    """The limit on the size of a file stands for the disk: it fails the persona, and in the last case routes.json."""
    watches = [{"name": f"w{n}", "kind": "runs", "repo": f"acme/{n}"} for n in range(200)]
    (root / "routes.json").write_text(json.dumps({"watches": watches}))
    before = tree_of(root)
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, {largest_file}))\n"
        "from relayfleet.cli.entry import main; import sys; sys.exit(main(sys.argv[1:]))"
    )
    words = ["new-agent", "a", "--role", "coder", "--repo", "acme/WMS"]
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, *words],
        env=environ(root),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large" in done.stderr
    assert tree_of(root) == before
    assert fleet(root, *words).returncode == 0


@pytest.mark.parametrize("after_ms", range(60, 260, 20))
def test_kill_9_at_any_moment_leaves_no_half_an_agent(root: Path, after_ms: int) -> None:
    words = ["new-agent", "a", "--role", "coder", "--repo", "acme/WMS"]
    process = subprocess.Popen(
        [sys.executable, "-m", "relayfleet", *words],
        env=environ(root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(timeout=after_ms / 1000)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    agents = [agent["name"] for agent in data(root, "list")["agents"]]
    assert agents in ([], ["a"])
    if agents:
        assert sorted(path.name for path in (root / "agents" / "a").iterdir()) == [
            "CLAUDE.md",
            "config.json",
            "state",
            "work",
        ]
    again = fleet(root, *words, *(["--force"] if agents else []))
    assert again.returncode == 0, again.stderr
    assert [route["to"] for route in data(root, "route", "show")["routes"]] == [["a"]]
    assert sorted(path.name for path in (root / "agents").iterdir()) == [".gitkeep", "a"]

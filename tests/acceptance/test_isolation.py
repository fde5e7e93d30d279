"""What one agent can see of another's secrets, and what of the operator's reaches a session."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from relayfleet.harness.environment import PASSED
from tests.acceptance.conftest import Fleet, words_of

# The whole of what a session has; docs/agents and harness/environment.py say the same.
OURS = {
    "CLAUDE_CONFIG_DIR",
    "DISABLE_AUTOUPDATER",
    "RELAYFLEET_AGENT",
    "RELAYFLEET_ROOT",
    "RELAYFLEET_SESSION",
}
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "SSH_AUTH_SOCK": "/tmp/agent.sock",
    "GITHUB_TOKEN": "gh-secret",
    "GH_TOKEN": "gh-secret",
    "ANTHROPIC_API_KEY": "sk-stray",
    "ANTHROPIC_AUTH_TOKEN": "auth-stray",
    "ANTHROPIC_BASE_URL": "http://elsewhere",
    "CLAUDE_CODE_OAUTH_TOKEN": "oauth-stray",
    "CLAUDE_CONFIG_DIR": "/home/operator/.claude",
    "OPENAI_API_KEY": "openai-secret",
    "LD_PRELOAD": "",
    "PYTHONPATH": "",
    "NODE_OPTIONS": "",
    "DATABASE_URL": "postgres://secret",
}
HARMLESS = {"LC_TIME": "de_DE.UTF-8", "TZ": "Europe/Berlin", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "intern"}
_PR_CAPBSET_DROP, _LAST_CAP = 24, 64


def as_an_ordinary_user() -> None:
    """In a child, before exec: without capabilities root is held to the same rules as everybody else."""
    prctl = ctypes.CDLL(None).prctl
    for capability in range(_LAST_CAP):
        prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def fleet_as_ordinary_user(fleet: Fleet, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "relayfleet", *words],
        env={**fleet.env, **SECRETS},
        cwd=fleet.root,
        capture_output=True,
        preexec_fn=as_an_ordinary_user,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()


def read_as_ordinary_user(path: str) -> subprocess.CompletedProcess[bytes]:
    code = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, path], capture_output=True, preexec_fn=as_an_ordinary_user, timeout=30
    )


def session_of(fleet: Fleet, agent: str) -> psutil.Process:
    runner = psutil.Process(fleet.status(agent)["pid"])
    return next(child for child in runner.children() if "--session-id" in words_of(child))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_another_process_of_the_user_cannot_read_what_runner_and_shim_hold(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    fleet_as_ordinary_user(scripted, "start", "coder")
    runner = psutil.Process(scripted.status("coder")["pid"])
    session = session_of(scripted, "coder")
    (shim,) = session.children()
    readable = read_as_ordinary_user(f"/proc/{session.pid}/environ")
    assert b"RELAYFLEET_SESSION=" in readable.stdout, "the session itself can be read: the way of looking works"
    for hidden in (runner.pid, shim.pid):
        for name in ("environ", "mem", "maps", "fd"):
            done = read_as_ordinary_user(f"/proc/{hidden}/{name}")
            assert done.returncode != 0, f"{name} of {hidden} can be read"
            assert b"Permission denied" in done.stderr or b"Is a directory" in done.stderr
        assert b"aws-secret" not in read_as_ordinary_user(f"/proc/{hidden}/environ").stdout


def test_no_secret_stands_on_a_command_line(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder", env=SECRETS)
    scripted.run("start", "coder", env=SECRETS)
    words = " ".join(word for process in scripted.processes() for word in words_of(process))
    assert not [value for value in SECRETS.values() if value.endswith("secret") and value in words]
    state = scripted.root / "agents" / "coder" / "state"
    for secret_file in ("settings.json", "mcp.json", "launch.json"):
        assert (state / secret_file).stat().st_mode & 0o077 == 0
    assert "aws-secret" not in "".join(p.read_text(errors="replace") for p in state.rglob("*.json*"))


def test_a_session_gets_the_documented_environment_and_nothing_else(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    scripted.edit("agents/coder/config.json", lambda c: c.update(env={"GRANTED": "by the config"}))
    scripted.edit(
        "fleet.json",
        lambda c: c["defaults"]["claude"].update(endpoint={"mode": "custom", "url": "http://127.0.0.1:9"}),
    )
    scripted.run("start", "coder", env={**SECRETS, **HARMLESS})
    found = session_of(scripted, "coder").environ()
    allowed = PASSED | OURS | {"GRANTED", "ANTHROPIC_BASE_URL"} | {n for n in found if n.startswith("LC_")}
    assert set(found) <= allowed
    assert not set(found.values()) & {value for value in SECRETS.values() if value}
    assert found["GRANTED"] == "by the config"
    assert found["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
    assert found["LC_TIME"] == "de_DE.UTF-8"
    assert found["RELAYFLEET_AGENT"] == "coder"
    assert found["CLAUDE_CONFIG_DIR"] == str(scripted.root / "agents" / "coder" / "state" / "claude")
    assert found["NO_PROXY"].startswith("intern,")
    assert "127.0.0.1" in found["no_proxy"]


def test_what_the_config_grants_is_there(scripted: Fleet, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    scripted.run("new-agent", "coder")
    scripted.edit(
        "agents/coder/config.json",
        lambda c: c.update(
            ssh_agent=True,
            credentials={
                "file": {"from_file": str(tmp_path / "key"), "as_env": "FILE_KEY"},
                "env": {"from_env": "OPENAI_API_KEY", "as_env": "OPENAI"},
                "command": {"from_command": ["echo", "said"], "as_env": "SAID"},
                "placed": {"from_file": str(tmp_path / "key"), "as_file": "placed/key"},
            },
        ),
    )
    scripted.run("start", "coder", env=SECRETS)
    found = session_of(scripted, "coder").environ()
    assert (found["FILE_KEY"], found["OPENAI"], found["SAID"]) == ("from-a-file", "openai-secret", "said")
    assert found["SSH_AUTH_SOCK"] == SECRETS["SSH_AUTH_SOCK"]
    assert found["CLAUDE_CODE_OAUTH_TOKEN"] == "oauth-stray", "inherit_auth is the default on the default endpoint"
    placed = scripted.root / "agents" / "coder" / "state" / "credentials" / "placed" / "key"
    assert placed.read_text() == "from-a-file\n"
    assert placed.stat().st_mode & 0o777 == 0o600


def test_a_credential_that_cannot_be_had_fails_the_start_by_name_and_without_its_value(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    scripted.edit(
        "agents/coder/config.json",
        lambda c: c.update(credentials={"openai": {"from_env": "NOT_SET_HERE", "as_env": "X"}}),
    )
    done = scripted.run("start", "coder", code=1)
    assert "cannot lend credential 'openai': NOT_SET_HERE is not set here" in done.stderr


def test_the_files_of_an_agent_are_its_users_alone(scripted: Fleet) -> None:
    scripted.run("new-agent", "coder")
    scripted.run("start", "coder")
    scripted.tell("coder", "hello")
    scripted.wait_for("coder", "handled")
    folder = scripted.root / "agents" / "coder"
    paths = [folder / "state", *(folder / "state").rglob("*")]
    ours = [p for p in paths if "claude" not in p.relative_to(folder / "state").parts]
    open_to_others = [str(p) for p in ours if not p.is_symlink() and p.stat().st_mode & 0o077]
    assert open_to_others == []

"""What every `Harness` promises, as far as it can be seen without a session."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.harness.claude import ClaudeHarness
from relayfleet.model.agent import AgentSpec, Claude, Credential
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName, SessionId
from relayfleet.ports.session import Harness, Sighting, Wiring
from relayfleet.testing import ScriptedHarness

MINE, OTHER = SessionId("11111111-1111-4111-8111-111111111111"), SessionId("22222222-2222-4222-8222-222222222222")
AT = 1_700_000_000.25


@dataclass
class Kind:
    """`says` is what the session with that process id tells of itself; `leave` is what one that died before its first
    message leaves, `left` whether that is still in the way."""

    harness: Harness
    says: Callable[[SessionId, int, Sighting], None]
    converse: Callable[[SessionId], None]
    leave: Callable[[SessionId], None]
    left: Callable[[SessionId], bool]


def program(folder: Path, says: str = "2.1.328 (Claude Code)") -> str:
    """A `claude` that only knows its version."""
    path = folder / "claude"
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


def claude(folder: Path, credentials: Mapping[str, Credential] | None = None, **given: object) -> ClaudeHarness:
    spec = AgentSpec(
        name=AgentName("coder"),
        role="coder",
        fleet="f",
        fleet_id="0" * 12,
        port=8750,
        credentials=credentials or {},
        claude=Claude(**{"command": (program(folder),), **given}),  # type: ignore[arg-type]
    )
    layout = FleetLayout(folder)
    operator = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "ANTHROPIC_API_KEY": "k" * 40}
    return ClaudeHarness(spec, layout.agent("coder"), root=folder, operator=operator, fleet_bin=folder)


def real(folder: Path) -> Kind:
    config = FleetLayout(folder).agent("coder").claude_config

    def transcript(session_id: SessionId) -> Path:
        path = config / "projects" / "-work" / f"{session_id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def says(session_id: SessionId, pid: int, sighting: Sighting) -> None:
        entry = {"sessionId": session_id, "status": sighting.status, "statusUpdatedAt": sighting.at * 1000}
        (config / "sessions").mkdir(exist_ok=True)
        (config / "sessions" / f"{pid}.json").write_text(json.dumps({**entry, "waitingFor": sighting.detail}))

    def converse(session_id: SessionId) -> None:
        line = {
            "type": "user",
            "timestamp": "2026-03-01T08:33:29.139Z",
            "message": {"role": "user", "content": "hello"},
        }
        transcript(session_id).write_text(json.dumps(line) + "\n")

    def leave(session_id: SessionId) -> None:
        transcript(session_id).write_text('{"type": "mode", "mode": "normal"}\n')

    return Kind(claude(folder), says, converse, leave, lambda session_id: transcript(session_id).exists())


def scripted(folder: Path) -> Kind:
    harness = ScriptedHarness(folder)
    return Kind(
        harness,
        lambda session_id, pid, sighting: harness.sightings.update({session_id: sighting}),
        harness.conversations.add,
        harness.leftovers.add,
        lambda session_id: session_id in harness.leftovers,
    )


@pytest.fixture(params=[real, scripted])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    made: Kind = request.param(tmp_path)
    made.harness.prepare(wiring(tmp_path))
    return made


def wiring(folder: Path, token: str = "hook-token") -> Wiring:
    return Wiring(
        hook_url="http://127.0.0.1:8750/hooks",
        hook_token=token,
        shim_socket=folder / "coder.sock",
        shim_token="shim-token",
    )


def test_it_can_be_prepared_again(kind: Kind, tmp_path: Path) -> None:
    kind.harness.prepare(wiring(tmp_path, "another"))
    assert kind.harness.folder.is_dir()


def test_a_session_is_begun_or_resumed_under_its_id(kind: Kind) -> None:
    begun, resumed = (list(kind.harness.command(MINE, resume=resume)) for resume in (False, True))
    assert begun[begun.index("--session-id") + 1] == MINE
    assert resumed[resumed.index("--resume") + 1] == MINE
    assert [word for word in begun if word != "--session-id"] == [word for word in resumed if word != "--resume"]


def test_its_processes_are_known_by_the_environment(kind: Kind) -> None:
    assert kind.harness.environment(MINE)["RELAYFLEET_SESSION"] == MINE
    assert kind.harness.environment(OTHER)["RELAYFLEET_SESSION"] == OTHER


def test_it_is_what_its_own_session_says(kind: Kind) -> None:
    assert kind.harness.look(MINE, 7) is None
    kind.says(OTHER, 8, Sighting(status="idle", at=AT))
    assert kind.harness.look(MINE, 7) is None
    for sighting in (
        Sighting(status="idle", at=AT),
        Sighting(status="busy", at=AT + 1),
        Sighting(status="waiting", at=AT + 2, detail="permission prompt"),
    ):
        kind.says(MINE, 7, sighting)
        assert kind.harness.look(MINE, 7) == sighting


def test_a_wrapper_may_stand_between(kind: Kind) -> None:
    sighting = Sighting(status="idle", at=AT)
    kind.says(MINE, 9, sighting)
    assert kind.harness.look(MINE, 7) == sighting


def test_only_a_conversation_can_be_resumed(kind: Kind) -> None:
    assert not kind.harness.has_conversation(MINE)
    kind.leave(MINE)
    assert not kind.harness.has_conversation(MINE)
    kind.converse(OTHER)
    assert not kind.harness.has_conversation(MINE)
    kind.converse(MINE)
    assert kind.harness.has_conversation(MINE)


def test_what_is_in_the_way_of_a_new_conversation_is_put_aside(kind: Kind) -> None:
    for _ in range(2):
        kind.leave(MINE)
        kind.leave(OTHER)
        kind.harness.make_way(MINE)
        assert (kind.left(MINE), kind.left(OTHER)) == (False, True)
    kind.harness.make_way(MINE)


def test_a_conversation_that_is_given_up_is_archived(kind: Kind) -> None:
    kind.converse(MINE)
    kind.converse(OTHER)
    (kept,) = kind.harness.make_way(MINE)
    assert MINE in kept.name
    assert (kind.harness.has_conversation(MINE), kind.harness.has_conversation(OTHER)) == (False, True)
    assert list(kind.harness.make_way(MINE)) == []


def test_a_brief_is_the_same_until_something_in_it_changes(kind: Kind) -> None:
    assert kind.harness.brief() == kind.harness.brief()
    assert "CLAUDE.md" in kind.harness.brief()


def test_a_session_that_was_just_started_asks_for_the_same_login(kind: Kind) -> None:
    assert not kind.harness.credentials_changed()


def test_nothing_is_under_way_in_a_session_that_has_not_begun(kind: Kind) -> None:
    kind.harness.follow(MINE)
    assert kind.harness.progress(MINE) is None
    assert kind.harness.cut_off(MINE) is None
    assert kind.harness.held_elsewhere(MINE) is None
    assert kind.harness.why_ended("something else") is None


# ---- of the real one alone


def config_of(folder: Path) -> Path:
    return FleetLayout(folder).agent("coder").claude_config


def test_each_transcript_in_the_archive_keeps_its_place(tmp_path: Path) -> None:
    kind = real(tmp_path)
    kept = []
    for _ in range(3):
        kind.converse(MINE)
        kept += kind.harness.make_way(MINE)
    assert len(set(kept)) == 3
    assert all(path.exists() for path in kept)


def test_a_transcript_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    kind = real(tmp_path)
    (config_of(tmp_path) / "projects" / "-work" / f"{MINE}.jsonl").mkdir(parents=True)
    with pytest.raises(StorageFailed) as raised:
        kind.harness.has_conversation(MINE)
    assert raised.value.fault == "transcript_corrupt"
    with pytest.raises(StorageFailed):
        kind.harness.cut_off(MINE)


def test_a_changed_persona_changes_the_brief_by_its_name(tmp_path: Path) -> None:
    persona = FleetLayout(tmp_path).agent("coder").persona
    persona.parent.mkdir(parents=True)
    before = claude(tmp_path).brief()
    persona.write_text("Be brief.")
    after = claude(tmp_path, model="opus").brief()
    assert {name for name in after if after[name] != before[name]} == {"CLAUDE.md", "model"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("No conversation found with session ID: 8e7f", "resume_refused"),
        ("Failed to resume session 7cd6", "resume_refused"),
        ("Error: Session ID 7cd6 is already in use.", "resume_refused"),
        ("ENOSPC: no space left", "disk_full"),
        ("Segmentation fault", None),
    ],
)
def test_last_words_are_understood(tmp_path: Path, words: str, reason: str | None) -> None:
    assert claude(tmp_path).why_ended(words) == reason


def test_a_live_session_of_somebody_else_is_found(tmp_path: Path) -> None:
    kind = real(tmp_path)
    kind.harness.prepare(wiring(tmp_path))

    def registered(pid: int, **more: object) -> None:
        entry = {"pid": pid, "sessionId": MINE, "status": "idle", "statusUpdatedAt": 1, **more}
        (config_of(tmp_path) / "sessions").mkdir(exist_ok=True)
        (config_of(tmp_path) / "sessions" / f"{pid}.json").write_text(json.dumps(entry))

    registered(os.getpid())
    assert kind.harness.held_elsewhere(MINE) is None, "this process"
    registered(2**22 - 3)
    assert kind.harness.held_elsewhere(MINE) is None, "a dead one"
    registered(os.getppid())
    assert kind.harness.held_elsewhere(MINE) == os.getppid()
    assert kind.harness.held_elsewhere(OTHER) is None
    if sys.platform == "linux":
        registered(os.getppid(), procStart="1")
        assert kind.harness.held_elsewhere(MINE) is None, "another process under its number"


def test_new_credentials_are_noticed(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("one")
    credentials = {"model": Credential(from_file=str(key), as_env="ANTHROPIC_API_KEY")}
    harness = claude(tmp_path, credentials=credentials)
    harness.prepare(wiring(tmp_path))
    assert not harness.credentials_changed()
    key.write_text("another")
    assert harness.credentials_changed()
    harness.prepare(wiring(tmp_path))
    assert not harness.credentials_changed()
    (config_of(tmp_path) / ".credentials.json").write_text("{}")
    assert harness.credentials_changed()


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"sessionId": 7}', b"\xff"])
def test_a_registry_entry_that_says_nothing_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    kind = real(tmp_path)
    kind.harness.prepare(wiring(tmp_path))
    kind.says(MINE, 7, Sighting(status="idle", at=AT))
    (FleetLayout(tmp_path).agent("coder").claude_config / "sessions" / "7.json").write_bytes(torn)
    assert kind.harness.look(MINE, 7) is None


def test_preparing_writes_what_a_silent_start_needs(tmp_path: Path) -> None:
    harness = claude(tmp_path, mcp_servers={"db": {"command": "db-server"}}, permission_mode="plan", model="opus")
    harness.prepare(wiring(tmp_path))
    agent = FleetLayout(tmp_path).agent("coder")
    words = list(harness.command(MINE, resume=False))
    settings = Path(words[words.index("--settings") + 1])
    servers = Path(words[words.index("--mcp-config") + 1])
    assert settings.stat().st_mode & 0o777 == servers.stat().st_mode & 0o777 == 0o600, "they hold tokens"
    assert "Bearer hook-token" in settings.read_text()
    assert set(json.loads(servers.read_bytes())["mcpServers"]) == {"db", "relayfleet"}
    state = json.loads((agent.claude_config / ".claude.json").read_bytes())
    assert state["projects"][str(agent.work)]["hasTrustDialogAccepted"]
    assert state["customApiKeyResponses"]["approved"] == ["k" * 20]
    assert {"--strict-mcp-config", "opus", "plan"} <= set(words)
    assert "hook-token" not in " ".join(words)


def test_a_program_that_is_missing_or_of_another_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="'no-such-claude' is not found"):
        claude(tmp_path, command=("no-such-claude",)).prepare(wiring(tmp_path))
    harness = claude(tmp_path)
    program(tmp_path, says="0.9.0 (Claude Code)")
    with pytest.raises(FleetError, match=r"0\.9\.0"):
        harness.prepare(wiring(tmp_path))

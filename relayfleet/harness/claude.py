"""`claude` as a session, in a terminal or headless: its command line, its configuration, and what it says of itself.

Formats observed of Claude Code 2.1.328: the registry (see `registry.py`), the transcript
`$CLAUDE_CONFIG_DIR/projects/<folder>/<session id>.jsonl` (see `transcript.py`), and what a session that will not start
prints.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.harness.credentials import lend
from relayfleet.harness.environment import session_environment
from relayfleet.harness.registry import Registry
from relayfleet.harness.seed import mcp_config, seed_config, settings
from relayfleet.harness.transcript import TranscriptTail, cut_off, holds_conversation
from relayfleet.model.agent import AgentSpec
from relayfleet.model.claude_version import TESTED, fault_of_version, version_in
from relayfleet.model.fault import Reason
from relayfleet.model.layout import AgentLayout
from relayfleet.model.names import SessionId
from relayfleet.ports.session import Cut, Sighting, TurnProgress, Wiring
from relayfleet.store.files import make_private_folder, write_atomic
from relayfleet.wire.shim import RUNNER_SOCKET, RUNNER_TOKEN

_VERSION_TIMEOUT_S = 20.0
# What a session that will not start prints as its last words.
_LAST_WORDS: tuple[tuple[str, Reason], ...] = (
    ("No conversation found", "resume_refused"),
    ("Failed to resume session", "resume_refused"),
    ("is already in use", "resume_refused"),
    ("No space left on device", "disk_full"),
    ("ENOSPC", "disk_full"),
)
# Spoken to by messages. What its hooks would say of turns and permissions, it says itself.
HEADLESS = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
HEADLESS += ["--replay-user-messages", "--permission-prompt-tool", "stdio"]
NOT_HEADLESS = frozenset({"UserPromptSubmit", "Stop", "StopFailure", "PermissionRequest"})


class ClaudeHarness:
    """One agent's `claude`. `operator` is the environment of whoever started the agent."""

    def __init__(
        self, spec: AgentSpec, layout: AgentLayout, *, root: Path, operator: Mapping[str, str], fleet_bin: Path
    ) -> None:
        self._spec = spec
        self._layout = layout
        self._root = root
        self._operator = operator
        self._fleet_bin = fleet_bin
        self._lent: dict[str, str] = {}
        self._login: tuple[object, ...] = ()
        self._registry = Registry(self.registry)
        self._tail = TranscriptTail(None)

    @property
    def folder(self) -> Path:
        return self._layout.work

    @property
    def _config(self) -> Path:
        if self._spec.claude.isolate_config:
            return self._layout.claude_config
        home = Path(self._operator.get("HOME", "~")).expanduser()
        return Path(self._operator.get("CLAUDE_CONFIG_DIR") or home / ".claude")

    @property
    def registry(self) -> Path:
        """The folder that tells what the session is at."""
        return self._config / "sessions"

    def prepare(self, wiring: Wiring) -> None:
        """Raises FleetError when `claude` is missing or of a version that lacks something needed, or a credential
        cannot be had."""
        self._check_program()
        spec, layout = self._spec, self._layout
        for folder in (layout.state, layout.work, layout.bodies):
            make_private_folder(folder)
        self._lent = self._lend()
        self._login = self._stamp()
        bypass = spec.claude.permission_mode == "bypassPermissions"
        made = settings(
            hook_url=wiring.hook_url,
            hook_token=wiring.hook_token,
            agent_dir=layout.dir,
            bodies=layout.bodies,
            bypass=bypass,
            rules=spec.permissions.rules,
        )
        if spec.session.mode == "headless":
            made["hooks"] = {event: hooks for event, hooks in made["hooks"].items() if event not in NOT_HEADLESS}
        servers = mcp_config(
            shim=(sys.executable, "-I", "-S", str(Path(__file__).with_name("shim.py"))),
            shim_env={RUNNER_SOCKET: str(wiring.shim_socket), RUNNER_TOKEN: wiring.shim_token},
            others=spec.claude.mcp_servers,
        )
        write_atomic(self._settings, json.dumps(made, indent=1).encode())
        write_atomic(self._servers, json.dumps(servers, indent=1).encode())
        if spec.claude.isolate_config:
            key = self.environment(SessionId("")).get("ANTHROPIC_API_KEY")
            seed_config(layout.claude_config, work=layout.work, api_key=key)

    @property
    def _settings(self) -> Path:
        return self._layout.state / "settings.json"

    @property
    def _servers(self) -> Path:
        return self._layout.state / "mcp.json"

    def command(self, session_id: SessionId, *, resume: bool) -> Sequence[str]:
        claude = self._spec.claude
        argv = [*claude.command, "--resume" if resume else "--session-id", session_id]
        if self._spec.session.mode == "headless":
            argv += HEADLESS
        argv += ["--settings", str(self._settings), "--mcp-config", str(self._servers)]
        if claude.isolate_config:
            argv.append("--strict-mcp-config")
        argv += ["--name", self._spec.name]
        if claude.model:
            argv += ["--model", claude.model]
        if claude.permission_mode:
            argv += ["--permission-mode", claude.permission_mode]
        interactive = self._spec.session.mode == "interactive"
        if interactive and self._spec.remote_control and claude.endpoint.mode == "default":
            argv += ["--remote-control", self._spec.name]
        if claude.channels:
            argv += ["--dangerously-load-development-channels", "server:relayfleet"]
        return [*argv, *claude.args]

    def environment(self, session_id: SessionId) -> dict[str, str]:
        return session_environment(
            self._spec,
            operator=self._operator,
            lent=self._lent,
            root=self._root,
            claude_config=self._layout.claude_config if self._spec.claude.isolate_config else None,
            session_id=session_id,
            fleet_bin=self._fleet_bin,
        )

    def has_conversation(self, session_id: SessionId) -> bool:
        return any(map(_holds_conversation, self._transcripts(session_id)))

    def make_way(self, session_id: SessionId) -> Sequence[Path]:
        folder = self._layout.state / "archive" / "transcripts"
        moved = []
        for path in self._transcripts(session_id):
            make_private_folder(folder)
            target = folder / path.name
            number = 1
            while target.exists():
                number += 1
                target = folder / f"{session_id}.{number}.jsonl"
            _move(path, target)
            moved.append(target)
        return moved

    def cut_off(self, session_id: SessionId) -> Cut | None:
        for path in self._transcripts(session_id):
            try:
                if (cut := cut_off(path)) is not None:
                    return cut
            except OSError as error:
                raise _unreadable(path, error) from error
        return None

    def brief(self) -> Mapping[str, str]:
        spec, claude = self._spec, self._spec.claude
        named: dict[str, object] = {
            "CLAUDE.md": _content(self._layout.persona),
            "role": spec.role,
            "repository": spec.repo,
            "model": claude.model,
            "permission mode": claude.permission_mode,
            "arguments": [*claude.command, *claude.args],
            "MCP servers": claude.mcp_servers,
            "plugins": spec.plugins,
            "environment": [spec.env, sorted(spec.credentials)],
        }
        return {name: _fingerprint(value) for name, value in named.items()}

    def why_ended(self, words: str) -> Reason | None:
        return next((reason for known, reason in _LAST_WORDS if known in words), None)

    def held_elsewhere(self, session_id: SessionId) -> int | None:
        return self._registry.held_elsewhere(session_id)

    def credentials_changed(self) -> bool:
        if self._stamp() != self._login:
            return True
        try:
            return self._lend() != self._lent
        except FleetError:
            return False  # still none to be had

    def _lend(self) -> dict[str, str]:
        return lend(self._spec.credentials, operator=self._operator, folder=self._layout.state / "credentials")

    def _stamp(self) -> tuple[object, ...]:
        """Changes with what `fleet login` writes, and with the files that credentials come from or go to."""
        files = [self._config / ".credentials.json"]
        for credential in self._spec.credentials.values():
            if credential.from_file is not None:
                files.append(Path(credential.from_file).expanduser())
        return tuple(_stamp(path) for path in files)

    def _transcripts(self, session_id: SessionId) -> list[Path]:
        return list(self._config.glob(f"projects/*/{session_id}.jsonl"))

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        return self._registry.look(session_id, pid)

    def follow(self, session_id: SessionId) -> None:
        self._tail = TranscriptTail(next(iter(self._transcripts(session_id)), None))

    def progress(self, session_id: SessionId) -> TurnProgress | None:
        known = self._tail.path
        path = known if known is not None and known.exists() else next(iter(self._transcripts(session_id)), None)
        return self._tail.read(path)

    def _check_program(self) -> None:
        program = self._spec.claude.command[0]
        path = shutil.which(program, path=self._operator.get("PATH"))
        if path is None:
            raise FleetError(
                f"start the session of {self._spec.name!r}",
                f"{program!r} is not found",
                hint="install Claude Code, or set claude.command in the agent's config.json",
                fault="program_missing",
            )
        env = dict(self.environment(SessionId("")))
        try:
            done = subprocess.run(
                [path, *self._spec.claude.command[1:], "--version"],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FleetError(
                f"run `{program} --version`", f"{type(error).__name__}: {error}", fault="program_missing"
            ) from error
        fault = fault_of_version(version_in(done.stdout.decode("utf-8", "replace")))
        if fault:
            raise FleetError(
                f"start the session of {self._spec.name!r}",
                fault,
                hint="install a tested version: npm install -g @anthropic-ai/claude-code@" + TESTED[-1],
                fault="bad_version",
            )


def _holds_conversation(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return holds_conversation(file)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"read {str(path)!r}",
        error.strerror or str(error),
        hint="mend it, or begin a new conversation with `fleet restart --fresh`",
        fault="transcript_corrupt",
    )


def _move(path: Path, target: Path) -> None:
    try:
        try:
            path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copy2(path, target)  # the operator's own configuration may lie on another disk
            path.unlink()
    except OSError as error:
        raise StorageFailed(f"archive {str(path)!r}", error.strerror or str(error)) from error


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StorageFailed(f"read {str(path)!r}", error.strerror or str(error)) from error


def _fingerprint(value: object) -> str:
    """Tells a change, which is no attack: what hashlib loads would cost every runner half a megabyte."""
    data = json.dumps(value, sort_keys=True, default=dict).encode()
    return f"{len(data)}-{zlib.crc32(data):08x}"


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def operator_environment() -> dict[str, str]:
    """This process's environment without what an enclosing session or fleet put there."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("RELAYFLEET_", "CLAUDECODE"))}

"""The interactive `claude` as a session: its command line, its configuration, and what it says of itself.

Formats observed of Claude Code 2.1.328: the registry entry `$CLAUDE_CONFIG_DIR/sessions/<pid>.json` (`sessionId`,
`status`, `statusUpdatedAt` in milliseconds, `waitingFor`), and the transcript `projects/<folder>/<session id>.jsonl`
(see `transcript.py`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.harness.credentials import lend
from relayfleet.harness.environment import session_environment
from relayfleet.harness.seed import mcp_config, seed_config, settings
from relayfleet.harness.transcript import holds_conversation
from relayfleet.model.agent import AgentSpec
from relayfleet.model.claude_version import TESTED, fault_of_version, version_in
from relayfleet.model.layout import AgentLayout
from relayfleet.model.names import SessionId
from relayfleet.ports.session import Sighting, Wiring
from relayfleet.store.files import make_private_folder, write_atomic
from relayfleet.wire.shim import RUNNER_SOCKET, RUNNER_TOKEN

_VERSION_TIMEOUT_S = 20.0


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

    @property
    def folder(self) -> Path:
        return self._layout.work

    @property
    def _config(self) -> Path:
        if self._spec.claude.isolate_config:
            return self._layout.claude_config
        home = Path(self._operator.get("HOME", "~")).expanduser()
        return Path(self._operator.get("CLAUDE_CONFIG_DIR") or home / ".claude")

    def prepare(self, wiring: Wiring) -> None:
        """Raises FleetError when `claude` is missing or of a version that lacks something needed, or a credential
        cannot be had."""
        self._check_program()
        spec, layout = self._spec, self._layout
        for folder in (layout.state, layout.work, layout.bodies):
            make_private_folder(folder)
        self._lent = lend(spec.credentials, operator=self._operator, folder=layout.state / "credentials")
        bypass = spec.claude.permission_mode == "bypassPermissions"
        made = settings(
            hook_url=wiring.hook_url,
            hook_token=wiring.hook_token,
            agent_dir=layout.dir,
            bodies=layout.bodies,
            bypass=bypass,
        )
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
        argv += ["--settings", str(self._settings), "--mcp-config", str(self._servers)]
        if claude.isolate_config:
            argv.append("--strict-mcp-config")
        argv += ["--name", self._spec.name]
        if claude.model:
            argv += ["--model", claude.model]
        if claude.permission_mode:
            argv += ["--permission-mode", claude.permission_mode]
        if self._spec.remote_control and claude.endpoint.mode == "default":
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

    def make_way(self, session_id: SessionId) -> None:
        for path in self._transcripts(session_id):
            try:
                path.replace(path.with_name(path.name + ".aside"))
            except OSError as error:
                raise StorageFailed(f"move {str(path)!r} aside", error.strerror or str(error)) from error

    def _transcripts(self, session_id: SessionId) -> list[Path]:
        return list(self._config.glob(f"projects/*/{session_id}.jsonl"))

    def look(self, session_id: SessionId, pid: int) -> Sighting | None:
        folder = self._config / "sessions"
        found = _registered(folder / f"{pid}.json", session_id)
        if found is not None:
            return found
        # `claude.command` may be a wrapper that starts the CLI as a child, under another pid.
        for path in folder.glob("*.json"):
            found = _registered(path, session_id)
            if found is not None:
                return found
        return None

    def _check_program(self) -> None:
        program = self._spec.claude.command[0]
        path = shutil.which(program, path=self._operator.get("PATH"))
        if path is None:
            raise FleetError(
                f"start the session of {self._spec.name!r}",
                f"{program!r} is not found",
                hint="install Claude Code, or set claude.command in the agent's config.json",
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
            raise FleetError(f"run `{program} --version`", f"{type(error).__name__}: {error}") from error
        fault = fault_of_version(version_in(done.stdout.decode("utf-8", "replace")))
        if fault:
            raise FleetError(
                f"start the session of {self._spec.name!r}",
                fault,
                hint="install a tested version: npm install -g @anthropic-ai/claude-code@" + TESTED[-1],
            )


def _holds_conversation(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return holds_conversation(file)
    except OSError as error:
        raise StorageFailed(f"read {str(path)!r}", error.strerror or str(error)) from error


def _registered(path: Path, session_id: SessionId) -> Sighting | None:
    try:
        entry = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(entry, dict) or entry.get("sessionId") != session_id:
        return None
    status = entry.get("status")
    if status not in ("idle", "busy", "waiting"):
        return None
    return Sighting(
        status=status,
        at=float(entry.get("statusUpdatedAt") or 0) / 1000,
        detail=str(entry.get("waitingFor") or ""),
    )


def operator_environment() -> dict[str, str]:
    """This process's environment without what an enclosing session or fleet put there."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("RELAYFLEET_", "CLAUDECODE"))}

"""Whether each agent's session would start, and start without a question that nobody is there to answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.machine import Machine

_INHERITED = ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY")
_KEYS = (*_INHERITED, "ANTHROPIC_AUTH_TOKEN")
_OWN_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def check_ports(layout: FleetLayout, agents: Sequence[AgentSpec], machine: Machine) -> Iterable[Finding]:
    """Ports of agents that do not run, taken by somebody else. Collisions are faults of the configuration."""
    for spec in agents:
        if spec.runtime.backend != "local" or machine.lock_holder(layout.agent(spec.name).runner_lock) is not None:
            continue
        if not machine.port_free(spec.port):
            yield broken(
                spec.name,
                f"port {spec.port} is taken by another program",
                f"end that program, or give agents/{spec.name}/config.json another port",
            )


def check_plugins(agents: Sequence[AgentSpec], folders: Sequence[Path]) -> Iterable[Finding]:
    for spec in agents:
        for name in spec.plugins:
            if not any((folder / name / "plugin.json").is_file() for folder in folders):
                yield broken(
                    spec.name,
                    f"there is no plugin {name!r}",
                    f"put it into {folders[0]}/{name}, or take it out of plugins in its config.json",
                )


def check_sessions(layout: FleetLayout, agents: Sequence[AgentSpec], machine: Machine) -> Iterable[Finding]:
    for spec in agents:
        if spec.runtime.backend != "local" or spec.claude.endpoint.mode == "gateway":
            continue
        faults = [
            *_check_credentials(spec, machine),
            *_check_auth(layout, spec, machine),
            *_check_dialogs(layout, spec, machine),
        ]
        yield from faults or [ok(spec.name, "its session would start silently")]


def check_wanted(layout: FleetLayout, agents: Sequence[AgentSpec], machine: Machine) -> Iterable[Finding]:
    """What should run and does not: its lock is nobody's."""
    for spec in agents:
        agent = layout.agent(spec.name)
        if _wanted(agent.intent) and machine.lock_holder(agent.runner_lock) is None:
            yield warning(
                spec.name,
                "it should run, but no runner does",
                f"`fleet logs {spec.name}`, then `fleet start {spec.name}`",
            )
    if _wanted(layout.router_intent) and machine.lock_holder(layout.router_lock) is None:
        yield warning("router", "it should run, but does not", "`fleet logs router`, then `fleet router start`")
    pid = machine.lock_holder(layout.config_lock)
    if pid is not None:
        yield warning("state/config.lock", f"process {pid} holds it", "wait for that process, or end it if it hangs")


def _check_credentials(spec: AgentSpec, machine: Machine) -> Iterable[Finding]:
    for name, credential in spec.credentials.items():
        subject = f"{spec.name} credential {name}"
        if credential.from_env is not None and not machine.environ.get(credential.from_env):
            yield broken(subject, f"{credential.from_env} is not set here", f"export {credential.from_env}=...")
        elif credential.from_file is not None and not Path(credential.from_file).expanduser().is_file():
            yield broken(subject, f"there is no file {credential.from_file!r}", "put it there, or correct from_file")
        elif credential.from_command is not None and machine.which(credential.from_command[0]) is None:
            yield broken(subject, f"{credential.from_command[0]!r} is not found", "install it, or correct from_command")


def _check_auth(layout: FleetLayout, spec: AgentSpec, machine: Machine) -> Iterable[Finding]:
    given = {c.as_env for c in spec.credentials.values()} | set(spec.env)
    if spec.claude.endpoint.mode == "custom":
        if not given.intersection(_OWN_KEYS):
            yield broken(
                spec.name,
                "its custom endpoint has no key: the session would ask for a login",
                'lend it one through credentials, "as_env": "ANTHROPIC_AUTH_TOKEN" (a local server takes any text)',
            )
        return
    inherited = spec.claude.inherit_auth and any(machine.environ.get(key) for key in _INHERITED)
    config = config_folder(layout, spec, machine)
    if given.intersection(_KEYS) or inherited or (config / ".credentials.json").is_file():
        return
    fix = f"`claude setup-token`, then export CLAUDE_CODE_OAUTH_TOKEN; or `fleet login {spec.name}`"
    if not spec.claude.isolate_config:
        fix = "`claude auth login`"
    if sys.platform == "darwin":
        # There a login lies in the keychain, which asks a person before it tells.
        yield warning(spec.name, "no login was found outside the keychain, which was not asked", fix)
    else:
        yield broken(spec.name, "it has no login: the session would stop and ask for one", fix)


def _check_dialogs(layout: FleetLayout, spec: AgentSpec, machine: Machine) -> Iterable[Finding]:
    """An isolated configuration is seeded at every start; the operator's own is not touched."""
    if spec.claude.permission_mode == "bypassPermissions" and machine.is_root:
        sandbox = machine.environ.get("IS_SANDBOX") or spec.env.get("IS_SANDBOX")
        if sandbox != "1":
            yield broken(
                spec.name,
                "claude refuses permission_mode bypassPermissions to root",
                "run the fleet as another user, or choose another permission_mode",
            )
    if spec.claude.isolate_config:
        return
    state = _own_state(machine)
    if not state.get("hasCompletedOnboarding"):
        yield broken(spec.name, "claude was never set up in your own configuration", "run `claude` once and answer")
    work = layout.agent(spec.name).work
    projects = state.get("projects")
    trusted = projects if isinstance(projects, dict) else {}
    if not any(_is_trusted(trusted.get(str(folder))) for folder in (work, *work.parents)):
        yield broken(
            spec.name, "its folder is not trusted: the session would stop and ask", f"run `claude` once in {work}"
        )


def config_folder(layout: FleetLayout, spec: AgentSpec, machine: Machine) -> Path:
    """Where the session keeps its login."""
    if spec.claude.isolate_config:
        return layout.agent(spec.name).claude_config
    return Path(machine.environ.get("CLAUDE_CONFIG_DIR") or _home(machine) / ".claude")


def _own_state(machine: Machine) -> dict[str, object]:
    folder = Path(machine.environ.get("CLAUDE_CONFIG_DIR") or _home(machine))
    try:
        state = json.loads((folder / ".claude.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _is_trusted(project: object) -> bool:
    return isinstance(project, dict) and project.get("hasTrustDialogAccepted") is True


def _home(machine: Machine) -> Path:
    return Path(machine.environ.get("HOME") or "~").expanduser()


def _wanted(intent: Path) -> bool:
    try:
        record = json.loads(intent.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("wanted") == "running"

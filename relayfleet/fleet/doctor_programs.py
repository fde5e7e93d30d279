"""Programs that the fleet needs, and what stands between them and the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from relayfleet.errors import FleetError
from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.model.agent import AgentSpec, Claude
from relayfleet.model.claude_version import TESTED, fault_of_version, is_newer_than_tested, version_in
from relayfleet.model.fleet import FleetConfig
from relayfleet.model.route import Gate
from relayfleet.ports.machine import Machine

_PYTHON = (3, 11)
_GH_TESTED = (2, 23, 0)
_TIMEOUT_S = 20.0
_LOOPBACK = ("127.0.0.1", "localhost")


def check_python(machine: Machine) -> Iterable[Finding]:
    version = ".".join(str(part) for part in machine.python)
    if machine.python[:2] < _PYTHON:
        yield broken(
            "python", f"version {version} is older than 3.11", "install Python 3.11 or newer, then set up again"
        )
    else:
        yield ok("python", f"version {version}")


def check_claude(agents: Sequence[AgentSpec], machine: Machine) -> Iterable[Finding]:
    """Each program that a session is started with, once."""
    commands = dict.fromkeys(a.claude.command for a in agents if a.runtime.backend == "local")
    for command in commands or (Claude().command,):
        yield _check_one_claude(command, machine)


def _check_one_claude(command: tuple[str, ...], machine: Machine) -> Finding:
    install = f"npm install -g @anthropic-ai/claude-code@{TESTED[1]}"
    program = command[0]
    path = machine.which(program)
    if path is None:
        return broken(program, "it is not found", f"{install}, or set claude.command (a list, if it has arguments)")
    try:
        ran = machine.run([path, *command[1:], "--version"], timeout_s=_TIMEOUT_S)
    except FleetError as error:
        return broken(program, str(error), f"see why it does not run; or {install}")
    version = version_in(ran.stdout)
    fault = fault_of_version(version)
    if fault:
        return broken(program, fault, install)
    if is_newer_than_tested(version):
        return warning(program, f"version {version} is newer than {TESTED[1]}, the last one tested", install)
    return ok(program, f"version {version} at {path}")


def check_gh(fleet: FleetConfig | None, gate: Gate | None, machine: Machine) -> Iterable[Finding]:
    """A fleet that watches nothing can do without `gh`."""
    command = (fleet or FleetConfig(name="")).github_command
    needed = broken if gate is not None and gate.watches else warning
    program = command[0]
    path = machine.which(program)
    if path is None:
        yield needed(
            program, "it is not found", "install the GitHub CLI (https://cli.github.com), or set github.command"
        )
        return
    argv = [path, *command[1:]]
    try:
        version = machine.run([*argv, "--version"], timeout_s=_TIMEOUT_S)
        status = machine.run([*argv, "auth", "status"], timeout_s=_TIMEOUT_S)
    except FleetError as error:
        yield needed(program, str(error), f"run `{' '.join(command)} auth status` by hand and see why")
        return
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", version.stdout)
    if found is None:
        yield warning(program, "it does not say which version it is", "update the GitHub CLI")
    elif tuple(int(part) for part in found.groups()) < _GH_TESTED:
        yield warning(
            program, f"version {found.group()} is older than 2.23.0, the first one tested", "update the GitHub CLI"
        )
    else:
        yield ok(program, f"version {found.group()} at {path}")
    if status.code != 0:
        yield needed("gh login", "gh is not logged in, or GitHub cannot be reached", "`gh auth login`, or set GH_TOKEN")
    else:
        yield ok("gh login", "gh is logged in")


def check_proxies(environ: Mapping[str, str]) -> Iterable[Finding]:
    """Sessions get loopback added to NO_PROXY; what else runs here does not."""
    proxies = [k for k in environ if k.lower() in ("http_proxy", "https_proxy", "all_proxy") and environ[k]]
    if not proxies:
        return
    exempt = re.split(r"[,\s]+", environ.get("NO_PROXY") or environ.get("no_proxy") or "")
    if "*" in exempt or all(host in exempt for host in _LOOPBACK):
        yield ok("proxy", f"{', '.join(sorted(proxies))} set, loopback exempt")
    else:
        yield warning(
            "proxy",
            f"{', '.join(sorted(proxies))} set, but NO_PROXY does not exempt loopback",
            "export NO_PROXY=localhost,127.0.0.1,::1",
        )

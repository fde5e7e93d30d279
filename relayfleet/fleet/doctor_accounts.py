"""The ways to GitHub that the watches go by: whether each has a token to go by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.model.agent import Credential
from relayfleet.model.fleet import FleetConfig, GithubAccount, account_for
from relayfleet.model.item import GITHUB, split_address
from relayfleet.model.route import Gate
from relayfleet.ports.machine import Machine

_TIMEOUT_S = 10.0
_OTHERS = 0o077


def check_accounts(fleet: FleetConfig | None, gate: Gate | None, machine: Machine) -> Iterable[Finding]:
    """The token of each account, and `gh`'s own login on each host that watches go by without one. No token is asked
    for: a command is only looked for."""
    config = fleet or FleetConfig(name="")
    used = {one.name: one for one in _used(config.github_accounts, gate)}
    for account in config.github_accounts:
        if account.token is not None:
            yield _check_token(account, account.token, machine, used=account.name in used)
    hosts = dict.fromkeys(one.host for one in used.values() if one.token is None and one.host != GITHUB)
    for host in hosts:
        yield from _check_login(host, config.github_command, machine)


def _used(accounts: Sequence[GithubAccount], gate: Gate | None) -> Iterable[GithubAccount]:
    for watch in gate.watches if gate is not None else ():
        host, repo = split_address(watch.repo)
        yield account_for(accounts, host=host, owner=repo.partition("/")[0])


def _check_token(account: GithubAccount, token: Credential, machine: Machine, *, used: bool) -> Finding:
    """What no watch goes by is in nobody's way."""
    subject = f"account {account.name}"
    bad = broken if used else warning
    if token.from_env is not None:
        return _check_variable(subject, token.from_env, machine.environ, bad is broken)
    if token.from_file is not None:
        return _check_file(subject, Path(token.from_file).expanduser(), bad is broken)
    program = (token.from_command or ("",))[0]
    if machine.which(program) is None:
        fix = "install it, or mend the account's token.from_command in fleet.json"
        return bad(subject, f"{program!r}, which is to give its token, is not found", fix)
    return ok(subject, f"{program!r} is to give its token")


def _check_variable(subject: str, name: str, environ: Mapping[str, str], is_used: bool) -> Finding:
    if environ.get(name):
        return ok(subject, f"its token is in {name}")
    fix = f"set {name} where you start the router, or mend the account's token.from_env in fleet.json"
    return (broken if is_used else warning)(subject, f"{name}, which is to hold its token, is not set here", fix)


def _check_file(subject: str, path: Path, is_used: bool) -> Finding:
    bad = broken if is_used else warning
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
        is_readable = path.is_file() and os.access(path, os.R_OK)
    except OSError as error:
        fix = "write the token there, mode 0600, or mend the account's token.from_file in fleet.json"
        return bad(subject, f"its token cannot be read: {error.strerror} ({str(path)!r})", fix)
    if not is_readable or not size:
        what = "is empty" if is_readable else "is no file that you may read"
        return bad(subject, f"{str(path)!r}, which is to hold its token, {what}", "write the token there, mode 0600")
    if mode & _OTHERS:
        return warning(subject, f"others may read its token ({str(path)!r})", f"chmod 600 {path}")
    return ok(subject, "its token is in a file")


def _check_login(host: str, command: Sequence[str], machine: Machine) -> Iterable[Finding]:
    path = machine.which(command[0])
    if path is None:
        return
    try:
        status = machine.run([path, *command[1:], "auth", "status", "--hostname", host], timeout_s=_TIMEOUT_S)
    except FleetError as error:
        yield broken(f"gh login on {host}", str(error), f"run `gh auth status --hostname {host}` by hand and see why")
        return
    if status.code:
        fix = f"`gh auth login --hostname {host}`, or give an account of fleet.json a token for it"
        yield broken(f"gh login on {host}", "gh is not logged in there, or the host cannot be reached", fix)
    else:
        yield ok(f"gh login on {host}", "gh is logged in there")

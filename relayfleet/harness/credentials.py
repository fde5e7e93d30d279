"""Fetches the credentials that an agent's config grants, from this machine, at the start of its session."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.model.agent import Credential
from relayfleet.store.files import make_private_folder, write_atomic

_COMMAND_TIMEOUT_S = 20.0


def lend(credentials: Mapping[str, Credential], *, operator: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Puts files in place and returns the variables. A relative `as_file` lies below `folder`.

    Raises FleetError when a source has nothing or a place is taken; no value ever stands in its text.
    """
    variables: dict[str, str] = {}
    for name, credential in credentials.items():
        value = fetch(f"lend credential {name!r}", credential, operator)
        if credential.as_env is not None:
            variables[credential.as_env] = value.decode("utf-8", "surrogateescape").strip()
        if credential.as_file is not None:
            _place(name, credential, value, folder)
    return variables


def fetch(doing: str, credential: Credential, operator: Mapping[str, str]) -> bytes:
    """What the source of a credential has now. Raises FleetError; `doing` is what it is fetched for."""
    if credential.from_env is not None:
        value = operator.get(credential.from_env, "")
        if not value:
            raise FleetError(
                doing,
                f"{credential.from_env} is not set here",
                hint=f"set {credential.from_env} and start it anew from there",
            )
        return os.fsencode(value)
    if credential.from_file is not None:
        source = Path(credential.from_file).expanduser()
        try:
            return source.read_bytes()
        except OSError as error:
            raise FleetError(doing, f"{str(source)!r}: {error.strerror or error}") from error
    command = credential.from_command or ()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FleetError(doing, f"{command[0]!r} did not run: {type(error).__name__}") from error
    if done.returncode or not done.stdout.strip():
        raise FleetError(
            doing, f"{command[0]!r} ended with {done.returncode} and gave nothing", hint="run its from_command by hand"
        )
    return done.stdout


def _place(name: str, credential: Credential, value: bytes, folder: Path) -> None:
    assert credential.as_file is not None
    target = folder / Path(credential.as_file).expanduser()
    if target.exists():
        if target.read_bytes() == value:
            return
        if folder not in target.parents:
            raise FleetError(
                f"lend credential {name!r}",
                f"{str(target)!r} is there already with another content",
                hint="remove that file, or give `as_file` another place",
            )
    make_private_folder(target.parent)
    write_atomic(target, value, mode=int(credential.mode, 8))

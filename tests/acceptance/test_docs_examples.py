"""Every command of the documentation's console blocks, run; what is shown below it is what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import Fleet
from tests.conftest import CHECKOUT
from tests.documents import PAGES, commands, shows

_WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", _WITH_COMMANDS, ids=lambda p: p.relative_to(CHECKOUT).as_posix())
def test_commands(scripted: Fleet, page: Path) -> None:
    """In a fresh fleet with scripted sessions, `bin/fleet` as it is found from a checkout."""
    program = scripted.root / "bin" / "fleet"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m relayfleet "$@"\n')
    program.chmod(0o755)
    env = {**scripted.env, "PATH": f"{program.parent}{os.pathsep}{scripted.env['PATH']}"}
    for command in commands(page):
        done = subprocess.run(
            ["/bin/sh", "-c", command.line], env=env, cwd=scripted.root, capture_output=True, text=True, timeout=110
        )
        said = f"$ {command.line}\n{done.stdout}\n{done.stderr}"
        assert (done.returncode in (1, 2)) if command.fails else done.returncode == 0, said
        assert shows(command, done.stderr if command.fails else done.stdout), said

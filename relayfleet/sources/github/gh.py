"""The `gh` program, run once per request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from relayfleet.errors import FleetError
from relayfleet.ports.github import GhAnswer

# gh asks, advertises and paints when it believes that a person is looking on.
_QUIET = {"GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1", "GH_SPINNER_DISABLED": "1"}


class GhProgram:
    """Implements ports.Gh. gh has no timeout of its own: one that hangs is killed, and what it started with it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        """`command` is the program and its leading arguments, usually ("gh",); `env` is its whole environment."""
        self._command = tuple(command)
        self._env = {**env, **_QUIET}

    async def run(self, args: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 15.0) -> GhAnswer:
        """Raises FleetError when the program cannot be started or outlives `timeout_s`."""
        doing = f"run {self._command[0]!r}"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._env,
                start_new_session=True,  # no controlling terminal to ask on, and a group of its own to kill
            )
        except OSError as error:
            raise FleetError(
                doing, error.strerror or str(error), hint="install the GitHub CLI: https://cli.github.com"
            ) from error
        try:
            async with asyncio.timeout(timeout_s):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError as error:
            raise FleetError(
                doing, f"no answer within {timeout_s:g} s", hint="check the network and GitHub's status page"
            ) from error
        finally:
            await _end(process)
        return GhAnswer(code=process.returncode or 0, stdout=stdout, stderr=stderr)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills what still runs and reaps it, also when we are being cancelled."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    # Not communicate(): a grandchild that got away may hold the pipes open for ever.
    await asyncio.shield(process.wait())

"""The `local` backend: daemons are detached processes of this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from relayfleet.backends.processes import LocalProcessTree, descendants, end_process, is_alive
from relayfleet.errors import FleetError
from relayfleet.ports.daemon import Handle
from relayfleet.store.files import make_private_folder

# Marks of an enclosing session: a daemon that is started from inside one is nobody's child.
_NOT_PASSED = ("RELAYFLEET_", "CLAUDECODE", "CLAUDE_CODE_MESSAGING", "CLAUDE_CODE_SESSION")


class LocalBackend:
    """`launch` detaches: the daemon outlives this process."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def launch(self, argv: Sequence[str], *, folder: Path, errors: Path) -> Handle:
        """Raises FleetError when the program cannot be started."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_PASSED)}
        if "RELAYFLEET_AGENT" in os.environ:
            env.pop("CLAUDE_CONFIG_DIR", None)  # the isolated one of the agent that starts another
        make_private_folder(errors.parent)
        try:
            with open(errors, "wb", opener=_private) as said:
                process = subprocess.Popen(
                    argv,
                    cwd=folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
        except OSError as error:
            raise FleetError(f"run {argv[0]!r}", error.strerror or str(error)) from error
        self._children[process.pid] = process
        return Handle(backend="local", pid=process.pid, start_time=time.time())

    def is_alive(self, handle: Handle) -> bool:
        child = self._children.get(handle.pid)
        if child is not None:
            return child.poll() is None
        return is_alive(handle.pid, handle.start_time)

    def end_strays(self, session_id: str) -> int:
        return LocalProcessTree().end_strays(session_id)

    def kill(self, handle: Handle) -> None:
        below = descendants(handle.pid)
        end_process(handle.pid, handle.start_time, grace_s=0.0)
        for pid in below:
            end_process(pid, time.time(), grace_s=0.0)
        if handle.pid in self._children:
            self._children[handle.pid].poll()  # takes note of its end, so that no zombie is left


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

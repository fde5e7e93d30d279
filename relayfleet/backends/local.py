"""The `local` backend: daemons are detached processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from relayfleet.backends.cgroup import group_name, in_session, own_group
from relayfleet.backends.processes import LocalProcessTree, descendants, end_process, is_alive
from relayfleet.errors import FleetError
from relayfleet.ports.daemon import Handle
from relayfleet.store.files import make_private_folder

# Marks of an enclosing session: a daemon that is started from inside one is nobody's child.
_NOT_PASSED = ("RELAYFLEET_", "CLAUDECODE", "CLAUDE_CODE_MESSAGING", "CLAUDE_CODE_SESSION")

# On Windows: out of the job of a session that starts it, and without its console.
if sys.platform == "win32":
    _DETACHED = subprocess.CREATE_BREAKAWAY_FROM_JOB | subprocess.CREATE_NO_WINDOW
else:
    _DETACHED = 0


class LocalBackend:
    """`launch` detaches: the daemon outlives this process, and a session that this process is of."""

    def __init__(self, fleet_id: str = "") -> None:
        """Without the id of its fleet, what a killed runner's session left is found by its environment alone."""
        self._fleet_id = fleet_id
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
                    # In the group of the session that starts it, it would end with that session.
                    creationflags=_DETACHED,
                    preexec_fn=_leave_session if in_session() else None,  # noqa: PLW1509 - one thread, and no locks
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

    def end_strays(self, agent: str, session_id: str) -> int:
        name = group_name(self._fleet_id, agent) if self._fleet_id else ""
        return LocalProcessTree(name=name, agent=agent).end_strays(session_id)

    def kill(self, handle: Handle) -> None:
        below = descendants(handle.pid)
        end_process(handle.pid, handle.start_time, grace_s=0.0)
        for pid in below:
            end_process(pid, time.time(), grace_s=0.0)
        if handle.pid in self._children:
            self._children[handle.pid].poll()  # takes note of its end, so that no zombie is left


def _leave_session() -> None:
    if (group := own_group()) is not None:
        group.enter()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)

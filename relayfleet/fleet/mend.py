"""`fleet doctor --fix`: mends what the doctor found, each under the lock that keeps its owner from starting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from relayfleet.errors import FleetError, LockHeld
from relayfleet.fleet.doctor_files import leftovers, open_modes, sockets_by_owner
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName, SessionId
from relayfleet.ports.machine import Disk, ProcessTable, SessionProcess

_GRACE_S = 0.5
# A runner that starts waits two seconds for its lock.
_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """`what` was done to `subject`; `error` says why not, "" when it was."""

    subject: str
    what: str
    error: str = ""


@dataclass(kw_only=True)
class Mender:
    """`lock` gives the lock of a path, taken without waiting: LockHeld when its owner lives. `sessions` are the ids of
    this fleet's sessions."""

    layout: FleetLayout
    fleet_id: str | None
    sessions: Mapping[SessionId, AgentName]
    sockets: Path | None
    table: ProcessTable
    disk: Disk
    lock: Callable[[Path], AbstractContextManager[object]]

    def mend(self) -> list[Mended]:
        """What was done, in order; nothing when all is well."""
        return [*self._end_strays(), *self._remove_sockets(), *self._remove_leftovers(), *self._close_modes()]

    def _end_strays(self) -> Iterable[Mended]:
        for agent in sorted({process.agent for process in self._processes()}):
            try:
                with self._under(self.layout.agent(agent).runner_lock):
                    yield from self._end_strays_of(agent)
            except LockHeld:
                continue  # its runner lives: these are its session's
            except FleetError as error:
                yield Mended(subject=agent, what="end its strays", error=error.reason)

    def _end_strays_of(self, agent: AgentName) -> Iterable[Mended]:
        """What one of them spawned in between is ended in the next round."""
        ended: dict[tuple[int, float], SessionProcess] = {}
        for _ in range(_ROUNDS):
            strays = [process for process in self._processes() if process.agent == agent]
            if not strays:
                break
            ended |= {(process.pid, process.started): process for process in strays}
            self.table.end(strays, grace_s=_GRACE_S)
        left = {(process.pid, process.started) for process in self._processes() if process.agent == agent}
        for key, process in ended.items():
            what = f"ended process {process.pid}: {process.command}"
            yield Mended(subject=agent, what=what, error="it is still there" if key in left else "")

    def _processes(self) -> Sequence[SessionProcess]:
        return self.table.of_sessions(self.fleet_id, self.sessions) if self.fleet_id is not None else ()

    def _under(self, lock: Path) -> AbstractContextManager[object]:
        """Where there is no folder for the lock, its owner was taken out of the fleet and cannot start."""
        return self.lock(lock) if lock.parent.is_dir() else nullcontext()

    def _remove_sockets(self) -> Iterable[Mended]:
        for path, owner in sockets_by_owner(self.layout, self.sockets):
            yield from self._remove(path, under=owner)

    def _remove_leftovers(self) -> Iterable[Mended]:
        for path in leftovers(self.layout):
            yield from self._remove(path, under=self.layout.config_lock)

    def _remove(self, path: Path, *, under: Path) -> Iterable[Mended]:
        try:
            with self._under(under):
                self.disk.remove_tree(path)
        except LockHeld:
            return
        except FleetError as error:
            yield Mended(subject=str(path), what="remove", error=error.reason)
        else:
            yield Mended(subject=str(path), what="removed")

    def _close_modes(self) -> Iterable[Mended]:
        for path, wanted in open_modes(self.layout):
            try:
                path.chmod(wanted)
            except OSError as error:
                yield Mended(subject=str(path), what=f"set mode {wanted:o}", error=error.strerror or str(error))
            else:
                yield Mended(subject=str(path), what=f"set mode {wanted:o}")

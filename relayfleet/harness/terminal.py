"""Programs in pseudo-terminals: `ptyprocess` inside asyncio on Linux and macOS, `pywinpty` on Windows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.ports.session import COLUMNS, ROWS, Terminal, Terminals

_READ = 1 << 16
_MOST_PENDING = 1 << 20


def terminals(enter: Callable[[], None] | None = None) -> Terminals:
    """The kind that this system has. A program calls `enter` between fork and exec, where the system has such a
    moment."""
    if sys.platform == "win32":
        from relayfleet.harness.terminal_windows import WindowsTerminals

        return WindowsTerminals()
    else:
        return PosixTerminals(enter)


if sys.platform != "win32":
    from ptyprocess import PtyProcess

    _PR_SET_PDEATHSIG = 1

    def before_exec(enter: Callable[[], None] | None) -> Callable[[], None]:
        """What a child calls between fork and exec: on Linux, that the kernel sends it SIGTERM when this process dies,
        kill -9 included; then `enter`. It is made ready here: a fork of a process with threads may import nothing."""
        import ctypes

        prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

        def before() -> None:
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if enter is not None:
                enter()

        return before

    class PosixTerminal:
        """Owns the child; notices its death by SIGCHLD."""

        def __init__(
            self, process: PtyProcess, on_output: Callable[[bytes], None], on_exit: Callable[[int], None]
        ) -> None:
            self._process = process
            self._on_output = on_output
            self._on_exit = on_exit
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(process.fd, self._read)
            self._pending = bytearray()
            self._open = True
            self._over = False

        @property
        def pid(self) -> int:
            return int(self._process.pid)

        def _read(self) -> None:
            try:
                data = os.read(self._process.fd, _READ)
            except BlockingIOError:
                return
            except OSError:  # EIO: no process has the terminal open any more
                data = b""
            if data:
                self._on_output(data)
            else:
                self._loop.remove_reader(self._process.fd)

        def reap(self) -> bool:
            """Called at SIGCHLD: whether the program is over. Tells of its exit once."""
            if self._over:
                return True
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self._over = True
                self._on_exit(os.waitstatus_to_exitcode(status))
            return self._over

        def write(self, data: bytes) -> None:
            """What the program does not take at once waits; what is beyond _MOST_PENDING is dropped."""
            if self._open and len(self._pending) < _MOST_PENDING:
                self._pending += data
                self._flush()

        def _flush(self) -> None:
            try:
                del self._pending[: os.write(self._process.fd, self._pending)]
            except BlockingIOError:
                pass
            except OSError:  # EIO: nobody reads what is typed any more
                self._pending.clear()
            if self._pending:
                self._loop.add_writer(self._process.fd, self._flush)
            else:
                self._loop.remove_writer(self._process.fd)

        def resize(self, rows: int, columns: int) -> None:
            with contextlib.suppress(OSError):
                self._process.setwinsize(rows, columns)

        def interrupt(self) -> None:
            self.write(b"\x1b")

        def terminate(self) -> None:
            self._signal(signal.SIGTERM)

        def kill(self) -> None:
            self._signal(signal.SIGKILL)

        def _signal(self, number: int) -> None:
            if not self._over:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)

        def close(self) -> None:
            if self._open:
                self._open = False
                self._loop.remove_reader(self._process.fd)
                self._loop.remove_writer(self._process.fd)
                self._process.fileobj.close()
                self._process.closed = True

    class PosixTerminals:
        """Terminals of this process; SIGCHLD is handled while one of them lives."""

        def __init__(self, enter: Callable[[], None] | None = None) -> None:
            self._enter = enter
            self._terminals: list[PosixTerminal] = []

        def spawn(
            self,
            argv: Sequence[str],
            *,
            cwd: Path,
            env: Mapping[str, str],
            on_output: Callable[[bytes], None],
            on_exit: Callable[[int], None],
        ) -> Terminal:
            program = shutil.which(argv[0], path=env.get("PATH"))
            if program is None:
                raise FleetError(
                    f"run {argv[0]!r}", "it is not found on PATH", hint="install it, or name its full path"
                )
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGCHLD, self._reap)
            try:
                process = PtyProcess.spawn(
                    [program, *argv[1:]],
                    cwd=str(cwd),
                    env=dict(env),
                    dimensions=(ROWS, COLUMNS),
                    preexec_fn=before_exec(self._enter),
                )
            except (OSError, ValueError) as error:
                raise FleetError(f"run {argv[0]!r}", str(error)) from error
            os.set_blocking(process.fd, False)
            terminal = PosixTerminal(process, on_output, on_exit)
            self._terminals.append(terminal)
            loop.call_soon(self._reap)
            return terminal

        def _reap(self) -> None:
            for terminal in list(self._terminals):
                if terminal.reap():
                    self._terminals.remove(terminal)

"""Headless sessions: `claude` spoken to over pipes instead of in a terminal (see `wire/stream_json.py`).

A session's words go to whoever listens, and are shown as readable lines where a terminal's output would be. Threads
read, write and wait, which works on every system; a session that takes nothing in holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from relayfleet.errors import FleetError
from relayfleet.harness.spoken import readable
from relayfleet.ports.session import Terminal
from relayfleet.wire.stream_json import MAX_LINE, Said, decode, encode_interrupt

_READ = 1 << 16
# A program that the session left behind may hold its output open; what the session itself said is there by then.
_LAST_WORDS_S = 0.5


class HeadlessTerminal:
    """One session process."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        on_said: Callable[[Said], None],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._process = process
        self._on_said = on_said
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout, self._take), daemon=True),
            threading.Thread(target=self._read, args=(process.stderr, self._complain), daemon=True),
        ]
        for thread in (
            *self._readers,
            threading.Thread(target=self._write, args=(process.stdin,), daemon=True),
            threading.Thread(target=self._wait, daemon=True),
        ):
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, data: bytes) -> None:
        self._outgoing.put(data)

    def resize(self, rows: int, columns: int) -> None:
        """It has no window."""

    def interrupt(self) -> None:
        self.write(encode_interrupt(str(uuid.uuid4())))

    def terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """The end of its input ends a session that is still there."""
        self._outgoing.put(None)

    # ---- in threads

    def _read(self, stream: IO[bytes], take: Callable[[bytes], None]) -> None:
        with stream:
            while line := stream.readline(MAX_LINE):
                self._tell(take, line)

    def _write(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError), stream:
            while (data := self._outgoing.get()) is not None:
                stream.write(data)
                stream.flush()

    def _wait(self) -> None:
        code = self._process.wait()
        for thread in self._readers:
            thread.join(_LAST_WORDS_S)
        self._outgoing.put(None)
        self._tell(self._on_exit, code)

    def _tell(self, listener: Callable[..., None], what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(listener, what)

    # ---- in the loop

    def _take(self, line: bytes) -> None:
        said = decode(line)
        if said is not None:
            self._on_said(said)
            if shown := readable(said):
                self._on_output(shown.encode())
        elif not line.lstrip().startswith(b"{"):
            self._complain(line)

    def _complain(self, line: bytes) -> None:
        """What is no message: the words of a program that will not start."""
        self._on_output(line.rstrip(b"\r\n") + b"\r\n")


class HeadlessTerminals:
    """Starts headless sessions, one at a time; `say` speaks to the one that runs, and `on_said` is told what it says. A
    program calls `enter` between fork and exec."""

    def __init__(self, enter: Callable[[], None] | None = None) -> None:
        self.on_said: Callable[[Said], None] = lambda said: None
        self._enter = enter
        self._terminal: HeadlessTerminal | None = None

    def say(self, line: bytes) -> None:
        if self._terminal is not None:
            self._terminal.write(line)

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
            raise FleetError(f"run {argv[0]!r}", "it is not found on PATH", hint="install it, or name its full path")
        before = None
        if sys.platform == "linux":
            from relayfleet.harness.terminal import before_exec

            before = before_exec(self._enter)
        try:
            process = subprocess.Popen(
                [program, *argv[1:]],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                preexec_fn=before,  # noqa: PLW1509 - it imports nothing and takes no lock
            )
        except (OSError, ValueError) as error:
            raise FleetError(f"run {argv[0]!r}", str(error)) from error
        self._terminal = HeadlessTerminal(process, on_said=self.on_said, on_output=on_output, on_exit=on_exit)
        return self._terminal

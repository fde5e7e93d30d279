"""The user's own terminal: keys as they are pressed, bytes as they are written, and everything as before at the end."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Protocol

from relayfleet.errors import FleetError


class Console(Protocol):
    """`keys` can be waited for with `selectors`; `read` gives what was typed, b"" when the terminal is gone."""

    @property
    def keys(self) -> int: ...

    def read(self) -> bytes: ...

    def write(self, data: bytes) -> None: ...

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def enter(self) -> None:
        """From now on each key is told at once, and none is obeyed."""
        ...

    def leave(self) -> None:
        """As it was before; may be called twice."""
        ...


def console(doing: str) -> Console:
    """That of this process. Raises FleetError when its input or its output is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise FleetError(doing, "this is not a terminal", hint="`fleet screen` prints the screen anywhere")
    if sys.platform == "win32":
        from relayfleet.harness.console_windows import WindowsConsole

        return WindowsConsole()
    else:
        return PosixConsole()


if sys.platform != "win32":
    import termios
    import tty

    class PosixConsole:
        def __init__(self) -> None:
            self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
            self._before = termios.tcgetattr(self._in)

        @property
        def keys(self) -> int:
            return self._in

        def read(self) -> bytes:
            try:
                return os.read(self._in, 1 << 12)
            except OSError:
                return b""

        def write(self, data: bytes) -> None:
            while data:
                data = data[os.write(self._out, data) :]

        def size(self) -> tuple[int, int]:
            size = os.get_terminal_size(self._out)
            return size.lines or 24, size.columns or 80

        def enter(self) -> None:
            tty.setraw(self._in)

        def leave(self) -> None:
            # What was typed and not read is dropped: the shell is not to run it. A closed window has no terminal.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._in, termios.TCSAFLUSH, self._before)

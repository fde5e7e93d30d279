"""The console of Windows. It cannot be waited for, so a thread reads it and hands on through a pair of sockets."""

from __future__ import annotations

import contextlib
import ctypes
import msvcrt
import os
import socket
import sys
import threading

_INPUT, _OUTPUT = -10, -11
# Of input: processed, line, echo go; virtual terminal comes. Of output: processed and virtual terminal.
_COOKED, _VT_INPUT, _VT_OUTPUT = 0x0001 | 0x0002 | 0x0004, 0x0200, 0x0001 | 0x0004


class WindowsConsole:
    def __init__(self) -> None:
        self._kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
        self._handles = {number: self._kernel.GetStdHandle(number) for number in (_INPUT, _OUTPUT)}
        self._before = {number: self._mode(number) for number in self._handles}
        self._mine, self._theirs = socket.socketpair()

    def _mode(self, number: int) -> int:
        mode = ctypes.c_ulong()
        self._kernel.GetConsoleMode(self._handles[number], ctypes.byref(mode))
        return mode.value

    @property
    def keys(self) -> int:
        return self._mine.fileno()

    def read(self) -> bytes:
        return self._mine.recv(1 << 12)

    def write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def size(self) -> tuple[int, int]:
        size = os.get_terminal_size()
        return size.lines, size.columns

    def enter(self) -> None:
        self._kernel.SetConsoleMode(self._handles[_INPUT], self._before[_INPUT] & ~_COOKED | _VT_INPUT)
        self._kernel.SetConsoleMode(self._handles[_OUTPUT], self._before[_OUTPUT] | _VT_OUTPUT)
        threading.Thread(target=self._read, daemon=True).start()

    def leave(self) -> None:
        for number, mode in self._before.items():
            self._kernel.SetConsoleMode(self._handles[number], mode)
        self._theirs.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._theirs.sendall(msvcrt.getwch().encode("utf-8", "replace"))  # type: ignore[attr-defined,unused-ignore]

"""Programs in pseudo-consoles (ConPTY), through `pywinpty`. Reads block, so a thread does them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from winpty import PtyProcess  # type: ignore[import-not-found,unused-ignore]

from relayfleet.errors import FleetError
from relayfleet.ports.session import COLUMNS, ROWS, Terminal


class WindowsTerminal:
    def __init__(self, process: PtyProcess, on_output: Callable[[bytes], None], on_exit: Callable[[int], None]) -> None:
        self._process = process
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def _read(self) -> None:
        while True:
            try:
                text = self._process.read(1 << 16)
            except EOFError:
                break
            self._loop.call_soon_threadsafe(self._on_output, text.encode("utf-8", "replace"))
        code = int(self._process.wait() or 0)
        self._loop.call_soon_threadsafe(self._on_exit, code)

    def write(self, data: bytes) -> None:
        self._process.write(data.decode("utf-8", "replace"))

    def resize(self, rows: int, columns: int) -> None:
        self._process.setwinsize(rows, columns)

    def interrupt(self) -> None:
        self.write(b"\x1b")

    def terminate(self) -> None:
        self._process.terminate(force=False)

    def kill(self) -> None:
        self._process.terminate(force=True)

    def close(self) -> None:
        self._process.close(force=True)


class WindowsTerminals:
    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        on_exit: Callable[[int], None],
    ) -> Terminal:
        try:
            process = PtyProcess.spawn(list(argv), cwd=str(cwd), env=dict(env), dimensions=(ROWS, COLUMNS))
        except (OSError, FileNotFoundError) as error:
            raise FleetError(f"run {argv[0]!r}", str(error)) from error
        return WindowsTerminal(process, on_output, on_exit)

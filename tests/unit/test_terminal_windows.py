"""Programs in pseudo-consoles, with `winpty` made up: what is asked of it, and what is made of what it gives."""

from __future__ import annotations

import asyncio
import importlib
import queue
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relayfleet.errors import FleetError
from relayfleet.ports.session import Terminals


class FakePty:
    """A PtyProcess that prints what `say` is given and ends when `end` is called. Its reads block, as the real ones."""

    made: FakePty

    def __init__(self, argv: list[str], cwd: str, env: dict[str, str], dimensions: tuple[int, int]) -> None:
        self.argv, self.cwd, self.env, self.size = argv, cwd, env, dimensions
        self.pid = 77
        self.written = ""
        self.calls: list[str] = []
        self._said: queue.Queue[str | None] = queue.Queue()
        self._code = 0
        FakePty.made = self

    @classmethod
    def spawn(cls, argv: list[str], **given: Any) -> FakePty:
        if argv[0] == "missing":
            raise FileNotFoundError("The command was not found: missing")
        return cls(argv, **given)

    def say(self, text: str) -> None:
        self._said.put(text)

    def end(self, code: int) -> None:
        self._code = code
        self._said.put(None)

    def read(self, size: int) -> str:
        said = self._said.get()
        if said is None:
            raise EOFError
        return said

    def wait(self) -> int:
        return self._code

    def write(self, text: str) -> None:
        self.written += text

    def setwinsize(self, rows: int, columns: int) -> None:
        self.size = (rows, columns)

    def terminate(self, *, force: bool) -> None:
        self.calls.append("kill" if force else "terminate")
        self.end(1)

    def close(self, *, force: bool) -> None:
        self.calls.append("close")


@pytest.fixture
def terminals(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminals]:
    module: Any = types.ModuleType("winpty")
    module.PtyProcess = FakePty
    monkeypatch.setitem(sys.modules, "winpty", module)
    loaded = importlib.import_module("relayfleet.harness.terminal_windows")
    yield loaded.WindowsTerminals()
    del sys.modules["relayfleet.harness.terminal_windows"]


async def test_a_program_from_its_start_to_its_end(terminals: Terminals, tmp_path: Path) -> None:
    output, over = asyncio.Queue[bytes](), asyncio.get_running_loop().create_future()
    terminal = terminals.spawn(
        ["claude", "--x"], cwd=tmp_path, env={"A": "b"}, on_output=output.put_nowait, on_exit=over.set_result
    )
    pty = FakePty.made
    assert (pty.argv, pty.cwd, pty.env, pty.size, terminal.pid) == (
        ["claude", "--x"],
        str(tmp_path),
        {"A": "b"},
        (50, 160),
        77,
    )
    pty.say("héllo")
    async with asyncio.timeout(60):
        assert await output.get() == "héllo".encode()
    terminal.write(b"ja\r")
    terminal.interrupt()
    terminal.resize(24, 80)
    assert (pty.written, pty.size) == ("ja\r\x1b", (24, 80))
    terminal.terminate()
    async with asyncio.timeout(60):
        assert await over == 1
    terminal.close()
    assert pty.calls == ["terminate", "close"]


async def test_one_that_is_killed(terminals: Terminals, tmp_path: Path) -> None:
    over = asyncio.get_running_loop().create_future()
    terminal = terminals.spawn(["x"], cwd=tmp_path, env={}, on_output=lambda data: None, on_exit=over.set_result)
    terminal.kill()
    async with asyncio.timeout(60):
        await over
    assert FakePty.made.calls == ["kill"]


async def test_a_program_that_is_not_there(terminals: Terminals, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot run 'missing'"):
        terminals.spawn(["missing"], cwd=tmp_path, env={}, on_output=lambda data: None, on_exit=lambda code: None)

"""What every `Terminals` promises. Each program is there for a real pseudo-terminal, for the pipes of a headless
session, and for the fake."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relayfleet.errors import FleetError
from relayfleet.harness.headless import HeadlessTerminals
from relayfleet.harness.terminal import terminals
from relayfleet.ports.session import Terminal, Terminals
from relayfleet.testing import MemoryTerminal, MemoryTerminals

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
print("up", flush=True)
sys.stdin.read()
"""
LOOKS_AROUND = """
import os
# Python itself adds LC_CTYPE in a locale of ASCII.
own = set(os.environ) - {"LC_CTYPE"} == {"A"}
print(os.isatty(0), os.getsid(0) == os.getpid(), os.getcwd(), own, *os.get_terminal_size())
"""


def hello(terminal: MemoryTerminal) -> None:
    terminal.print(b"hello " + terminal.env["NAME"].encode())
    terminal.exit(0)


def echo(terminal: MemoryTerminal) -> None:
    def on_write(data: bytes) -> None:
        terminal.print(b"got:" + data)
        terminal.exit(7)

    terminal.on_write = on_write
    terminal.print(b"up")


def stubborn(terminal: MemoryTerminal) -> None:
    terminal.ignores = {15, 1}
    terminal.print(b"up")


PROGRAMS = {
    "hello": ["/bin/sh", "-c", "printf 'hello %s' \"$NAME\""],
    "fails": ["sh", "-c", "exit 3"],
    "echo": ["sh", "-c", 'echo up; read line; printf "got:%s" "$line"; exit 7'],
    "waits": ["sh", "-c", "echo up; exec sleep 60"],
    "stubborn": [sys.executable, "-c", STUBBORN],
    "nothing": ["no-such-program"],
}


@dataclass
class Kind:
    """`hangs_up` is how a program that waits ends when its terminal is let go of."""

    terminals: Terminals
    argv: dict[str, list[str]]
    hangs_up: int = -1


def headless() -> Kind:
    """Without a terminal: lines in, lines out, and the end of its input for a hang-up."""
    return Kind(HeadlessTerminals(), {**PROGRAMS, "waits": ["sh", "-c", "echo up; cat >/dev/null; exit 5"]}, hangs_up=5)


def real() -> Kind:
    return Kind(terminals(), PROGRAMS)


def fake() -> Kind:
    programs: dict[str, Callable[[MemoryTerminal], None]] = {
        "hello": hello,
        "fails": lambda t: t.exit(3),
        "echo": echo,
        "waits": lambda t: t.print(b"up"),
        "stubborn": stubborn,
    }
    return Kind(MemoryTerminals(programs), {name: [name] for name in (*programs, "nothing")})


@dataclass
class Run:
    """One program: what it printed, and how it ended."""

    terminal: Terminal | None = None
    output: bytes = b""
    codes: list[int] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.happened.clear()
                await self.happened.wait()

    async def until_printed(self, what: bytes) -> None:
        await self.until(lambda: what in self.output)

    async def until_over(self) -> int:
        await self.until(lambda: bool(self.codes))
        return self.codes[0]

    def on_output(self, data: bytes) -> None:
        self.output += data
        self.happened.set()

    def on_exit(self, code: int) -> None:
        self.codes.append(code)
        self.happened.set()


@pytest.fixture(params=[real, headless, fake])
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param()
    return made


def start(kind: Kind, program: str, cwd: Path) -> tuple[Terminal, Run]:
    run = Run()
    env = {"PATH": os.environ["PATH"], "NAME": "ann"}
    return kind.terminals.spawn(kind.argv[program], cwd=cwd, env=env, on_output=run.on_output, on_exit=run.on_exit), run


async def test_what_it_prints_and_how_it_ends_is_told(kind: Kind, tmp_path: Path) -> None:
    terminal, run = start(kind, "hello", tmp_path)
    await run.until_printed(b"hello ann")
    assert await run.until_over() == 0
    terminal.close()
    _, failed = start(kind, "fails", tmp_path)
    assert await failed.until_over() == 3


async def test_what_is_written_is_typed(kind: Kind, tmp_path: Path) -> None:
    terminal, run = start(kind, "echo", tmp_path)
    await run.until_printed(b"up")
    terminal.write(b"ls -l\n")
    await run.until_printed(b"got:ls -l")
    assert await run.until_over() == 7
    terminal.close()


@pytest.mark.parametrize(("act", "code"), [("terminate", -15), ("kill", -9), ("close", None)])
async def test_it_can_be_ended(kind: Kind, tmp_path: Path, act: str, code: int | None) -> None:
    terminal, run = start(kind, "waits", tmp_path)
    await run.until_printed(b"up")
    getattr(terminal, act)()
    assert await run.until_over() == (kind.hangs_up if code is None else code)
    terminal.close()


async def test_who_ignores_a_request_can_be_killed(kind: Kind, tmp_path: Path) -> None:
    terminal, run = start(kind, "stubborn", tmp_path)
    await run.until_printed(b"up")
    terminal.terminate()
    terminal.kill()
    assert await run.until_over() == -9
    terminal.close()


async def test_a_program_that_is_over_is_left_alone_and_told_of_once(kind: Kind, tmp_path: Path) -> None:
    terminal, run = start(kind, "fails", tmp_path)
    await run.until_over()
    for act in (terminal.terminate, terminal.kill, lambda: terminal.write(b"x"), terminal.close, terminal.close):
        act()
    other, second = start(kind, "hello", tmp_path)
    await second.until_over()
    other.close()
    assert run.codes == [3]


async def test_several_at_once_are_told_apart(kind: Kind, tmp_path: Path) -> None:
    started = [start(kind, program, tmp_path) for program in ("hello", "fails", "hello", "fails")]
    assert [await run.until_over() for _, run in started] == [0, 3, 0, 3]
    assert len({terminal.pid for terminal, _ in started}) == 4
    for terminal, _ in started:
        terminal.close()


async def test_a_program_that_is_not_there_is_named(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"cannot run '.*': it is not found on PATH"):
        start(kind, "nothing", tmp_path)


async def test_a_real_program_has_a_terminal_of_its_own_and_only_the_given_environment(tmp_path: Path) -> None:
    run = Run()
    terminal = terminals().spawn(
        [sys.executable, "-I", "-S", "-c", LOOKS_AROUND],
        cwd=tmp_path,
        env={"A": "1"},
        on_output=run.on_output,
        on_exit=run.on_exit,
    )
    assert await run.until_over() == 0
    await run.until_printed(b"\n")
    assert run.output.decode().split() == ["True", "True", str(tmp_path), "True", "160", "50"]
    terminal.close()

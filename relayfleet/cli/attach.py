"""`fleet attach`: the live terminal of a session, to look at, and with --drive to type into."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType

from relayfleet.cli.canvas import ENTER, LEAVE, MARKED_PASTES, PLAIN_PASTES, Canvas
from relayfleet.cli.context import Context
from relayfleet.cli.mirror import Mirror
from relayfleet.cli.output import safe, say
from relayfleet.cli.selection import select
from relayfleet.client.attach import Attachment, attach
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError, NotAllowed, Unreachable, UsageError
from relayfleet.harness.composer import composer_of
from relayfleet.harness.console import Console, console
from relayfleet.store.sockets import sockets_of
from relayfleet.wire.attach import Composer, State

_DETACH = b"\x1d"  # ctrl-]
_CTRL_C = b"\x03"
_DRAW_EVERY_S = 0.04
_LOOK_AT_SIZE_EVERY_S = 0.25
_ESC, _PASTE_BEGINS, _PASTE_ENDS = b"\x1b", b"\x1b[200~", b"\x1b[201~"


def run(ctx: Context, *, agent: str, drive: bool, take: bool) -> int:
    """Exit code 128 and the signal's number when one ended it. Raises FleetError when there is no terminal here, no
    runner there, or another drives."""
    doing = f"attach to {agent!r}"
    if take and not drive:
        raise UsageError(doing, "--take is for --drive", hint="add --drive")
    if drive and ctx.caller is not None:
        raise NotAllowed(doing, "agents do not type into terminals", hint="use `fleet tell`")
    roster = read_roster(ctx.layout)
    select(roster, doing="attach to", names=(agent,), everyone=False, role=None)
    here = console(doing)
    try:
        line = attach(sockets_of(roster.fleet_id or "").control(agent), doing=doing, drive=drive, take=take)
    except Unreachable:
        hint = f"`fleet screen {agent}` prints its last screen, `fleet start {agent}` starts it"
        raise FleetError(doing, "it is not running", hint=hint) from None
    viewing = Viewing(agent, here, line)
    code = 0
    with _ended_by_signals() as let_nothing_in:
        try:
            here.enter()
            here.write(ENTER.encode())
            why = viewing.run()
        except _Signalled as signalled:
            why, code = f"ended by signal {signalled.number}", 128 + signalled.number
        finally:
            let_nothing_in()
            line.close()
            with contextlib.suppress(OSError):
                here.write(LEAVE.encode())
            here.leave()
    say(f"{agent}: {why}")
    return code


class _Signalled(Exception):
    """The process is asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Viewing:
    """The loop between the user's terminal and the session's."""

    def __init__(self, agent: str, here: Console, line: Attachment) -> None:
        self._agent = agent
        self._here = here
        self._line = line
        self._canvas = Canvas(colours=not os.environ.get("NO_COLOR"))
        self._window = here.size()
        self._mirror = Mirror(line)
        self._pastes_marked = False

    def run(self) -> str:
        """Until it is over; says why."""
        changed, drawn_at, size_at = True, 0.0, 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._here.keys, selectors.EVENT_READ)
            selector.register(self._line, selectors.EVENT_READ)
            ready = {self._line.fileno()}  # what came with the answer
            while True:
                if self._line.fileno() in ready:
                    came = self._line.receive()
                    if came is None:
                        return "its runner ended"
                    for one in came:
                        self._take(one)
                    changed = True
                if self._here.keys in ready and (why := self._type(self._here.read())):
                    return why
                now = time.monotonic()
                if now - size_at >= _LOOK_AT_SIZE_EVERY_S:
                    size_at = now
                    changed = self._look_at_size() or changed
                if changed and now - drawn_at >= _DRAW_EVERY_S:
                    self._draw()
                    changed, drawn_at = False, time.monotonic()
                wait = _DRAW_EVERY_S if changed else _LOOK_AT_SIZE_EVERY_S
                ready = {key.fd for key, _ in selector.select(wait)}

    def _take(self, came: State | bytes) -> None:
        drove = self._drives
        self._mirror.take(came)
        if isinstance(came, State) and came.error:
            raise FleetError(f"attach to {self._agent!r}", came.error)
        if self._drives and not drove:
            self._resize_session()

    @property
    def _drives(self) -> bool:
        return self._mirror.state is not None and self._mirror.state.drives

    def _type(self, keys: bytes) -> str:
        """What a person typed goes to the session, or says that it is over, and why."""
        typed, detach, _ = keys.partition(_DETACH)
        if not self._drives:
            return "detached" if not keys or detach or _CTRL_C in keys else ""
        if typed:
            self._line.type(typed if self._mirror.emulator.bracketed_paste else _unmarked(typed))
        if keys and not detach:
            return ""
        self._line.leave(self._composer(typed))
        return "detached"

    def _composer(self, typed: bytes) -> Composer:
        """What the screen says of the composer when the person leaves. Keys of this moment are not on it yet."""
        return "unknown" if typed else composer_of(self._mirror.emulator.rows())

    def _look_at_size(self) -> bool:
        window = self._here.size()
        if window == self._window:
            return False
        self._window = window
        self._canvas.forget()
        if self._drives:
            self._resize_session()
        return True

    def _resize_session(self) -> None:
        self._line.resize(self._window[0] - 1, self._window[1])

    def _draw(self) -> None:
        if self._pastes_marked != self._drives:
            self._pastes_marked = not self._pastes_marked
            self._here.write((MARKED_PASTES if self._pastes_marked else PLAIN_PASTES).encode())
        drawn = self._canvas.draw(
            self._mirror.emulator.rows(), self._mirror.emulator.cursor, window=self._window, below=safe(self._below())
        )
        self._here.write(drawn.encode(sys.stdout.encoding or "utf-8", "replace"))

    def _below(self) -> str:
        state = self._mirror.state
        if state is None:
            return f" {self._agent}"
        parts = [self._agent, "you type" if state.drives else "view only"]
        if state.driver and not state.drives:
            parts.append(f"{state.driver} types")
        if not state.up:
            parts.append("its session is down")
        if state.viewers > 1:
            parts.append(f"{state.viewers} viewers")
        if self._mirror.lost:
            parts.append(f"{self._mirror.lost} bytes left out: this terminal is slow")
        return f" {' | '.join(parts)} | ctrl-] detaches"


def _unmarked(keys: bytes) -> bytes:
    """A paste for a program that does not know marks."""
    return keys.replace(_PASTE_BEGINS, b"").replace(_PASTE_ENDS, b"")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[Callable[[], None]]:
    """A signal that ends the process ends it in order, so that the terminal is left as it was. What is given lets none
    in any more: it is for leaving, which the first signal begins itself."""
    names = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]

    def let_nothing_in() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    def end(number: int, frame: FrameType | None) -> None:
        let_nothing_in()
        raise _Signalled(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield let_nothing_in
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Who looks at the session's terminal, and who types into it.

The runner draws nothing: it keeps the last output as it came and passes on what follows. A viewer that does not keep up
loses output and is told so; it never slows the session, the runner or another viewer, and never costs more than
`_MOST_BEHIND` bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from relayfleet.ports.log import Log
from relayfleet.ports.session import Terminal
from relayfleet.wire.attach import (
    FROM_VIEWER,
    HEADER,
    KEYS,
    LEAVE,
    REPAINT,
    SIZE,
    VERSION,
    State,
    decode_header,
    decode_size,
    encode_output,
    encode_state,
)
from relayfleet.wire.control import encode_line, refusal

RING_BYTES = 256 * 1024
_MOST_BEHIND = 512 * 1024
_MOST_VIEWERS = 16
# A driver's window may be of any size; a session is not given one that it cannot draw in.
_LEAST, _MOST = (10, 40), (200, 500)
_NUDGE_S, _NUDGE_EVERY_S = 0.1, 2.0


class Ring:
    """The last output, up to RING_BYTES. `whole` while nothing was dropped."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.whole = True

    def add(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > RING_BYTES:
            del self._data[:-RING_BYTES]
            self.whole = False

    def clear(self) -> None:
        self._data.clear()
        self.whole = True

    def bytes(self) -> bytes:
        return bytes(self._data)


class Viewer:
    """One line to one viewer. `lost` counts what it did not get since it last kept up."""

    def __init__(self, writer: asyncio.StreamWriter, who: str) -> None:
        self.who = who
        self.lost = 0
        self.since = 0.0
        self.recovery: asyncio.Task[None] | None = None
        self._writer = writer

    @property
    def behind(self) -> int:
        """How many bytes it has yet to take."""
        return self._writer.transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def caught_up(self) -> None:
        """Raises ConnectionError when it is gone."""
        await self._writer.drain()

    def leave(self) -> None:
        if self.recovery is not None:
            self.recovery.cancel()


class Viewers:
    """`hold` is told who keeps entries from being offered: "driver" while a person types, "draft" while something that
    was typed stands in the terminal and was not sent. `rows` and `columns` are the terminal's own, without a driver."""

    def __init__(
        self,
        *,
        rows: int,
        columns: int,
        hold: Callable[[str, bool], object],
        log: Log,
        clock: Callable[[], float],
        typed_into: bool = True,
    ) -> None:
        self._own_size = self._size = (rows, columns)
        self._hold = hold
        self._log = log
        self._clock = clock
        self._typed_into = typed_into
        self._ring = Ring()
        self._viewers: list[Viewer] = []
        self._driver: Viewer | None = None
        self._terminal: Terminal | None = None
        self._typed = False
        self._draft_since: float | None = None
        self._nudge: asyncio.TimerHandle | None = None
        self._nudged_at = -_NUDGE_EVERY_S

    @property
    def held(self) -> str:
        """Why nothing is offered, in words; empty while nobody stands in the way."""
        if self._driver is not None:
            return f"held: {self._driver.who} types into its terminal (since {_local(self._driver.since)})"
        if self._draft_since is not None:
            return f"held: a draft in the terminal (since {_local(self._draft_since)})"
        return ""

    # ---- what the session does

    def begin(self, terminal: Terminal) -> None:
        """A session process was started; viewers go over to it."""
        self._terminal = terminal
        self._ring.clear()
        self.drop_draft()
        if self._size != self._own_size:
            terminal.resize(*self._size)
        self._tell(fresh=True)

    def end(self) -> None:
        """The session's process is gone, and what stood in its terminal."""
        self._terminal = None
        self.drop_draft()
        self._tell()

    def output(self, data: bytes) -> None:
        self._ring.add(data)
        if self._viewers:
            frames = encode_output(data)
            for viewer in self._viewers:
                self._pass_on(viewer, frames)

    def drop_draft(self) -> None:
        """What was typed was sent, or is gone with its session."""
        self._typed = False
        self._set_draft(False)

    def picture(self) -> Mapping[str, Any]:
        """For `fleet screen`: the output as it came, and the size that it was made for."""
        import base64

        data = base64.b64encode(self._ring.bytes()).decode()
        rows, columns = self._size
        return {
            "ok": True,
            "rows": rows,
            "columns": columns,
            "up": self._terminal is not None,
            "whole": self._ring.whole,
            "output": data,
        }

    # ---- what viewers do

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Mapping[str, Any]) -> None:
        """Until the viewer goes away, or says what is no frame."""
        viewer = Viewer(writer, _words(hello.get("who")))
        refused = self._refuse(hello)
        writer.write(encode_line(refused or {"ok": True, "version": VERSION}))
        if refused:
            await writer.drain()
            return
        self._viewers.append(viewer)
        self._log.info("viewer.joined", who=viewer.who, drives=bool(hello.get("drive")))
        try:
            self._show_anew(viewer)
            if hello.get("drive"):
                self._drive(viewer)
            self._tell()
            while True:
                kind, length = decode_header(await reader.readexactly(HEADER.size), kinds=FROM_VIEWER)
                self._take(viewer, kind, await reader.readexactly(length))
        except ValueError as error:
            self._log.warning("viewer.bad_frame", str(error), who=viewer.who)
            viewer.send(encode_state(self._state(viewer, error=str(error))))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # it is gone
        finally:
            viewer.leave()
            self._viewers.remove(viewer)
            self._release(viewer, "unknown")
            self._tell()
            self._log.info("viewer.left", who=viewer.who)

    def _refuse(self, hello: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if hello.get("version") != VERSION:
            return refusal(f"attach in version {hello.get('version')!r}", "restart the agent, or use its own `fleet`")
        if len(self._viewers) >= _MOST_VIEWERS:
            return refusal(f"{_MOST_VIEWERS} viewers are there already")
        if not hello.get("drive"):
            return None
        if not self._typed_into:
            return refusal("a headless session has no terminal to type into", "use `fleet tell`")
        if self._driver is not None and not hello.get("take"):
            since = _local(self._driver.since)
            return refusal(f"{self._driver.who} drives it since {since}", "look on without --drive, or add --take")
        return None

    def _take(self, viewer: Viewer, kind: bytes, payload: bytes) -> None:
        if kind == REPAINT:
            self._repaint()
        elif viewer is not self._driver:
            return  # it was driving when it said so: another has taken over
        elif kind == KEYS:
            self._typed = True
            if self._terminal is not None:
                self._terminal.write(payload)
        elif kind == SIZE:
            self._resize(*decode_size(payload))
        elif kind == LEAVE:
            self._release(viewer, payload.decode("ascii", "replace"))

    def _drive(self, viewer: Viewer) -> None:
        if self._driver is not None:
            self._log.info("viewer.took_over", who=viewer.who, of=self._driver.who)
        self._driver, viewer.since = viewer, self._clock()
        self._hold("driver", True)

    def _release(self, viewer: Viewer, composer: str) -> None:
        """A driver stops driving. What it saw in the composer decides; where it saw none, that it typed does."""
        if viewer is not self._driver:
            return
        if composer != "unknown":
            self._typed = composer == "text"
        self._set_draft(self._typed)
        self._driver = None
        self._resize(*self._own_size)
        self._hold("driver", False)

    def _set_draft(self, there: bool) -> None:
        if there == (self._draft_since is not None):
            return
        self._draft_since = self._clock() if there else None
        if there:
            self._log.info("draft.held")
        else:
            self._log.info("draft.gone")
        self._hold("draft", there)

    # ---- what viewers are told

    def _pass_on(self, viewer: Viewer, frames: bytes) -> None:
        if viewer.lost or viewer.behind + len(frames) > _MOST_BEHIND:
            viewer.lost += len(frames)
            if viewer.recovery is None:
                viewer.recovery = asyncio.get_running_loop().create_task(self._recover(viewer))
        else:
            viewer.send(frames)

    async def _recover(self, viewer: Viewer) -> None:
        """When it has taken what it was sent, it is shown everything anew."""
        try:
            await viewer.caught_up()
        except ConnectionError:
            return
        self._log.info("viewer.lost_output", who=viewer.who, bytes=viewer.lost)
        lost, viewer.lost, viewer.recovery = viewer.lost, 0, None
        self._show_anew(viewer, lost=lost)

    def _show_anew(self, viewer: Viewer, *, lost: int = 0) -> None:
        viewer.send(encode_state(self._state(viewer, fresh=True, lost=lost)))
        viewer.send(encode_output(self._ring.bytes()))

    def _state(self, viewer: Viewer, *, fresh: bool = False, lost: int = 0, error: str = "") -> State:
        rows, columns = self._size
        return State(
            rows=rows,
            columns=columns,
            up=self._terminal is not None,
            drives=viewer is self._driver,
            driver=self._driver.who if self._driver else "",
            viewers=len(self._viewers),
            fresh=fresh,
            whole=self._ring.whole,
            lost=lost,
            error=error,
        )

    def _tell(self, *, fresh: bool = False) -> None:
        for viewer in self._viewers:
            if viewer.behind < _MOST_BEHIND:
                viewer.send(encode_state(self._state(viewer, fresh=fresh)))

    # ---- the size

    def _resize(self, rows: int, columns: int) -> None:
        rows = min(max(rows, _LEAST[0]), _MOST[0])
        columns = min(max(columns, _LEAST[1]), _MOST[1])
        if (rows, columns) == self._size:
            return
        self._size = rows, columns
        if self._terminal is not None:
            self._terminal.resize(rows, columns)
        self._tell()

    def _repaint(self) -> None:
        """Claude Code paints everything when its window changes; so it is made smaller for a moment, and not more often
        than every _NUDGE_EVERY_S, however many ask."""
        if self._nudge is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._nudged_at + _NUDGE_EVERY_S - loop.time())
            self._nudge = loop.call_later(wait, self._shrink)

    def _shrink(self) -> None:
        loop = asyncio.get_running_loop()
        self._nudged_at = loop.time()
        self._nudge = loop.call_later(_NUDGE_S, self._grow)
        if self._terminal is not None:
            rows, columns = self._size
            self._terminal.resize(rows - 1, columns)

    def _grow(self) -> None:
        self._nudge = None
        if self._terminal is not None:
            self._terminal.resize(*self._size)


def _words(given: object) -> str:
    """What a viewer calls itself: shown to other people, so only what can be printed, and not much of it."""
    return "".join(c for c in str(given or "somebody") if c.isprintable())[:80]


def _local(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))

"""The screen of a session, as its runner shows it to who is attached."""

from __future__ import annotations

from relayfleet.client.attach import Attachment
from relayfleet.harness.emulator import Emulator
from relayfleet.wire.attach import State


class Mirror:
    """`state` is what the runner said last, None before it said anything; `lost` counts the bytes that it left out."""

    def __init__(self, line: Attachment) -> None:
        self.emulator = Emulator(1, 2)
        self.state: State | None = None
        self.lost = 0
        self._line = line

    def take(self, came: State | bytes) -> None:
        """Takes in what came over the line."""
        if isinstance(came, bytes):
            self.emulator.feed(came)
            return
        self.state = came
        if self.emulator.size != (came.rows, came.columns):
            self.emulator.resize(came.rows, came.columns)
        if came.fresh:
            self.emulator.clear()
            self.emulator.bracketed_paste = not came.whole
            self.lost += came.lost
            if not came.whole:
                self._line.repaint()

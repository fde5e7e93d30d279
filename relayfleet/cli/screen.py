"""`fleet screen`: what a session's terminal shows, once."""

from __future__ import annotations

import base64
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from relayfleet.cli.canvas import draw_row
from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, emit_styled, say
from relayfleet.cli.selection import select
from relayfleet.client.control import ask
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError, Unreachable
from relayfleet.harness.emulator import Emulator
from relayfleet.model.duration import in_words
from relayfleet.ports.session import COLUMNS, ROWS
from relayfleet.store.sockets import sockets_of

_ANSWER_WITHIN_S = 5.0
_ENOUGH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """`age_s` is how old the picture is when it comes from the log, None when it is that of now."""

    rows: int
    columns: int
    output: bytes
    age_s: float | None = None


def run(ctx: Context, *, agent: str, ansi: bool) -> int:
    """--json: {"version": 1, "agent", "live", "age_s": null when live, "rows", "columns", "lines": [text],
    "cursor": {"row", "column", "visible"}}. Raises FleetError when nothing was ever shown."""
    roster = read_roster(ctx.layout)
    select(roster, doing="show the screen of", names=(agent,), everyone=False, role=None)
    shown = _live(sockets_of(roster.fleet_id or "").control(agent), ctx.layout.agent(agent).session_log)
    if shown is None:
        shown = _last(agent, ctx.layout.agent(agent).session_log)
    emulator = Emulator(shown.rows, shown.columns)
    emulator.feed(shown.output)
    if ctx.json:
        at = emulator.cursor
        emit_json(
            {
                "version": 1,
                "agent": agent,
                "live": shown.age_s is None,
                "age_s": shown.age_s,
                "rows": shown.rows,
                "columns": shown.columns,
                "lines": emulator.text(),
                "cursor": {"row": at.row, "column": at.column, "visible": at.visible},
            }
        )
        return 0
    if shown.age_s is not None:
        say(f"{agent} is not running; this is the end of its log, {in_words(shown.age_s)} old")
    _print(emulator, ansi=ansi)
    return 0


def _print(emulator: Emulator, *, ansi: bool) -> None:
    """Without the blank lines at the end."""
    lines = emulator.text()
    count = max((number + 1 for number, line in enumerate(lines) if line), default=0)
    for line, row in list(zip(lines, emulator.rows(), strict=True))[:count]:
        if ansi:
            emit_styled(draw_row(row, columns=len(row), placed=False))
        else:
            emit(line)


def _live(path: Path, log: Path) -> Shown | None:
    """None when no session runs."""
    try:
        answer = ask(path, {"op": "screen"}, timeout_s=_ANSWER_WITHIN_S)
    except Unreachable:
        return None
    if not answer["up"]:
        return None
    output = base64.b64decode(answer["output"])
    if not answer["whole"]:  # the log goes back further
        output = _end_of(log) or output
    return Shown(rows=answer["rows"], columns=answer["columns"], output=output)


def _last(agent: str, log: Path) -> Shown:
    import time

    try:
        age_s = max(0.0, time.time() - log.stat().st_mtime)
    except FileNotFoundError:
        hint = f"start it: `fleet start {agent}`"
        raise FleetError(f"show the screen of {agent!r}", "it never ran", hint=hint) from None
    return Shown(rows=ROWS, columns=COLUMNS, output=_end_of(log), age_s=age_s)


def _end_of(log: Path) -> bytes:
    """The log and the one before it."""
    data = b""
    for path in (log.with_name(log.name + ".1"), log):
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _ENOUGH_BYTES))
            data += file.read()
    return data

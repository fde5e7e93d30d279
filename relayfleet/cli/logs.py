"""`fleet logs`: the end of a log, and with -f what is added to it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit
from relayfleet.cli.selection import select
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError, UsageError
from relayfleet.harness.screen import plain

_LOOK_S = 0.25
_MOST_BYTES = 8 * 1024 * 1024


def run(ctx: Context, *, agent: str, follow: bool, runner: bool, lines: int) -> int:
    """Ends with -f only when it is interrupted."""
    if lines < 0:
        raise UsageError(f"show the log of {agent!r}", f"{lines} is no number of lines")
    path, structured = _log_of(ctx, agent, runner=runner)
    if not path.exists():
        raise FleetError(f"show the log of {agent!r}", "there is none yet", hint=f"start it: `fleet start {agent}`")
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _MOST_BYTES))
        shown = _words(file.read(), structured=structured).splitlines()
    for line in shown[-lines:] if lines else ():
        emit(line)
    while follow:
        size = _follow(path, size, structured=structured)
        time.sleep(_LOOK_S)
    return 0


def _log_of(ctx: Context, agent: str, *, runner: bool) -> tuple[Path, bool]:
    """The file, and whether its lines are JSON."""
    if agent == "router":
        return ctx.layout.router_log, True
    select(read_roster(ctx.layout), doing="show the log of", names=(agent,), everyone=False, role=None)
    layout = ctx.layout.agent(agent)
    return (layout.runner_log, True) if runner else (layout.session_log, False)


def _follow(path: Path, size: int, *, structured: bool) -> int:
    """Prints what was added behind `size`; the new size. A rotated log is read from its beginning."""
    try:
        now = path.stat().st_size
    except FileNotFoundError:
        return 0
    start = size if now >= size else 0
    if now == start:
        return now
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(now - start)
    if structured and (end := data.rfind(b"\n") + 1) != len(data):
        data, now = data[:end], start + end
    for line in _words(data, structured=structured).splitlines():
        emit(line)
    return now


def _words(data: bytes, *, structured: bool) -> str:
    text = data.decode("utf-8", "replace")
    if not structured:
        return plain(text)
    return "\n".join(_line(line) for line in text.splitlines())


def _line(line: str) -> str:
    """One structured line in words, its time in local time."""
    try:
        record = json.loads(line)
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.pop("ts")))
        level, action, message = record.pop("level"), record.pop("action"), record.pop("message")
    except (ValueError, KeyError, AttributeError):
        return line
    rest = " ".join(f"{key}={value}" for key, value in record.items())
    return " ".join(part for part in (at, level, action, message, rest) if part)

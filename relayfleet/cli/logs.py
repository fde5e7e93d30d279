"""`fleet logs`: the end of a log, and with -f what is added to it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit
from relayfleet.cli.selection import select
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError, UsageError
from relayfleet.harness.screen import plain
from relayfleet.model.layout import AgentLayout

_LOOK_S = 0.25
_MOST_BYTES = 8 * 1024 * 1024
_SESSION_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`words` makes lines of bytes; `by_line` when it must be given whole lines."""

    path: Path
    words: Callable[[bytes], list[str]]
    by_line: bool


def run(
    ctx: Context, *, agent: str, follow: bool, runner: bool, transcript: bool, session: str | None, lines: int
) -> int:
    """With --json, which is for --transcript, its lines as Claude Code wrote them. Ends with -f only when it is
    interrupted."""
    doing = f"show the log of {agent!r}"
    if lines < 0:
        raise UsageError(doing, f"{lines} is no number of lines")
    if session is not None and not transcript:
        raise UsageError(doing, "--session is for --transcript", hint="add --transcript")
    if ctx.json and not transcript:
        raise UsageError(doing, "--json is for --transcript", hint="runner.log holds JSON lines itself")
    if runner and transcript:
        raise UsageError(doing, "it is either --runner or --transcript")
    source = _source(ctx, agent, runner=runner, transcript=transcript, session=session)
    if not source.path.exists():
        start = {"router": "fleet router start", "supervisor": "fleet up"}.get(agent, f"fleet start {agent}")
        raise FleetError(doing, "there is none yet", hint=f"start it: `{start}`")
    size = source.path.stat().st_size
    with source.path.open("rb") as file:
        skipped = max(0, size - _MOST_BYTES)
        file.seek(skipped)
        if skipped and source.by_line:
            file.readline()
        data = file.read(size - file.tell())
    if source.by_line and follow and (end := data.rfind(b"\n") + 1) != len(data):
        data, size = data[:end], size - (len(data) - end)
    shown = source.words(data)
    for line in shown[-lines:] if lines else ():
        emit(line)
    while follow:
        size = _follow(source, size)
        time.sleep(_LOOK_S)
    return 0


def _source(ctx: Context, agent: str, *, runner: bool, transcript: bool, session: str | None) -> Source:
    if agent in ("router", "supervisor"):
        if transcript:
            raise UsageError(f"show the transcript of {agent!r}", "it has no session")
        path = ctx.layout.router_log if agent == "router" else ctx.layout.supervisor_log
        return Source(path=path, words=_records, by_line=True)
    select(read_roster(ctx.layout), doing="show the log of", names=(agent,), everyone=False, role=None)
    layout = ctx.layout.agent(agent)
    if transcript:
        return Source(path=_transcript(layout, session), words=_raw if ctx.json else _turns, by_line=True)
    if runner:
        return Source(path=layout.runner_log, words=_records, by_line=True)
    return Source(path=layout.session_log, words=lambda data: plain(_text(data)).splitlines(), by_line=False)


def _transcript(layout: AgentLayout, session: str | None) -> Path:
    """That of the conversation of now, or of a former one by its id (or by how its id begins). Raises FleetError."""
    doing = f"show the transcript of {layout.name!r}"
    known = _conversations(layout)
    wanted = session if session is not None else known[0] if known else None
    if wanted is None:
        raise FleetError(doing, "it has had no conversation yet", hint=f"start it: `fleet start {layout.name}`")
    if not _SESSION_ID.fullmatch(wanted):
        raise UsageError(doing, f"{wanted!r} is no id of a conversation")
    # The operator's own conversations may lie in the last of these.
    found = [
        *layout.claude_config.glob(f"projects/*/{wanted}*.jsonl"),
        *(layout.state / "archive" / "transcripts").glob(f"{wanted}*.jsonl"),
        *(p for p in (Path.home() / ".claude").glob(f"projects/*/{wanted}*.jsonl") if p.stem in known),
    ]
    exact = [path for path in found if path.stem == wanted]
    if len(exact or found) > 1:
        raise FleetError(doing, f"several begin with {wanted!r}", hint=", ".join(sorted(path.stem for path in found)))
    for path in exact or found:
        return path
    hint = f"known conversations: {', '.join(known)}" if known else ""
    raise FleetError(doing, f"conversation {wanted!r} has no transcript", hint=hint)


def _conversations(layout: AgentLayout) -> list[str]:
    """The ids of its conversations, that of now first."""
    try:
        record = json.loads(layout.session.read_bytes())
        former = [str(one["session_id"]) for one in record.get("former", ())]
        return [str(record["session_id"]), *reversed(former)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _follow(source: Source, size: int) -> int:
    """Prints what was added behind `size`; the new size. A rotated log is read from its beginning."""
    try:
        now = source.path.stat().st_size
    except FileNotFoundError:
        return 0
    start = size if now >= size else 0
    if now == start:
        return now
    with source.path.open("rb") as file:
        file.seek(start)
        data = file.read(now - start)
    if source.by_line and (end := data.rfind(b"\n") + 1) != len(data):
        data, now = data[:end], start + end
    for line in source.words(data):
        emit(line)
    return now


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _raw(data: bytes) -> list[str]:
    return [line for line in _text(data).split("\n") if line]


def _turns(data: bytes) -> list[str]:
    from relayfleet.harness.transcript_view import render_all

    return list(render_all(data.split(b"\n")))


def _records(data: bytes) -> list[str]:
    return [_record(line) for line in _text(data).splitlines()]


def _record(line: str) -> str:
    """One structured line in words, its time in local time."""
    try:
        record = json.loads(line)
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.pop("ts")))
        level, action, message = record.pop("level"), record.pop("action"), record.pop("message")
    except (ValueError, KeyError, AttributeError):
        return line
    rest = " ".join(f"{key}={value}" for key, value in record.items())
    return " ".join(part for part in (at, level, action, message, rest) if part)

"""`fleet approvals`: what sessions wait for a person for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from relayfleet.cli.context import Context
from relayfleet.cli.moment import shown
from relayfleet.cli.output import bold, clear, emit, emit_json, say
from relayfleet.client.approvals import Waiting, waiting
from relayfleet.config.roster import read_roster
from relayfleet.model.approval import FORM, QUESTION, labels_of
from relayfleet.model.duration import in_words
from relayfleet.model.turn import clean

_LOOK_AGAIN_S = 1.0
_MOST_LINES, _MOST_CHARACTERS = 60, 4000
Approval = Mapping[str, Any]


def run(ctx: Context, *, watch: bool) -> int:
    """--json: {"version": 1, "approvals": [{"id", "agent", "tool", "input", "entry": {"id", "item", "title"} | null,
    "since", "line"}]}, with --watch one such object a line whenever it changes."""
    if watch:
        _watch(ctx)
    found = waiting(ctx.layout, read_roster(ctx.layout))
    if ctx.json:
        emit_json(_as_json(found))
        return 0
    if not found.approvals:
        say("nobody is waited for")
    for approval in found.approvals:
        _show(approval)
    _tell_of_silent(found.silent)
    return 0


def _watch(ctx: Context) -> NoReturn:
    """Until it is interrupted. A terminal shows what there is; elsewhere a line is added for what comes and goes."""
    before: tuple[Approval, ...] = ()
    silent: tuple[str, ...] = ()
    first = True
    while True:
        found = waiting(ctx.layout, read_roster(ctx.layout))
        if first or found.approvals != before:
            if ctx.json:
                emit(json.dumps(_as_json(found)))
            elif sys.stdout.isatty():
                clear()
                _draw(found.approvals)
            else:
                _append(before, found.approvals)
            before = found.approvals
        if found.silent != silent:
            _tell_of_silent(found.silent)
            silent = found.silent
        first = False
        time.sleep(_LOOK_AGAIN_S)


def _draw(approvals: Sequence[Approval]) -> None:
    emit(f"{len(approvals)} waiting at {shown(time.time())} (Ctrl-C ends this)")
    for approval in approvals:
        _show(approval)


def _append(before: Sequence[Approval], now: Sequence[Approval]) -> None:
    old, new = {a["id"] for a in before}, {a["id"] for a in now}
    for approval in before:
        if approval["id"] not in new:
            emit(f"{shown(time.time())} {approval['id']} {approval['agent']}: no longer waiting")
    for approval in now:
        if approval["id"] not in old:
            _show(approval)


def _tell_of_silent(silent: Sequence[str]) -> None:
    for agent in silent:
        say(f"{agent}: its runner does not answer")


def _as_json(found: Waiting) -> dict[str, Any]:
    return {"version": 1, "approvals": list(found.approvals)}


def _show(approval: Approval) -> None:
    """Whatever the session or others wrote stands behind `| `: none of it can pass for a line of ours."""
    since = float(approval.get("since") or 0)
    tool = " ".join(clean(str(approval.get("tool"))).split())
    age = in_words(time.time() - since)
    emit(bold(f"{approval['id']}  {approval['agent']}") + f"  wants to use {tool}, since {shown(since)} ({age})")
    entry = approval.get("entry")
    if entry:
        title = " ".join(clean(str(entry.get("title") or "")).split())
        emit(f"  at entry {entry.get('id')}" + (f", {entry['item']}" if entry.get("item") else ""))
        if title:
            emit(f"    | {title}")
    for line in _lines(approval):
        emit(line)
    emit("  " + _how(approval))


def _lines(approval: Approval) -> Iterator[str]:
    given = approval.get("input")
    if approval.get("tool") == QUESTION and isinstance(given, Mapping) and isinstance(given.get("questions"), list):
        for question in given["questions"]:
            if isinstance(question, Mapping):
                yield from _quoted(str(question.get("question", "")))
                for number, label in enumerate(labels_of(question), 1):
                    yield from _quoted(f"  {number}. {label}")
        return
    for name, value in given.items() if isinstance(given, Mapping) else ():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield f"  {' '.join(clean(str(name)).split())}:"
        yield from _quoted(text)


def _quoted(text: str) -> Iterator[str]:
    lines = clean(text[:_MOST_CHARACTERS]).split("\n")
    for line in lines[:_MOST_LINES]:
        yield f"    | {line}"
    if len(lines) > _MOST_LINES or len(text) > _MOST_CHARACTERS:
        yield f"    (cut: it has {len(text)} characters; --json shows more)"


def _how(approval: Approval) -> str:
    name, agent = approval["id"], approval["agent"]
    if approval.get("tool") in (QUESTION, FORM):
        if approval.get("line") == "dialog":
            return f"only its own dialog is left: fleet attach {agent} --drive"
        return f"answer: fleet approve {name} --answer TEXT, or fleet deny {name}"
    return f"answer: fleet approve {name}, or fleet deny {name} --reason TEXT"

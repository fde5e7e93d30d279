"""`fleet inbox`: entries with their receipts."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit_json, say, table
from relayfleet.cli.selection import select
from relayfleet.config.roster import read_roster
from relayfleet.errors import UsageError
from relayfleet.model.entry import Entry
from relayfleet.model.receipt import Receipt, state_of
from relayfleet.model.turn import sender_of
from relayfleet.store.inbox import read_all_entries, read_entries
from relayfleet.store.receipts import read_all_receipts, read_receipts
from relayfleet.store.replies import read_replies


def run(ctx: Context, *, agent: str, limit: int, all: bool) -> int:
    """--json: {"version": 1, "entries": [{"id", "ts", "source", "body", "metadata", "state", "attempts", "via",
    "history": [{"state", "ts", "via", "attempt", "detail"}], "replies": [{"ts", "text"}]}]}; times in seconds, UTC."""
    if limit < 1:
        raise UsageError(f"show {limit} entries", "--limit is at least 1", hint="leave it out for the newest 50")
    select(read_roster(ctx.layout), doing="show the inbox of", names=(agent,), everyone=False, role=None)
    layout = ctx.layout.agent(agent)
    # Receipts first: what is archived in between is then left out as a whole.
    history: defaultdict[str, list[Receipt]] = defaultdict(list)
    for receipt in read_all_receipts(layout.receipts) if all else read_receipts(layout.receipts):
        history[receipt.id].append(receipt)
    entries = (read_all_entries(layout.inbox) if all else read_entries(layout.inbox))[-limit:]
    if ctx.json:
        replies: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for reply in read_replies(layout.state / "replies.jsonl"):
            replies[reply["entry"]].append({"ts": reply["ts"], "text": reply["text"]})
        shown = [_as_json(entry, history[entry.id], replies[entry.id]) for entry in entries]
        emit_json({"version": 1, "entries": shown})
        return 0
    if not entries:
        say(f"the inbox of {agent} is empty")
        return 0
    table(
        ("ID", "AT", "FROM", "STATE", "ATTEMPTS", "VIA", "TEXT"),
        [
            (
                entry.id,
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.ts)),
                sender_of(entry),
                _state_words(history[entry.id]),
                _attempts(history[entry.id]),
                _via(history[entry.id]) or "-",
                _summary(entry),
            )
            for entry in entries
        ],
    )
    return 0


def _as_json(entry: Entry, receipts: list[Receipt], replies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": entry.id,
        "ts": entry.ts,
        "source": entry.source,
        "body": entry.body,
        "metadata": dict(entry.metadata),
        "state": state_of(receipts),
        "attempts": _attempts(receipts),
        "via": _via(receipts),
        "history": [
            {"state": r.state, "ts": r.ts, "via": r.via, "attempt": r.attempt, "detail": r.detail} for r in receipts
        ],
        "replies": replies,
    }


def _attempts(receipts: list[Receipt]) -> int:
    return sum(1 for receipt in receipts if receipt.state == "offered")


def _via(receipts: list[Receipt]) -> str:
    return receipts[-1].via if receipts else ""


def _state_words(receipts: list[Receipt]) -> str:
    state = state_of(receipts)
    detail = receipts[-1].detail if receipts and state in ("failed", "dead") else ""
    return f"{state}: {detail[:60]}" if detail else state


def _summary(entry: Entry) -> str:
    if entry.source == "github":
        where = f"{entry.metadata.get('repo')}#{entry.metadata.get('number')} {entry.metadata.get('event')}"
        return f"{where}: {entry.metadata.get('title', '')}"[:80]
    return " ".join(entry.body.split())[:80]

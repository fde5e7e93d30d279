"""What is kept of one agent's approvals.

agents/<name>/state/approvals.jsonl: a line for what became of each, {"id", "ts", "state": "raised" | "decided" |
"withdrawn", "tool", "entry", "behaviour": "allow" | "deny" | null, "by", "reason"}. It says what was, never what waits:
that only a runner with the session's connection in its hand knows.

agents/<name>/state/permissions.json: the answers of `--always`, {"version": 1, "rules": [{"tool", "pattern", "do"}]},
each for one call to the letter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from relayfleet.errors import StorageFailed
from relayfleet.model.approval import ApprovalId
from relayfleet.model.names import EntryId
from relayfleet.model.permission import Rule
from relayfleet.ports.approval import Ruling
from relayfleet.store.files import make_private_folder, write_atomic
from relayfleet.store.lines import append_lines, read_lines

MOST_BYTES = 1024 * 1024
_VERSION = 1
_MAX_TEXT = 2000


class FileRulings:
    """Implements ports.Rulings. Only the runner of the agent writes here."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, ruling: Ruling) -> None:
        """Raises StorageFailed."""
        record = {
            "id": ruling.id,
            "ts": ruling.ts,
            "state": ruling.state,
            "tool": ruling.tool[:_MAX_TEXT],
            "entry": ruling.entry,
            "behaviour": ruling.behaviour,
            "by": ruling.by[:_MAX_TEXT],
            "reason": ruling.reason[:_MAX_TEXT],
        }
        append_lines(self._path, [json.dumps(record).encode() + b"\n"])
        if self._path.stat().st_size > MOST_BYTES:
            kept = self._path.read_bytes()[-MOST_BYTES // 2 :]
            write_atomic(self._path, kept[kept.find(b"\n") + 1 :])


def read_rulings(path: Path) -> Iterator[Ruling]:
    """In the order they were appended; lines that are none are passed over. Raises StorageFailed."""
    for line in read_lines(path):
        try:
            record = json.loads(line)
            yield Ruling(
                id=ApprovalId(str(record["id"])),
                ts=float(record["ts"]),
                state=record["state"],
                tool=str(record["tool"]),
                entry=EntryId(str(record["entry"])) if record.get("entry") else None,
                behaviour=record.get("behaviour"),
                by=str(record.get("by", "")),
                reason=str(record.get("reason", "")),
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            continue


class JsonRememberedRules:
    """Implements ports.RememberedRules. Only the runner of the agent writes here; a person may, while it is stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Sequence[Rule]:
        try:
            record = json.loads(self._path.read_bytes())
            if record.get("version") != _VERSION:
                return ()
            return tuple(_rule(one) for one in record["rules"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return ()

    def add(self, rule: Rule) -> None:
        """Raises StorageFailed, also when what is there cannot be read: it is not written over."""
        rules = list(self.load())
        if not rules and self._path.exists() and not _is_empty(self._path):
            raise StorageFailed(
                f"add to {str(self._path)!r}", "it cannot be read", hint="mend it, or move it out of the way"
            )
        made = [one for one in rules if (one.tool, one.pattern) != (rule.tool, rule.pattern)] + [rule]
        shown = [{"tool": one.tool, "pattern": one.pattern, "do": one.do} for one in made]
        make_private_folder(self._path.parent)
        write_atomic(self._path, json.dumps({"version": _VERSION, "rules": shown}, indent=1).encode() + b"\n")


def _rule(record: object) -> Rule:
    if not isinstance(record, dict) or record["do"] not in ("allow", "deny"):
        raise ValueError("not a rule")
    if not isinstance(record["tool"], str) or not isinstance(record["pattern"], str) or "*" in record["tool"]:
        raise ValueError("not a rule for one call")
    return Rule(tool=record["tool"], pattern=record["pattern"], do=record["do"], exact=True)


def _is_empty(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_bytes()) == {"version": _VERSION, "rules": []})
    except (OSError, ValueError, RecursionError):
        return False

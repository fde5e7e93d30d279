"""What an agent answered to its operator: agents/<name>/state/replies.jsonl, rotated and capped like a log.

Line: {"id", "ts", "entry", "text"}; `entry` is the id of the entry that is answered, `ts` in seconds, UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from relayfleet.errors import StorageFailed
from relayfleet.model.entry import new_entry_id
from relayfleet.model.names import EntryId
from relayfleet.store.files import make_private_folder
from relayfleet.store.lines import append_locked, lock_of, read_lines

MAX_BYTES = 2 * 1024 * 1024
KEEP = 3


def add_reply(path: Path, entry_id: EntryId, text: str, *, now: float) -> None:
    """Durable when it returns. At most KEEP older files of about MAX_BYTES stay beside it. Raises StorageFailed."""
    line = {"id": new_entry_id(), "ts": now, "entry": entry_id, "text": text}
    make_private_folder(path.parent)
    with lock_of(path):
        _rotate(path)
        append_locked(path, json.dumps(line).encode() + b"\n")


def read_replies(path: Path) -> Iterator[dict[str, Any]]:
    """Every reply that is kept, in order; lines that are none are passed over. Raises StorageFailed."""
    files = [list(read_lines(file)) for file in (path, *_older(path))]  # one that moves on meanwhile is read twice
    for line in dict.fromkeys(line for file in reversed(files) for line in file):
        try:
            record = json.loads(line)
        except ValueError:
            continue  # torn by a crash
        if isinstance(record, dict) and {"ts", "entry", "text"} <= record.keys():
            yield record


def _older(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}.{number}") for number in range(1, KEEP + 1)]


def _rotate(path: Path) -> None:
    try:
        if path.stat().st_size <= MAX_BYTES:
            return
        files = [path, *_older(path)]
        for newer, older in reversed(list(pairwise(files))):
            if newer.exists():
                newer.replace(older)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageFailed(f"rotate {str(path)!r}", error.strerror or str(error)) from error

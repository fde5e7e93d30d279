"""`fleet status -w`: on a terminal the same picture, drawn anew in its place; elsewhere a line for each change."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from relayfleet.cli.output import aligned, emit, safe
from relayfleet.cli.status import HEADERS, Seen, as_json, heads, row

_LOOK_S = 1.0
# What makes a change; the rest (ages, counts of what was polled) goes on by itself.
_KEYS = ("state", "pid", "reason", "detail", "inbox", "error", "down")
_Key = tuple[str, str]


def watch(look: Callable[[], Seen], *, as_lines: bool) -> None:
    """Until it is interrupted. `as_lines`: a JSON object per line."""
    drawn = 0
    known: dict[_Key, Mapping[str, Any]] = {}
    while True:
        seen = look()
        if as_lines or not sys.stdout.isatty():
            now = records(seen)
            for line in changes(known, now, as_json=as_lines, at=time.time()):
                emit(line)
            known = now
        else:
            drawn = _draw(picture(seen, *shutil.get_terminal_size()), above=drawn)
        time.sleep(_LOOK_S)


def records(seen: Seen) -> dict[_Key, Mapping[str, Any]]:
    """What there is to say of each, by its kind and name."""
    found: dict[_Key, Mapping[str, Any]] = {
        ("supervisor", "supervisor"): seen.supervisor,
        ("router", "router"): seen.router,
    }
    return found | {("agent", str(status.name)): as_json(status) for status in seen.agents}


def changes(
    before: Mapping[_Key, Mapping[str, Any]], now: Mapping[_Key, Mapping[str, Any]], *, as_json: bool, at: float
) -> list[str]:
    """A line for each that is new, changed or gone since `before`. `at` is in seconds, UTC."""
    lines = []
    for key in [*now, *(key for key in before if key not in now)]:
        old, new = before.get(key), now.get(key, {"state": "removed"})
        if old is not None and all(old.get(k) == new.get(k) for k in _KEYS):
            continue
        kind, name = key
        if as_json:
            lines.append(json.dumps({"version": 1, "ts": round(at, 3), "kind": kind, "name": name, **new}))
        else:
            lines.append(f"{time.strftime('%H:%M:%S', time.localtime(at))}  {name}: {_words(old, new)}")
    return lines


def _words(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    state = str(new["state"])
    if old is not None and old["state"] != state:
        state = f"{old['state']} -> {state}"
    why = [str(new[key]) for key in ("reason", "detail", "error") if new.get(key)]
    inbox = ", ".join(f"{count} {entries}" for entries, count in new.get("inbox", {}).items() if count)
    return state + (f" ({': '.join(why)})" if why else "") + (f" [{inbox}]" if inbox else "")


def picture(seen: Seen, columns: int, lines: int) -> list[str]:
    """As `fleet status` shows it, cut to the size of the terminal."""
    top = [f"{time.strftime('%H:%M:%S')}  {seen.fleet}", *(safe(line) for line in heads(seen))]
    rows = aligned(HEADERS, [row(status) for status in seen.agents]) if seen.agents else ["no agents yet"]
    room = max(2, lines - len(top) - 2)
    if len(rows) > room:
        rows = [*rows[: room - 1], f"... and {len(rows) - room + 1} more"]
    return [line[: max(1, columns - 1)] for line in (*top, *rows)]


def _draw(lines: list[str], *, above: int) -> int:
    """Over the `above` lines that were drawn last; how many there are now."""
    back = f"\x1b[{above}F" if above else ""
    sys.stdout.write(back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
    sys.stdout.flush()
    return len(lines)

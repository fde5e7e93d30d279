"""stdout is data, stderr is talk. Text is printed so that nothing in it can drive the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

_KEPT = {0x09, 0x0A}
# C0 and C1 controls, DEL, and the marks that turn text around (Unicode bidirectional controls).
_REPLACED = {c: "\ufffd" for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in _KEPT}
_REPLACED |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F), "\ufffd")


def safe(text: str) -> str:
    """`text` with everything replaced that a terminal would obey instead of show."""
    return text.translate(_REPLACED)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)


def emit(text: str) -> None:
    """One line of data."""
    _write(sys.stdout, safe(text))


def emit_styled(text: str) -> None:
    """One line of data whose colours are ours: everything else in it was made safe by whoever made it."""
    _write(sys.stdout, text)


def emit_json(value: object) -> None:
    _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=True, default=str))


def say(text: str) -> None:
    """One line of talk."""
    _write(sys.stderr, safe(text))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns; nothing is cut off, so that it can be piped."""
    for number, text in enumerate(aligned(headers, rows)):
        _write(sys.stdout, bold(text) if number == 0 else text)


def aligned(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table, the headers' first."""
    lines = [[safe(str(cell)).replace("\n", " ") for cell in row] for row in (headers, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def colour_wanted() -> bool:
    """NO_COLOR (no-color.org), a dumb terminal and a pipe all mean no."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour_wanted() else text


def clear() -> None:
    """Empties the terminal's screen."""
    print("\x1b[H\x1b[2J", end="", flush=True)


def progress(done: int, total: int, what: str) -> None:
    """A line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(f"\r\x1b[K{what} {done}/{total}", end=end, file=sys.stderr, flush=True)

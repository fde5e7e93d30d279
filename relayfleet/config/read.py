"""Reads one JSON file that a person wrote, and says what is wrong with it in words.

Beyond what `json.loads` refuses, duplicate keys are refused (the last one would win in silence), and so is text that no
argument, path or environment can hold: NUL and lone surrogates.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from relayfleet.config.secret import kind_of, looks_like_token, shown

MAX_BYTES = 1024 * 1024


class Unreadable(Exception):
    """`faults` are pairs of a JSON path (may be empty) and what is wrong there.

    `value` is what the file holds nevertheless, so that its other faults are found, too; None when that is unknown.
    """

    def __init__(self, *faults: tuple[str, str], value: dict[str, Any] | None = None) -> None:
        super().__init__(faults)
        self.faults = faults
        self.value = value


class _Object(dict[str, Any]):
    """An object that remembers which of its keys were given twice."""

    twice: tuple[str, ...] = ()


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. Raises FileNotFoundError, or Unreadable with every fault that was found."""
    text = _decode(_read_bounded(path))
    try:
        value = json.loads(text, object_pairs_hook=_collect, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}: "
        raise Unreadable(("", where + _words_for(error, text))) from None
    except RecursionError:
        raise Unreadable(("", "objects and lists are nested too deeply")) from None
    except ValueError as error:
        raise Unreadable(("", str(error))) from None
    if not isinstance(value, dict):
        raise Unreadable(("", f"must hold an object, not {kind_of(value)}"))
    faults: list[tuple[str, str]] = []
    try:
        _look_over(value, "", faults)
    except RecursionError:
        raise Unreadable(("", "objects and lists are nested too deeply")) from None
    if faults:
        raise Unreadable(*faults, value=value)
    return value


def join(path: str, key: str | int) -> str:
    """One step down in a JSON path: `watches[0].repo`, `env['A B']`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    plain = key.replace("_", "a").replace("-", "a").replace("$", "a").isalnum()
    if plain and len(key) <= 60 and not looks_like_token(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{shown(key)}]"


def _read_bounded(path: Path) -> bytes:
    try:
        # Not blocking: a pipe in the place of a file must not hang every command.
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is a folder, not a file" if path.is_dir() else f"cannot be read: {error.strerror}"
        raise Unreadable(("", what)) from None
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            raise Unreadable(("", "is a folder, not a file"))
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(("", "is not a regular file"))
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > MAX_BYTES:
        raise Unreadable(("", f"is larger than {MAX_BYTES // 1024} KiB"))
    return data


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(("", "is UTF-16, not UTF-8: save it as UTF-8"))
    try:
        # Editors on Windows put a byte order mark in front.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(("", f"line {line}: is not UTF-8: save it as UTF-8")) from None
    if not text.strip():
        raise Unreadable(("", "is empty"))
    return text


def _collect(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.twice = tuple(dict.fromkeys(k for k, _ in pairs if k in seen or seen.add(k)))  # type: ignore[func-returns-value]
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _words_for(error: json.JSONDecodeError, text: str) -> str:
    rest = text[error.pos :].lstrip()
    before = text[: error.pos].rstrip()
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments"
    if (before.endswith(",") and rest[:1] in ("}", "]")) or (rest.startswith(",") and rest[1:].lstrip()[:1] in "}]"):
        return "a comma stands before the closing bracket"
    return error.msg[:1].lower() + error.msg[1:]


def _look_over(value: object, path: str, faults: list[tuple[str, str]]) -> None:
    if isinstance(value, _Object):
        faults += [(path, f"key {shown(key)} is given twice") for key in value.twice]
        for key, inner in value.items():
            _look_over(key, path, faults)
            _look_over(inner, join(path, key), faults)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _look_over(inner, join(path, index), faults)
    elif isinstance(value, str):
        if "\0" in value:
            faults.append((path, "holds a NUL character"))
        elif any("\ud800" <= c <= "\udfff" for c in value):
            faults.append((path, "holds half a surrogate pair (\\ud800 to \\udfff)"))
    elif isinstance(value, float) and not math.isfinite(value):
        faults.append((path, "is a number beyond all bounds"))

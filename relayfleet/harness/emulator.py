"""A terminal's screen as cells, made from what a program printed. What the program asks of a terminal (its title, the
clipboard, the mouse, answers to queries) ends here: nothing but cells comes out."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import avt

Colour = int | tuple[int, int, int] | None  # an index of the palette, red-green-blue, or the terminal's own

# The emulator fails on narrower ones.
_LEAST_COLUMNS = 2
_FED_AT_ONCE = 4096
# A joined emoji takes the two columns of its first part. The selector that makes a narrow sign an emoji makes it two
# columns wide; the emulator has no such cell, so a blank follows the sign.
_JOINED = re.compile("\u200d.?|[\U0001f3fb-\U0001f3ff\u20e3]", re.S)
_EMOJI_SELECTOR = "\ufe0f"
_BRACKETED_PASTE = re.compile(rb"\x1b\[\?2004([hl])")
_LONGEST_SWITCH = 8


@dataclass(frozen=True, slots=True)
class Style:
    """How a cell is drawn."""

    foreground: Colour = None
    background: Colour = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underline: bool = False
    struck: bool = False
    inverse: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """`text` is one character that can be shown; `width` is 1 or 2, or 0 for the right half of a wide one."""

    text: str
    width: int
    style: Style


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where it stands, from 0, and whether it is shown."""

    row: int
    column: int
    visible: bool


Row = Sequence[Cell]


class Emulator:
    """`bracketed_paste` says whether the program asked for pasted text to be marked."""

    def __init__(self, rows: int, columns: int) -> None:
        self._size = rows, columns
        self.clear()

    def clear(self) -> None:
        """As at the program's start."""
        rows, columns = self._size
        self._vt = avt.Vt(max(columns, _LEAST_COLUMNS), max(rows, 1), 0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held_back = ""
        self._tail = b""
        self.bracketed_paste = False

    def resize(self, rows: int, columns: int) -> None:
        self._size = rows, columns
        self._vt.resize(max(columns, _LEAST_COLUMNS), max(rows, 1))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._size

    def feed(self, data: bytes) -> None:
        if switches := _BRACKETED_PASTE.findall(self._tail + data):
            self.bracketed_paste = switches[-1] == b"h"
        self._tail = (self._tail + data)[-_LONGEST_SWITCH:]
        text = self._held_back + self._decoder.decode(data)
        # What joins two signs may be the last of one piece and the first of the next.
        self._held_back = text[-1:] if text[-1:] == "\u200d" else ""
        for at in range(0, len(text), _FED_AT_ONCE):
            self._vt.feed_str(_with_plain_widths(text[at : at + _FED_AT_ONCE].removesuffix("\u200d")))

    @property
    def cursor(self) -> Cursor:
        at = self._vt.cursor
        rows, columns = self._size
        return Cursor(min(at.row, rows - 1), min(at.col, columns - 1), at.visible)

    def rows(self) -> list[Row]:
        """The whole screen, from the top."""
        return [[Cell(_shown(cell.char), cell.width, _style(cell.pen)) for cell in line.cells] for line in self._view()]

    def text(self) -> list[str]:
        """The rows as words, without what is blank at their ends."""
        return ["".join(cell.text for cell in row if cell.width).rstrip() for row in self.rows()]

    def _view(self) -> list[avt.Line]:
        return self._vt.view()[: self._size[0]]


def _with_plain_widths(text: str) -> str:
    """`text` of which every character takes the columns that the emulator gives it."""
    if text.isascii():
        return text
    text = _JOINED.sub("", text).replace(_EMOJI_SELECTOR, " ")
    return "".join(c for c in unicodedata.normalize("NFC", text) if not _takes_no_column(c))


@cache
def _takes_no_column(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me", "Cf", "Zl", "Zp") and character != "\xad"


@cache
def _shown(character: str) -> str:
    """The character, if a terminal shows it instead of obeying it."""
    return character if character == " " or unicodedata.category(character)[0] not in "CZ" else _blank(character)


def _blank(character: str) -> str:
    return " " if unicodedata.category(character) == "Zs" else "\ufffd"


def _style(pen: avt.Pen) -> Style:
    return _PLAIN if pen.is_default() else _style_of(pen)


_PLAIN = Style()


def _style_of(pen: avt.Pen) -> Style:
    return Style(
        foreground=_colour(pen.foreground),
        background=_colour(pen.background),
        bold=pen.bold,
        faint=pen.faint,
        italic=pen.italic,
        underline=pen.underline,
        struck=pen.strikethrough,
        inverse=pen.inverse,
    )


def _colour(colour: avt.Color | None) -> Colour:
    if isinstance(colour, avt.Color.RGB):
        return colour[0], colour[1], colour[2]
    return colour[0] if isinstance(colour, avt.Color.Indexed) else None

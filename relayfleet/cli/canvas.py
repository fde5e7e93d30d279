"""Draws cells on the user's terminal.

Everything that is written to it is made here, from a short list: cursor position (CUP, CHA), erase to the end of the
line (EL), colours and looks (SGR), and at the beginning and the end the alternate screen, the cursor and marked pastes.
"""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.harness.emulator import Cell, Cursor, Row, Style

ENTER, LEAVE = "\x1b[?1049h\x1b[2J", "\x1b[0m\x1b[?2004l\x1b[?25h\x1b[?1049l"
MARKED_PASTES, PLAIN_PASTES = "\x1b[?2004h", "\x1b[?2004l"
_SHOW_CURSOR, _HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
_PLAIN = Style()
_LOOKS = (("bold", 1), ("faint", 2), ("italic", 3), ("underline", 4), ("inverse", 7), ("struck", 9))


def sgr(style: Style, *, colours: bool = True) -> str:
    """Sets the terminal to `style`, whatever it was set to before."""
    codes = ["0", *(str(code) for name, code in _LOOKS if getattr(style, name))]
    if colours:
        for first, colour in ((38, style.foreground), (48, style.background)):
            if isinstance(colour, int):
                codes.append(f"{first};5;{colour}")
            elif colour is not None:
                codes.append(f"{first};2;{colour[0]};{colour[1]};{colour[2]}")
    return f"\x1b[{';'.join(codes)}m"


def draw_row(row: Row, *, columns: int, left: int = 0, colours: bool = True, placed: bool = True) -> str:
    """`columns` of the row from `left` on. `placed`: the cursor is set anew behind every character on whose width
    terminals differ, so that what follows stands where it should."""
    cells = list(row[left : left + columns])
    if cells and cells[0].width == 0:  # the left half of a wide one is cut off
        cells[0] = Cell(" ", 1, cells[0].style)
    if cells and cells[-1].width == 2:
        cells[-1] = Cell(" ", 1, cells[-1].style)
    while cells and cells[-1].text == " " and cells[-1].style == _PLAIN:
        cells.pop()
    parts, style = [], _PLAIN
    for number, cell in enumerate(cells):
        if cell.width == 0:
            continue
        if cell.style != style:
            style = cell.style
            parts.append(sgr(style, colours=colours))
        parts.append(cell.text)
        if placed and not cell.text.isascii() and number + cell.width < len(cells):
            parts.append(f"\x1b[{number + cell.width + 1}G")
    if style != _PLAIN:
        parts.append("\x1b[0m")
    if placed and len(cells) < columns:
        parts.append("\x1b[K")
    return "".join(parts)


class Canvas:
    """The user's window: the session's screen, cropped to it around the cursor, and a line below that says what is
    shown. Only rows that changed are drawn."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours
        self._drawn: list[str] = []

    def forget(self) -> None:
        """The window is another one now: everything is drawn anew."""
        self._drawn = []

    def draw(self, rows: Sequence[Row], cursor: Cursor, *, window: tuple[int, int], below: str) -> str:
        """What to write. `window` is rows and columns of the user's terminal; `below` is words that can be shown."""
        height, width = max(1, window[0] - 1), max(1, window[1])
        top = _first(cursor.row, len(rows), height)
        left = _first(cursor.column, max((len(row) for row in rows), default=0), width)
        lines = [draw_row(row, columns=width, left=left, colours=self._colours) for row in rows[top : top + height]]
        lines += ["\x1b[K"] * (height - len(lines))
        lines.append(f"\x1b[0;7m{below[:width]:<{width}}\x1b[0m")
        written = [
            f"\x1b[{number + 1};1H{line}"
            for number, line in enumerate(lines)
            if number >= len(self._drawn) or self._drawn[number] != line
        ]
        self._drawn = lines
        row, column = cursor.row - top, cursor.column - left
        shown = _SHOW_CURSOR if cursor.visible else _HIDE_CURSOR
        return _HIDE_CURSOR + "".join(written) + f"\x1b[{row + 1};{column + 1}H{shown}"


def _first(at: int, count: int, shown: int) -> int:
    """The first of `shown` out of `count`, so that `at` is among them: from the end where there is a choice of rows."""
    if count <= shown:
        return 0
    return min(max(0, at - shown + 1), count - shown)

"""What is written to the user's terminal for a screen of cells, and where a draft is read off it."""

from __future__ import annotations

import pytest

from relayfleet.cli.canvas import Canvas, draw_row
from relayfleet.harness.composer import composer_of
from relayfleet.harness.emulator import Emulator

RULE = "─" * 40


def screen(text: str, *, rows: int = 6, columns: int = 40) -> Emulator:
    made = Emulator(rows, columns)
    made.feed(text.replace("\n", "\r\n").encode())
    return made


def test_only_rows_that_changed_are_drawn() -> None:
    made, canvas = screen("one\ntwo"), Canvas(colours=True)
    first = canvas.draw(made.rows(), made.cursor, window=(7, 40), below="below")
    assert first.startswith("\x1b[?25l\x1b[1;1Hone\x1b[K\x1b[2;1Htwo\x1b[K")
    assert f"\x1b[7;1H\x1b[0;7m{'below':<40}\x1b[0m\x1b[2;4H\x1b[?25h" in first
    made.feed(b"!")
    assert canvas.draw(made.rows(), made.cursor, window=(7, 40), below="below") == (
        "\x1b[?25l\x1b[2;1Htwo!\x1b[K\x1b[2;5H\x1b[?25h"
    )
    canvas.forget()
    assert "one" in canvas.draw(made.rows(), made.cursor, window=(7, 40), below="below")


def test_a_small_window_shows_the_part_with_the_cursor() -> None:
    made = screen("\n".join(f"row {n}" for n in range(6)) + " " * 20 + "end")
    drawn = Canvas(colours=True).draw(made.rows(), made.cursor, window=(3, 10), below="a long line below")
    assert "row 3" not in drawn and drawn.count("\x1b[K") >= 1
    assert "end" in drawn
    assert "a long lin\x1b[0m" in drawn


def test_wide_signs_are_followed_by_where_the_cursor_has_to_be_and_never_cut_in_half() -> None:
    (row, *_) = screen("a漢b").rows()
    assert draw_row(row, columns=40) == "a漢\x1b[4Gb\x1b[K"
    assert draw_row(row, columns=40, placed=False) == "a漢b"
    assert draw_row(row, columns=2) == "a\x1b[K"
    assert draw_row(row, columns=3, left=2) == " b\x1b[K"


def test_colours_are_set_from_nothing_each_time_and_can_be_left_out() -> None:
    (row, *_) = screen("\x1b[1;31mA\x1b[0mB\x1b[48;2;1;2;3m \x1b[0m").rows()
    assert draw_row(row, columns=40, placed=False) == "\x1b[0;1;38;5;1mA\x1b[0mB\x1b[0;48;2;1;2;3m \x1b[0m"
    assert draw_row(row, columns=40, colours=False, placed=False) == "\x1b[0;1mA\x1b[0mB\x1b[0m \x1b[0m"


@pytest.mark.parametrize(
    ("text", "composer"),
    [
        (f"said\n{RULE}\n❯\xa0\n{RULE}\nhint", "empty"),
        (f"said\n{RULE}\n❯\xa0\x1b[7m \x1b[0m\n{RULE}", "empty"),
        (f"{RULE}\n❯\xa0\x1b[2mTry this\x1b[0m\n{RULE}", "empty"),
        (f"{RULE}\n❯\xa0half\n{RULE}", "text"),
        (f"{RULE}\n❯\xa0\n  two\n{RULE}", "text"),
        (f"{RULE}\n!\xa0\n{RULE}", "text"),
        (f"{RULE}\n Do it?\n ❯ 1. Yes\n", "unknown"),
        (f"{RULE}\nwords\n{RULE}", "unknown"),
        (f"{RULE}\n{RULE}", "unknown"),
        ("scripted session", "unknown"),
        (f"{RULE}\n❯ a quote\n{RULE}\n{RULE}\n❯\xa0\n{RULE}", "empty"),
    ],
)
def test_what_stands_in_the_composer(text: str, composer: str) -> None:
    assert composer_of(screen(text).rows()) == composer

"""What a program printed, as cells: nothing but signs that a terminal shows."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.harness.emulator import Emulator, Style


def screen(data: bytes, *, rows: int = 4, columns: int = 20) -> Emulator:
    made = Emulator(rows, columns)
    made.feed(data)
    return made


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("plain", "plain"),
        ("a漢字b😀c", "a漢字b😀c"),
        ("e\u0301|", "é|"),
        ("x\u0302|", "x|"),
        ("\u2764\ufe0f|", "❤ |"),
        ("👨\u200d👩\u200d👧|", "👨|"),
        ("👍🏽|", "👍|"),
        ("1\ufe0f\u20e3|", "1 |"),
        ("🇩🇪|", "🇩🇪|"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("a\x1b]52;c;aGk=\x07b", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bP$qm\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\d\x1bXz\x1b\\e", "abcde"),
        ("a\x9b31mb\x9d0;t\x9cc\x90q\x9cd", "abcd"),
        ("a\x1b[>1u\x1b[<u\x1b[?1003hb\x1b[6n\x1b[cc", "abc"),
        ("a\ue000b", "a\ufffdb"),
    ],
)
def test_what_is_shown(printed: str, shown: str) -> None:
    assert screen(printed.encode()).text()[0] == shown


def test_signs_and_sequences_may_come_in_pieces() -> None:
    whole = "a漢\x1b[31m😀\x1b[?2004h👨\u200d👩|".encode()
    for at in range(len(whole)):
        made = Emulator(2, 20)
        made.feed(whole[:at])
        made.feed(whole[at:])
        assert made.text()[0] == "a漢😀👨|", at
        assert made.bracketed_paste


def test_looks_and_places() -> None:
    made = screen(b"\x1b[2;3H\x1b[1;4;31mA\x1b[0;2;7;38;2;1;2;3;48;5;200mB\x1b[?25l")
    row = made.rows()[1]
    assert row[2].style == Style(foreground=1, bold=True, underline=True)
    assert row[3].style == Style(foreground=(1, 2, 3), background=200, faint=True, inverse=True)
    assert (made.cursor.row, made.cursor.column, made.cursor.visible) == (1, 4, False)
    made.clear()
    assert made.text() == [""] * 4 and not made.bracketed_paste


def test_a_window_that_changes_keeps_its_rows_and_columns() -> None:
    made = screen(b"x" * 19 + b"\x1b[2J\x1b[Hhello")
    for rows, columns in ((1, 2), (1, 1), (60, 200), (4, 20)):
        made.resize(rows, columns)
        assert len(made.rows()) == rows
        assert made.cursor.row < rows and made.cursor.column < columns


_FRAGMENTS = st.sampled_from(
    [
        "\x1b[",
        "\x1b]",
        "\x1bP",
        "\x1b",
        "?1049h",
        ";",
        ":",
        "38:2:",
        "5",
        "65535",
        "99999999999",
        "r",
        "H",
        "J",
        "L",
        "M",
        "P",
    ]
    + [
        "@",
        "X",
        "S",
        "T",
        "b",
        "d",
        "m",
        "h",
        "\x9b",
        "\x9c",
        "\x1bc",
        "\x1b7",
        "\x1b8",
        "\x1b#8",
        "\x1b(0",
        "\x0e",
        "\n",
        "\t",
    ]
    + ["漢", "😀", "\u0301", "\u200d", "\ufe0f", "\u202e", "a", "\r", "\x08", "\x1bM", "8;5;5t"]
)


@given(st.lists(st.one_of(_FRAGMENTS.map(str.encode), st.binary(max_size=8)), max_size=60), st.integers(2, 12))
def test_whatever_is_printed_only_signs_come_out(pieces: list[bytes], columns: int) -> None:
    made = Emulator(3, columns)
    for piece in pieces:
        made.feed(piece)
    for row in made.rows():
        assert len(row) == columns
        for cell in row:
            assert cell.text == " " or unicodedata.category(cell.text)[0] not in "CZM"

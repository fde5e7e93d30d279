"""One file: encodings, syntax, size, and what else can stand in the place of a file."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relayfleet.config.read import MAX_BYTES, Unreadable, join, read_object


def faults_of(path: Path) -> list[str]:
    with pytest.raises(Unreadable) as caught:
        read_object(path)
    return [f"{where}: {what}" if where else what for where, what in caught.value.faults]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"[]", "must hold an object, not a list"),
        (b"null", "must hold an object, not null"),
        (b'"x"', "must hold an object, not text"),
        (b"12", "must hold an object, not a number"),
        (b"true", "must hold an object, not true or false"),
        (b'{"a": 1,}', "line 1 column 9: a comma stands before the closing bracket"),
        (b'{\n  "a": [1, 2,],\n}', "line 2 column 14: a comma stands before the closing bracket"),
        (b'{\n  // why\n  "a": 1\n}', "line 2 column 3: JSON has no comments"),
        (b"# why\n{}", "line 1 column 1: JSON has no comments"),
        (b'{"a": 1', "line 1 column 8: expecting ',' delimiter"),
        (b"{'a': 1}", "line 1 column 2: expecting property name enclosed in double quotes"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "a: is a number beyond all bounds"),
        (b'{"a": 1, "b": {"c": 1}, "a": 2}', "key 'a' is given twice"),
        (b'{"b": {"c": [{"d": 1, "d": 2}]}}', "b.c[0]: key 'd' is given twice"),
        (b'{"a": ["x\\u0000y"]}', "a[0]: holds a NUL character"),
        (b'{"a": "\\ud800"}', "a: holds half a surrogate pair (\\ud800 to \\udfff)"),
        (b'{"a": "x"}\xff', "line 1: is not UTF-8: save it as UTF-8"),
        (b'{\n"a": "\xe4"}', "line 2: is not UTF-8: save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is UTF-16, not UTF-8: save it as UTF-8"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "objects and lists are nested too deeply"),
        (b'{"a": "' + b"x" * MAX_BYTES + b'"}', "is larger than 1024 KiB"),
    ],
)
def test_says_what_is_wrong(tmp_path: Path, data: bytes, fault: str) -> None:
    path = tmp_path / "fleet.json"
    path.write_bytes(data)
    assert fault in faults_of(path)[-1]


def test_takes_the_byte_order_mark_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    path.write_bytes('\ufeff{"name": "ä"}\r\n'.encode())
    assert read_object(path) == {"name": "ä"}


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    assert faults_of(tmp_path) == ["is a folder, not a file"]


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "fleet.json")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_in_its_place_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fleet.json")
    assert faults_of(tmp_path / "fleet.json") == ["is not a regular file"]


def test_every_duplicate_is_named_and_the_value_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    path.write_text('{"a": 1, "a": 2, "b": {"c": 1, "c": 2}}')
    with pytest.raises(Unreadable) as caught:
        read_object(path)
    assert caught.value.faults == (("", "key 'a' is given twice"), ("b", "key 'c' is given twice"))
    assert caught.value.value == {"a": 2, "b": {"c": 2}}


def test_paths_quote_what_is_not_a_word() -> None:
    assert join(join(join("", "env"), "A B"), 3) == "env['A B'][3]"
    assert join("a", "") == "a['']"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(value=st.dictionaries(st.text(), json_values), data=st.data())
def test_reads_what_json_wrote_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, object], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("read") / "x.json"
    text = json.dumps(value)
    path.write_text(text)
    try:
        assert read_object(path) == value
    except Unreadable as error:
        assert error.faults
        assert "\\u0000" in text or "\\ud" in text
    cut = data.draw(st.integers(0, len(text) - 1))
    path.write_text(text[:cut])
    with pytest.raises(Unreadable):
        read_object(path)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_hostile_bytes_never_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("read") / "x.json"
    path.write_bytes(data)
    try:
        read_object(path)
    except Unreadable as error:
        assert all(what for _, what in error.faults)

"""A name becomes a folder, a socket and later a container: what could hurt there is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.names import MAX_LENGTH, RESERVED, fault_of_name
from relayfleet.store.sockets import sockets_of


@pytest.mark.parametrize("name", ["a", "wms-coder", "x1_y2-z3", "a" * MAX_LENGTH])
def test_names_that_are_taken(name: str) -> None:
    assert fault_of_name(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("a" * (MAX_LENGTH + 1), "at most 40"),
        ("..", "made of"),
        ("a/b", "made of"),
        ("-x", "made of"),
        ("x-", "made of"),
        ("x--y", "made of"),
        ("Coder", "made of"),
        ("1st", "made of"),
        ("a\n", "made of"),
        ("a\0b", "made of"),
        ("é", "made of"),
        ("con", "reserved"),
        ("router", "reserved"),
        ("operator", "reserved"),
    ],
)
def test_names_that_are_refused(name: str, reason: str) -> None:
    fault = fault_of_name(name)
    assert fault is not None
    assert reason in fault


@given(st.one_of(st.text(max_size=50), st.sampled_from(sorted(RESERVED))))
def test_a_name_that_is_taken_is_a_plain_file_name_of_ascii(name: str) -> None:
    if fault_of_name(name) is None:
        assert name.isascii()
        assert name.replace("-", "").replace("_", "").isalnum()
        assert name not in RESERVED


def test_the_longest_name_still_has_room_for_its_sockets() -> None:
    longest = sockets_of("f" * 16).control("a" * MAX_LENGTH)
    assert len(str(longest).encode()) <= 103, "macOS takes 104 bytes with the final NUL"

"""Tokens by which a session and its runner know each other."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from relayfleet.wire.token import is_token


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_it_says_what_the_library_says(one: bytes, other: bytes) -> None:
    assert is_token(one, other) == hmac.compare_digest(one, other)
    assert is_token(one, one)


def test_leading_zeros_and_lengths_count() -> None:
    assert not is_token(b"\0a", b"a")
    assert not is_token(b"", b"a")

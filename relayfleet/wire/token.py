"""Tokens by which a session and its runner know each other."""

from __future__ import annotations


def is_token(given: bytes, token: bytes) -> bool:
    """Whether `given` is `token`, in a time that says nothing about where they differ.

    As `hmac.compare_digest` does it; but what that module loads would cost every runner half a megabyte.
    """
    if len(given) != len(token):
        return False
    return int.from_bytes(given, "big") ^ int.from_bytes(token, "big") == 0

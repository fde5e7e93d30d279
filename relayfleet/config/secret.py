"""Recognises what looks like a secret, so that it is never printed and `fleet doctor` can point at it."""

from __future__ import annotations

import re

# The published prefixes: Anthropic keys, GitHub tokens (classic, fine-grained, app), AWS key ids, Slack tokens, PEM.
_TOKEN = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{8,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}"
    r"|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SHOWN_CHARS = 60


def looks_like_token(text: str) -> bool:
    return _TOKEN.search(text) is not None


def shown(value: object) -> str:
    """`value` as an error message may quote it: short, and without anything that looks like a token."""
    if isinstance(value, str):
        if looks_like_token(value):
            return "'(hidden: it looks like a token)'"
        return repr(value if len(value) <= _SHOWN_CHARS else value[: _SHOWN_CHARS - 3] + "...")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)[:_SHOWN_CHARS]
    return kind_of(value)


def kind_of(value: object) -> str:
    """What JSON calls it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list | tuple) else "an object"

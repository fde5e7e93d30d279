"""Asks before something that cannot be taken back."""

from __future__ import annotations

import sys

from relayfleet.cli.output import say
from relayfleet.errors import UsageError


def confirmed(question: str, *, doing: str) -> bool:
    """The answer of the person at the terminal. Raises UsageError when there is none."""
    if not sys.stdin.isatty():
        raise UsageError(doing, "nobody is here to be asked", hint="--yes does not ask")
    say(f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")

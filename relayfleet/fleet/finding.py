"""What `fleet doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`subject` is what was looked at, `fix` what to do about it. `broken` means that something cannot work."""

    level: Level
    subject: str
    what: str
    fix: str


def ok(subject: str, what: str) -> Finding:
    return Finding(level="ok", subject=subject, what=what, fix="nothing to do")


def warning(subject: str, what: str, fix: str) -> Finding:
    return Finding(level="warning", subject=subject, what=what, fix=fix)


def broken(subject: str, what: str, fix: str) -> Finding:
    return Finding(level="broken", subject=subject, what=what, fix=fix)

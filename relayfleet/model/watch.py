"""A watch: one query that the router runs again and again."""

from __future__ import annotations

from dataclasses import dataclass

from relayfleet.model.event import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """`filter` is written as the flags of `gh issue list` / `gh pr list` / `gh run list`; see `model/filter.py`."""

    name: str
    kind: Kind
    repo: str
    filter: str = ""
    poll_sec: float = 240.0

"""A watch: one query that the router runs again and again, and how far it has read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from relayfleet.model.event import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """`filter` is written as the flags of `gh issue list` / `gh pr list` / `gh run list`; see `model/filter.py`."""

    name: str
    kind: Kind
    repo: str
    filter: str = ""
    poll_sec: float = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a watch has read. There is none before its first poll, which is a silent snapshot.

    `mark` (issues, pulls): everything that GitHub updated up to this time was read after it had settled. For runs: the
    creation time of the newest run. `etags` (runs) are by URL path. `open_runs` are ids of runs that had not ended.
    """

    mark: str = ""
    etags: Mapping[str, str] = field(default_factory=dict)
    open_runs: tuple[int, ...] = ()


def fingerprint_of(watch: Watch) -> str:
    """Changes when the watch comes to look at something else: it then starts anew, with a silent snapshot."""
    parts = "\n".join((watch.kind, watch.repo.casefold(), watch.filter))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]

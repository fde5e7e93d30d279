"""A watch: one view of a repository that the router keeps up, and how far a repository was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from relayfleet.model.item import Kind, address_of, split_address

Lane = Literal["items", "runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """`repo` is OWNER/NAME, or HOST/OWNER/NAME away from github.com. `filter` is written as the flags of `gh issue
    list`, `gh pr list` or `gh run list`; see `model/filter.py`."""

    name: str
    kind: Kind
    repo: str
    filter: str = ""
    poll_sec: float = 240.0


@dataclass(frozen=True, slots=True)
class Feed:
    """What is read for all watches of one repository together. Issues and pull requests come by one way, and runs by
    another, each with a budget of its own. `repo` is OWNER/NAME in lower case."""

    host: str
    repo: str
    lane: Lane

    @property
    def key(self) -> str:
        return f"{self.lane}:{address_of(self.host, self.repo)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one kind of item of a repository was read.

    `mark` (issues, pulls): everything that GitHub updated up to this time was read after it had settled. For runs it
    is the creation time of the newest run that had settled. `settled_at` is GitHub's time at the last look, less what
    its answers take to settle. `count` is how many items there were then, and `recent` the ids of those that were just
    made: so a count that is smaller than it must be tells that something was deleted. `began` is `settled_at` of the
    first look (empty: not known): what is known from before it, another feed remembered. `etags` are by URL path, and
    `open_runs` the status of runs that had not ended, by id. `unshown` are items that GitHub fails to show, which are
    read around, by node id: each with the time up to which it had been read.
    """

    mark: str = ""
    settled_at: str = ""
    count: int = 0
    recent: tuple[str, ...] = ()
    began: str = ""
    etags: Mapping[str, str] = field(default_factory=dict)
    open_runs: Mapping[int, str] = field(default_factory=dict)
    unshown: Mapping[str, str] = field(default_factory=dict)


def feed_of(watch: Watch) -> Feed:
    host, repo = split_address(watch.repo)
    return Feed(host, repo.casefold(), "runs" if watch.kind == "runs" else "items")


def fingerprint_of(watch: Watch) -> str:
    """Changes when the watch comes to look at something else: it then starts anew, with a silent snapshot."""
    parts = "\n".join((watch.kind, watch.repo.casefold(), watch.filter))
    return hashlib.sha256(parts.encode()).hexdigest()[:16]

"""How a person names an item, or all items of a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass

from relayfleet.model.item import address_of

_URL = re.compile(
    r"https?://([^/\s]+)/([^/\s]+/[^/\s]+)/(?:(?:issues|pull)/|actions/runs/)([0-9]{1,18})(?:[/?#].*)?", re.I
)
_WORDS = re.compile(r"((?:[^/#\s]+/)?[^/#\s]+/[^/#\s]+)(?:#([0-9]{1,18}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemName:
    """`repo` is OWNER/NAME, or HOST/OWNER/NAME away from github.com. Without `number`, all of the repository is meant;
    a run's number is its id."""

    repo: str
    number: int | None = None


def parse_item_name(text: str) -> ItemName:
    """`acme/WMS#41`, `acme/WMS`, `ghe.acme.test/acme/WMS#41`, or the URL of an issue, a pull request or a run. Raises
    ValueError."""
    url = _URL.fullmatch(text.strip())
    if url is not None:
        return ItemName(repo=address_of(url[1].lower(), url[2]), number=int(url[3]))
    words = _WORDS.fullmatch(text.strip())
    if words is None:
        raise ValueError("write OWNER/NAME#NUMBER, OWNER/NAME, or the URL of an issue, a pull request or a run")
    return ItemName(repo=words[1], number=int(words[2]) if words[2] else None)

"""What an agent wrote on GitHub, told from the `gh` calls of its session. Pure.

One line of agents/<name>/state/authored.jsonl is {"at", "url"} for something that a call made (a comment, a review, an
item), or {"at", "repo", "number"} for an item that a call changed; `repo` is OWNER/NAME, empty when the call did not
name it; `at` is seconds since the epoch, UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from relayfleet.model.entry import seconds

_MOST_TEXT = 200_000
_CALL = re.compile(r"(?<![\w./-])(?:\S*/)?gh\s+(issue|pr|api)\b([^\n;&|]*)")
_CHANGING = frozenset(
    {
        "create", "comment", "review", "edit", "close", "reopen", "merge", "ready", "lock", "unlock", "pin", "unpin",
        "transfer", "delete", "develop", "update-branch",
    }
)  # fmt: skip
_WRITES = re.compile(
    r"(?:-X|--method)[ =]?\s*(?:POST|PUT|PATCH|DELETE)\b|\s(?:-f|-F|--field|--raw-field|--input)\b", re.I
)
_ITEM = r"https://[A-Za-z0-9.-]+(?::[0-9]+)?/([A-Za-z0-9-]+/[A-Za-z0-9._-]+)/(?:issues|pull)/([0-9]+)"
_URL = re.compile(_ITEM + r"(#(?:issuecomment|discussion_r|pullrequestreview)-?[0-9]+)?")
_SHORT = re.compile(r"(?:([A-Za-z0-9-]+/[A-Za-z0-9._-]+))?#([0-9]{1,9})\b")
_REPO = re.compile(r"(?:-R|--repo)[ =]\s*(?:[A-Za-z0-9.-]+/)?([A-Za-z0-9-]+/[A-Za-z0-9._-]+)(?![\w/])")
_NUMBER = re.compile(r"(?:^|\s)([0-9]{1,9})(?=\s|$)")
_API_ITEM = re.compile(r"repos/([A-Za-z0-9-]+/[A-Za-z0-9._-]+)/(?:issues|pulls)/([0-9]+)")
_API_NEW = re.compile(r"repos/[A-Za-z0-9-]+/[A-Za-z0-9._-]+/(?:issues|pulls)(?=[\s'\"?]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    at: float
    url: str = ""
    repo: str = ""
    number: int = 0


def writings_in(command: str, output: str, *, at: float) -> tuple[Writing, ...]:
    """What a shell command of the session wrote, by the command and by what it printed.

    Reading prints addresses, too: nothing is taken from a command that holds no writing call of `gh`.
    """
    calls = [(one[1], one[2]) for one in _CALL.finditer(command[:_MOST_TEXT])]
    writing = [(noun, rest) for noun, rest in calls if _is_writing(noun, rest)]
    if not writing:
        return ()
    made = any(_makes_item(noun, rest) for noun, rest in writing)
    urls: dict[str, None] = {}
    touched: dict[tuple[str, int], None] = {}
    for found in _URL.finditer(output[:_MOST_TEXT]):
        touched[found[1], int(found[2])] = None
        if found[3] or made:
            urls[found[0]] = None
    for noun, rest in writing:
        touched.update(dict.fromkeys(_named(noun, rest)))
    for found in _SHORT.finditer(output[:_MOST_TEXT]):
        touched[found[1] or "", int(found[2])] = None
    return (
        *(Writing(at=at, url=url) for url in urls),
        *(Writing(at=at, repo=repo, number=number) for repo, number in touched),
    )


def encode_writing(writing: Writing) -> bytes:
    if writing.url:
        return json.dumps({"at": writing.at, "url": writing.url}).encode() + b"\n"
    return json.dumps({"at": writing.at, "repo": writing.repo, "number": writing.number}).encode() + b"\n"


def decode_writing(line: bytes | str) -> Writing | None:
    """None when the line is not one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    url, repo, number = record.get("url", ""), record.get("repo", ""), record.get("number", 0)
    if not isinstance(url, str) or not isinstance(repo, str) or not isinstance(number, int):
        return None
    return Writing(at=seconds(record.get("at")), url=url, repo=repo, number=number) if url or number else None


def _is_writing(noun: str, rest: str) -> bool:
    if noun == "api":
        return bool(_WRITES.search(f" {rest}")) and ("graphql" not in rest or "mutation" in rest)
    return next(iter(rest.split()), "") in _CHANGING


def _makes_item(noun: str, rest: str) -> bool:
    return bool(_API_NEW.search(rest)) if noun == "api" else next(iter(rest.split()), "") == "create"


def _named(noun: str, rest: str) -> Iterable[tuple[str, int]]:
    """The items that a call names."""
    yield from ((found[1], int(found[2])) for found in (*_URL.finditer(rest), *_API_ITEM.finditer(rest)))
    if noun != "api":
        repo = _REPO.search(rest)
        number = _NUMBER.search(rest)
        if number:
            yield (repo[1] if repo else ""), int(number[1])

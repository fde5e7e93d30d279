"""Who may do what without being asked: the policy of one agent, decided. Pure.

A rule names a tool and, if it likes, a pattern over that tool's main input (`*` stands for anything). The first rule
that matches decides; where none does, a person is asked. Patterns fail closed, each in its own direction: an `allow`
pattern has to cover the whole of a plain command, while `deny` and `ask` patterns match when any part fits.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Act = Literal["allow", "deny", "ask"]
OnTimeout = Literal["deny", "allow"]

# The one input that a rule's pattern is about.
_MAIN_INPUT: Mapping[str, str] = {
    "Bash": "command",
    "PowerShell": "command",
    "Edit": "file_path",
    "MultiEdit": "file_path",
    "Write": "file_path",
    "Read": "file_path",
    "NotebookEdit": "notebook_path",
    "WebFetch": "url",
    "WebSearch": "query",
    "Skill": "skill",
}
# Anything by which a shell would run, write or expand more than the one command that is seen. Quoting is not
# understood: what stands in quotes counts, too.
_SHELL = re.compile(r"[;&|<>`$\\(){}\x00-\x1f\x7f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`tool` may hold `*` (`mcp__github__*`). `exact`: `pattern` is the main input itself, shell operators and all."""

    tool: str
    do: Act
    pattern: str | None = None
    exact: bool = False

    def __str__(self) -> str:
        return f"{self.do} {self.tool}" + (f"({self.pattern})" if self.pattern is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """`timeout_s` None waits for ever; else `on_timeout` answers what nobody answered in that time."""

    timeout_s: float | None = None
    on_timeout: OnTimeout = "deny"
    rules: tuple[Rule, ...] = ()


def main_input(tool: str, given: Mapping[str, Any]) -> str:
    """What a pattern for this tool is about; of a tool that is not known here, all of its input as JSON with sorted
    keys."""
    value = given.get(_MAIN_INPUT.get(tool, ""))
    return value if isinstance(value, str) else json.dumps(given, sort_keys=True, ensure_ascii=False, default=str)


def first_match(rules: Iterable[Rule], tool: str, given: Mapping[str, Any]) -> Rule | None:
    """The rule that decides on this call of a tool, None when none says anything of it."""
    return next((rule for rule in rules if matches(rule, tool, given)), None)


def judge(
    rules: Sequence[Rule], remembered: Sequence[Rule], tool: str, given: Mapping[str, Any]
) -> tuple[Act, Rule | None]:
    """What is to be done, and by which rule. `remembered` are answers that a person gave once and for all: they stand
    in for an `ask`, and never for a `deny`."""
    rule = first_match(rules, tool, given)
    if rule is not None and rule.do != "ask":
        return rule.do, rule
    kept = first_match(remembered, tool, given)
    return (kept.do, kept) if kept is not None else ("ask", rule)


def exact_rule(tool: str, given: Mapping[str, Any], do: Act) -> Rule:
    """The rule for this very call, and no other."""
    return Rule(tool=tool, do=do, pattern=main_input(tool, given), exact=True)


def matches(rule: Rule, tool: str, given: Mapping[str, Any]) -> bool:
    if not _covers_all(rule.tool, tool):
        return False
    if rule.pattern is None:
        return True
    text = main_input(tool, given)
    if rule.exact:
        return text == rule.pattern
    if rule.do == "allow":
        return _covers(rule.pattern, tool, given, text)
    return _finds(rule.pattern, tool, text)


def _covers(pattern: str, tool: str, given: Mapping[str, Any], text: str) -> bool:
    """Whether the pattern speaks of all that the call does."""
    key = _MAIN_INPUT.get(tool)
    if key is None or not isinstance(given.get(key), str):
        return False  # what it would do with the rest of its input is not known here
    if key == "command" and _SHELL.search(text):
        return False
    if key.endswith("_path"):
        text = text.replace("\\", "/")
        if ".." in text.split("/"):
            return False
    return not _CONTROL.search(text) and _covers_all(pattern, text)


def _finds(pattern: str, tool: str, text: str) -> bool:
    """Whether any part of the call fits: from the start of any word on, in whatever case, however it is spaced."""
    texts = [text]
    if _MAIN_INPUT.get(tool, "").endswith("_path"):
        texts.append(posixpath.normpath(text.replace("\\", "/")))
    return any(_is_in(_plain(pattern), _plain(one)) for one in texts)


def _plain(text: str) -> str:
    return _BLANKS.sub(" ", text).casefold()


def _is_in(pattern: str, text: str) -> bool:
    first, *rest = pattern.split("*")
    start = text.find(first)
    while start > 0 and first and _is_word(text[start - 1]) and _is_word(first[0]):
        start = text.find(first, start + 1)
    if start < 0:
        return False
    return _in_order(rest, text, start + len(first)) is not None


def _covers_all(pattern: str, text: str) -> bool:
    """A glob in which `*` alone is special. Each piece is taken where it comes first: time grows with the text alone,
    whatever a session makes of it."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    last = rest.pop()
    if not text.startswith(first) or not text.endswith(last):
        return False
    end = _in_order(rest, text, len(first))
    return end is not None and end + len(last) <= len(text)


def _in_order(pieces: Sequence[str], text: str, start: int) -> int | None:
    """Where the last of the pieces ends, None when they do not stand in this order."""
    for piece in pieces:
        found = text.find(piece, start)
        if found < 0:
            return None
        start = found + len(piece)
    return start


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"

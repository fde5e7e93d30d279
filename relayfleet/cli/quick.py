"""Parses the verbs that must start in milliseconds, from the same table as the Typer application.

It knows the plain cases only. Whatever is unusual (help, completion, a fault) gives None, and the application answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from relayfleet.cli.table import VERBS, Arg, Opt, Verb


@dataclass(slots=True)
class Call:
    """One parsed command line."""

    verb: Verb
    params: dict[str, object] = field(default_factory=dict)
    root: str | None = None
    json: bool = False


def parse(argv: Sequence[str], *, completing: bool) -> Call | None:
    """The call that `argv` makes, or None when the application has to look at it."""
    if completing:
        return None
    words = list(argv)
    root, words = take_root(words)
    call = _find_verb(words)
    if call is None or not call.verb.quick:
        return None
    call.root = root
    rest = words[len(call.verb.path.split()) :]
    return call if _fill(call, rest) else None


def take_root(words: list[str]) -> tuple[str | None, list[str]]:
    """The fleet's folder where it is given before the verb, and the other words."""
    if len(words) >= 2 and words[0] == "--root":
        return words[1], words[2:]
    if words and words[0].startswith("--root="):
        return words[0][7:], words[1:]
    return None, words


def _find_verb(words: list[str]) -> Call | None:
    for verb in VERBS:
        path = verb.path.split()
        if words[: len(path)] == path:
            return Call(verb)
    return None


def _fill(call: Call, words: list[str]) -> bool:
    options = {o.flag: o for o in call.verb.params if isinstance(o, Opt)}
    options |= {o.short: o for o in call.verb.params if isinstance(o, Opt) and o.short}
    args = [a for a in call.verb.params if isinstance(a, Arg)]
    free = bool(args) and args[-1].name == "message"
    given: list[str] = []
    for row in options.values():
        call.params[row.name] = row.default if row.type is not bool else False
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        flag, equals, value = word.partition("=")
        if word == "--":
            given += words[index:]
            break
        if word == "--json" and call.verb.json:
            call.json = True
        elif flag in options or flag == "--root":
            option = options.get(flag)
            if option is not None and option.type is bool:
                if equals:
                    return False
                call.params[option.name] = True
                continue
            if not equals and option is not None and option.bare is not None:
                value = option.bare
            elif not equals:
                if index >= len(words):
                    return False
                value = words[index]
                index += 1
            if option is None:
                call.root = value
            elif not _take_value(call, option, value):
                return False
        elif word.startswith("-") and word != "-" and not (free and given and word not in ("--help", "-h")):
            return False
        else:
            given.append(word)
    return _place(call, args, given)


def _take_value(call: Call, option: Opt, value: str) -> bool:
    if option.choices and value not in option.choices:
        return False
    if option.type is int:
        if not value.isdecimal():
            return False
        call.params[option.name] = int(value)
    elif option.type is float:
        try:
            call.params[option.name] = float(value)
        except ValueError:
            return False
    else:
        call.params[option.name] = value
    return True


def _place(call: Call, args: list[Arg], given: list[str]) -> bool:
    for arg in args:
        if arg.many:
            if arg.required and not given:
                return False
            call.params[arg.name] = tuple(given)
            given = []
        elif given:
            call.params[arg.name] = given.pop(0)
        elif arg.required:
            return False
        else:
            call.params[arg.name] = None
    return not given

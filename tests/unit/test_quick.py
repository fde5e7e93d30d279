"""The quick parser and the Typer application read the same command line the same way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from relayfleet.cli import app
from relayfleet.cli.quick import Call, parse
from relayfleet.cli.table import VERBS, Verb

COMMANDS = [
    "tell coder hello",
    "tell coder hello -x --all there",
    "tell coder -- --json",
    "tell a,b,c -",
    "tell --json coder hi",
    "tell coder hi --json",
    "tell --wait coder hi",
    "tell coder hi --wait=handled --timeout 2.5 --ttl=10",
    "inbox retry coder 1 2",
    "inbox retry coder --all-dead --json",
    "--root /tmp inbox drop coder 1",
    "wait coder",
    "wait coder --for handled 12 --timeout=3",
    "list",
    "list --json",
    "status",
    "status one two --json",
    "inbox coder",
    "inbox coder --limit 3",
    "inbox --limit=3 coder --json",
    "--root /tmp status",
    "--root=/tmp list",
    "status --root /tmp",
    "inbox coder --root=/tmp",
    "run agent coder --root /tmp",
    "run router",
    "run router --if-wanted",
    "run supervisor",
    "status -w",
]
# Faults and questions are the application's to answer.
UNUSUAL = [
    "",
    "--help",
    "--version",
    "tell",
    "tell coder",
    "tell --help",
    "tell coder --help",
    "status --nonsense",
    "inbox",
    "inbox a b",
    "inbox drop coder",
    "wait coder --for nothing",
    "wait coder --timeout soon",
    "tell coder hi --wait=never",
    "inbox a --limit",
    "inbox a --limit many",
    "inbox a --limit -1",
    "list extra",
    "run",
    "start coder",
    "new-agent x",
    "--root",
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """What the application would carry out."""
    made: list[Call] = []
    monkeypatch.setattr(app, "run", lambda call: made.append(call) or 0)
    yield made


def meaning(call: Call) -> tuple[Verb, dict[str, Any], str | None, bool]:
    return call.verb, call.params, call.root, call.json


@pytest.mark.parametrize("line", COMMANDS)
def test_both_understand_the_same(calls: list[Call], line: str) -> None:
    quick = parse(line.split(), completing=False)
    assert quick is not None
    assert app.main(line.split()) == 0
    assert meaning(quick) == meaning(calls[0])


@pytest.mark.parametrize("line", UNUSUAL)
def test_what_is_unusual_is_left_to_the_application(line: str) -> None:
    assert parse(line.split(), completing=False) is None


def test_completion_is_left_to_the_application() -> None:
    assert parse(["list"], completing=True) is None


def test_every_verb_is_described_once_and_whole() -> None:
    paths = [verb.path for verb in VERBS]
    assert len(set(paths)) == len(paths)
    for verb in VERBS:
        assert verb.help.endswith((".", "this."))
        assert verb.examples or verb.hidden, verb.path
        assert all(example.split("fleet ", 1)[1] for example in verb.examples)
        assert len({param.name for param in verb.params}) == len(verb.params)
        if verb.path not in ("run agent", "run router", "run supervisor"):
            assert not verb.hidden


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.path)
def test_what_the_table_names_is_there_and_takes_what_it_says(verb: Verb) -> None:
    import importlib
    import inspect

    module, _, function = verb.run.partition(":")
    handler = getattr(importlib.import_module(module), function)
    parameters = list(inspect.signature(handler).parameters)
    assert parameters == ["ctx", *(param.name for param in verb.params)]

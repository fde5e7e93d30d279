"""What every `Rulings` and every `RememberedRules` promises, and what their files are when something went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from relayfleet.errors import StorageFailed
from relayfleet.model.approval import ApprovalId
from relayfleet.model.names import EntryId
from relayfleet.model.permission import Rule, exact_rule
from relayfleet.ports.approval import RememberedRules, Ruling
from relayfleet.store.approvals import MOST_BYTES, FileRulings, JsonRememberedRules, read_rulings
from relayfleet.testing import MemoryRememberedRules, MemoryRulings

RAISED = Ruling(id=ApprovalId("a1"), ts=1.5, state="raised", tool="Bash", entry=EntryId("e1"))
DECIDED = Ruling(
    id=ApprovalId("a1"), ts=2.5, state="decided", tool="Bash", behaviour="deny", by="operator é", reason="a\nb \x1b[2J"
)

RULES: dict[str, Callable[[Path], RememberedRules]] = {
    "file": lambda folder: JsonRememberedRules(folder / "state" / "permissions.json"),
    "memory": lambda folder: MemoryRememberedRules(),
}


@pytest.fixture(params=RULES)
def rules(request: pytest.FixtureRequest, tmp_path: Path) -> RememberedRules:
    return RULES[request.param](tmp_path)


def test_a_rule_that_was_added_is_there_and_the_newest_of_a_call_counts(rules: RememberedRules) -> None:
    assert list(rules.load()) == []
    first, other = exact_rule("Bash", {"command": "a; b\n"}, "allow"), exact_rule("mcp__x", {"k": "ü"}, "allow")
    rules.add(first)
    rules.add(other)
    assert list(rules.load()) == [first, other]
    denied = exact_rule("Bash", {"command": "a; b\n"}, "deny")
    rules.add(denied)
    assert list(rules.load()) == [other, denied]


def test_rulings_come_back_as_they_were(tmp_path: Path) -> None:
    path, memory = tmp_path / "state" / "approvals.jsonl", MemoryRulings()
    for ruling in (RAISED, DECIDED):
        FileRulings(path).append(ruling)
        memory.append(ruling)
    assert list(read_rulings(path)) == [RAISED, DECIDED] == memory.rulings
    assert path.stat().st_mode & 0o777 == 0o600


def test_lines_that_are_none_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "approvals.jsonl"
    FileRulings(path).append(RAISED)
    with path.open("ab") as file:
        file.write(b'{"id": 1}\n[]\nnull\n"x"\n{\n' + b"[" * 100_000 + b'\n{"id": "x", "ts": [], "state": "raised"')
    FileRulings(path).append(DECIDED)
    assert list(read_rulings(path)) == [RAISED, DECIDED]
    assert list(read_rulings(tmp_path / "none.jsonl")) == []


def test_the_record_stays_small_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "approvals.jsonl"
    path.write_bytes(b'{"id": "old", "ts": 1, "state": "raised", "tool": "x"}\n' * (MOST_BYTES // 50))
    FileRulings(path).append(DECIDED)
    assert path.stat().st_size <= MOST_BYTES // 2
    *old, newest = read_rulings(path)
    assert newest == DECIDED
    assert {ruling.id for ruling in old} == {"old"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"version": 2, "rules": []}', '{"version": 1}', '{"version": 1, "rules": [7]}'),
        '{"version": 1, "rules": [{"tool": "*", "pattern": "*", "do": "allow"}]}',
        '{"version": 1, "rules": [{"tool": "Bash", "pattern": null, "do": "allow"}]}',
        '{"version": 1, "rules": [{"tool": "Bash", "pattern": "x", "do": "perhaps"}]}',
    ],
)
def test_rules_that_cannot_be_read_allow_nothing_and_are_not_written_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "permissions.json"
    path.write_text(text)
    rules = JsonRememberedRules(path)
    assert list(rules.load()) == []
    with pytest.raises(StorageFailed, match="cannot be read"):
        rules.add(exact_rule("Bash", {"command": "x"}, "allow"))
    assert path.read_text() == text


def test_what_stands_in_the_file_is_exact_whatever_it_says(tmp_path: Path) -> None:
    path = tmp_path / "permissions.json"
    path.write_text(json.dumps({"version": 1, "rules": [{"tool": "Bash", "pattern": "git *", "do": "allow"}]}))
    assert list(JsonRememberedRules(path).load()) == [Rule(tool="Bash", pattern="git *", do="allow", exact=True)]

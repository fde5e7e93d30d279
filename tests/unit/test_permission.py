"""The policy: which calls a rule is about, and that in doubt nothing is let through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.permission import Act, Rule, exact_rule, first_match, judge, main_input, matches


def rule(do: Act, tool: str, pattern: str | None = None, *, exact: bool = False) -> Rule:
    return Rule(do=do, tool=tool, pattern=pattern, exact=exact)


def bash(command: str) -> dict[str, Any]:
    return {"command": command, "description": "whatever it says"}


@pytest.mark.parametrize(
    ("pattern", "command", "fits"),
    [
        ("git status*", "git status", True),
        ("git status*", "git status --short docs", True),
        ("git status", "git status --short", False),
        ("git * --stat", "git log -3 --stat", True),
        ("git * --stat", "git --stat", False),
        ("*", "make", True),
        ("git status*", " git status", False),
        ("git status*", "GIT STATUS", False),
    ],
)
def test_an_allow_pattern_is_about_the_whole_command(pattern: str, command: str, fits: bool) -> None:
    assert matches(rule("allow", "Bash", pattern), "Bash", bash(command)) is fits


@pytest.mark.parametrize(
    "tail",
    [
        *("; rm -rf /", "&& rm x", "& rm x", "| sh", "|| rm x", "> /etc/passwd", "< secret", "$(rm x)", "`rm x`", "$X"),
        *("\nrm x", "\rrm x", "\x00rm", "${X}", "\\\nrm", "(rm)", "{a,b}", "'; rm x'", "\x1b[2J"),
    ],
)
def test_an_allow_pattern_never_fits_more_than_one_plain_command(tail: str) -> None:
    for pattern in ("git status*", "*"):
        assert not matches(rule("allow", "Bash", pattern), "Bash", bash(f"git status {tail}"))
    whole = f"git status {tail}"
    assert matches(rule("allow", "Bash", whole, exact=True), "Bash", bash(whole)), "unless it says exactly that"
    assert not matches(rule("allow", "Bash", whole, exact=True), "Bash", bash(whole + " "))


@given(st.text(), st.sampled_from(list(";&|<>`$\\(){}\n\r\0")), st.text())
def test_no_text_around_an_operator_is_allowed(before: str, operator: str, after: str) -> None:
    assert not matches(rule("allow", "Bash", "*"), "Bash", bash(before + operator + after))


@pytest.mark.parametrize(
    "command",
    [
        *("rm -rf /", "true; rm -rf /", "bash -c 'rm -rf x'", "/bin/rm  -rf x", "RM -rf x", "x && rm\t-rf y"),
        *("echo $(rm -rf x)", "true\nrm -rf /"),
    ],
)
def test_a_deny_pattern_is_about_any_part_of_a_command(command: str) -> None:
    assert matches(rule("deny", "Bash", "rm -rf*"), "Bash", bash(command))
    assert matches(rule("ask", "Bash", "rm -rf*"), "Bash", bash(command))


def test_a_deny_pattern_begins_with_a_word() -> None:
    assert not matches(rule("deny", "Bash", "rm -rf*"), "Bash", bash("farm -rf"))
    assert matches(rule("deny", "Bash", "*secret*"), "Bash", bash("cat mysecrets.txt"))


@pytest.mark.parametrize(
    ("tool", "given", "fits"),
    [
        ("Edit", {"file_path": "/w/src/a.py"}, True),
        ("Write", {"file_path": "/w/src/deep/a.py"}, True),
        ("Edit", {"file_path": "/w/src/../../etc/passwd"}, False),
        ("Edit", {"file_path": "/w/src\\..\\x"}, False),
        ("Edit", {"file_path": "/w/srcx"}, False),
        ("Edit", {"file_path": ["/w/src/a.py"]}, False),
        ("Edit", {}, False),
        ("NotebookEdit", {"notebook_path": "/w/src/a.ipynb"}, True),
    ],
)
def test_files_are_allowed_by_where_they_are(tool: str, given: dict[str, Any], fits: bool) -> None:
    assert matches(rule("allow", "*", "/w/src/*"), tool, given) is fits


def test_a_denied_file_is_denied_however_its_path_is_written() -> None:
    for path in ("/w/.env", "/w/x/../.env", "/w/.ENV", "/w//.env"):
        assert matches(rule("deny", "Read", "/w/.env"), "Read", {"file_path": path})


def test_of_a_tool_that_is_not_known_a_pattern_allows_nothing_and_denies_what_holds_it() -> None:
    call = {"title": "x", "body": "the secret"}
    assert not matches(rule("allow", "mcp__*", "*"), "mcp__github__create", call)
    assert matches(rule("allow", "mcp__github__*"), "mcp__github__create", call), "without a pattern it is the tool"
    assert not matches(rule("allow", "mcp__github__*"), "mcp__gitlab__create", call)
    assert matches(rule("deny", "mcp__*", "secret"), "mcp__github__create", call)
    assert matches(exact_rule("mcp__x", call, "allow"), "mcp__x", dict(reversed(list(call.items()))))
    assert not matches(exact_rule("mcp__x", call, "allow"), "mcp__x", {**call, "body": "the secret!"})


def test_the_first_rule_that_matches_decides() -> None:
    rules = [rule("deny", "Bash", "git push*"), rule("allow", "Bash", "git *"), rule("deny", "Bash")]
    found = [first_match(rules, "Bash", bash(c)) for c in ("git push", "git log", "make")]
    assert found == rules
    assert first_match(rules, "Edit", {}) is None
    assert first_match([], "Bash", bash("x")) is None


def test_what_a_person_said_once_and_for_all_stands_in_for_asking_and_never_for_a_denial() -> None:
    kept = [exact_rule("Bash", bash("make; make test"), "allow")]
    given = bash("make; make test")
    assert judge([], kept, "Bash", given) == ("allow", kept[0])
    assert judge([rule("ask", "Bash")], kept, "Bash", given) == ("allow", kept[0])
    deny, ask = rule("deny", "Bash", "make*"), rule("ask", "Bash")
    assert judge([deny], kept, "Bash", given) == ("deny", deny)
    assert judge([ask], kept, "Bash", bash("make")) == ("ask", ask)
    assert judge([], kept, "Bash", bash("make")) == ("ask", None)


def test_a_rule_is_told_as_it_was_written() -> None:
    assert str(rule("allow", "Bash", "git *")) == "allow Bash(git *)"
    assert str(rule("deny", "WebFetch")) == "deny WebFetch"


def test_the_main_input_of_a_tool() -> None:
    assert main_input("WebFetch", {"url": "https://x/", "prompt": "p"}) == "https://x/"
    assert main_input("Other", {"b": 1, "a": "ü"}) == '{"a": "ü", "b": 1}'
    assert main_input("Bash", {"command": 7}) == '{"command": 7}'


def test_a_pattern_of_many_stars_takes_no_longer() -> None:
    assert not matches(rule("deny", "Bash", "a*" * 40 + "b"), "Bash", bash("a" * 200_000))
    assert not matches(rule("allow", "Bash", "a*" * 40 + "b"), "Bash", bash("a" * 200_000))

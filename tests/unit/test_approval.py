"""What an answer makes of a request, and how much of it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relayfleet.model.approval import FORM, MAX_TEXT, PLAN, QUESTION, Request, answered, bounded, lasting, named_rules
from relayfleet.model.approval import same_call as is_same


def question(*labels: str, text: str = "Which?") -> dict[str, Any]:
    return {"question": text, "options": [{"label": label, "description": ""} for label in labels]}


def asks(*questions: dict[str, Any]) -> Request:
    return Request(tool=QUESTION, input={"questions": list(questions)})


@pytest.mark.parametrize(
    ("given", "answer"),
    [("2", "Blue"), ("blue", "Blue"), (" Red ", "Red"), ("3", "3"), ("0", "0"), ("green, please", "green, please")],
)
def test_a_question_is_answered_by_number_label_or_words(given: str, answer: str) -> None:
    one = asks(question("Red", "Blue"))
    assert answered(one, given) == {**one.input, "answers": {"Which?": answer}}


def test_several_questions_take_a_list() -> None:
    two = asks(question("Red", "Blue", text="A?"), question(text="B?"))
    found = answered(two, '["1", "because"]')
    assert found is not None
    assert found["answers"] == {"A?": "Red", "B?": "because"}
    for bad in ("x", '["1"]', "[1, 2]", '{"A?": "1"}', "[" * 100_000):
        with pytest.raises(ValueError, match="2 questions"):
            answered(two, bad)


@pytest.mark.parametrize(
    ("request_", "answer", "why"),
    [
        (asks(question("a")), None, "give it an answer"),
        (asks(question("a")), "  ", "is empty"),
        (asks(), "x", "cannot be read"),
        (Request(tool=QUESTION, input={"questions": "?"}), "x", "cannot be read"),
        (Request(tool="Bash", input={"command": "x"}), "yes", "no answer but yes or no"),
        (Request(tool=FORM, input={"requested_schema": {"properties": {"a": {}, "b": {}}}}), None, "a, b"),
        (Request(tool=FORM, input={"requested_schema": {"properties": {"a": {}, "b": {}}}}), "x", "JSON object"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(request_: Request, answer: str | None, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        answered(request_, answer)


def test_a_call_stays_as_it_was_a_plan_is_given_back_and_a_form_is_filled_in() -> None:
    assert answered(Request(tool="Bash", input={"command": "x"}), None) is None
    assert answered(Request(tool=PLAN, input={"plan": "1."}), None) == {"plan": "1."}
    form = Request(tool=FORM, input={"requested_schema": {"properties": {"name": {"type": "string"}}}})
    assert answered(form, "Ann") == {"name": "Ann"}
    assert answered(form, '{"name": "Ann", "n": 1}') == {"name": "Ann", "n": 1}
    assert answered(Request(tool=FORM, input={"mode": "url"}), None) == {}


def test_of_claudes_suggestions_only_rules_that_allow_are_taken_up() -> None:
    given: list[Any] = [
        {"type": "setMode", "mode": "acceptEdits", "destination": "session"},
        {"type": "addDirectories", "directories": ["/"], "destination": "session"},
        {"type": "addRules", "behavior": "deny", "rules": [{"toolName": "Bash"}]},
        {"type": "addRules", "behavior": "allow", "rules": [{"toolName": "Bash", "ruleContent": "npm test"}, 7]},
        "addRules",
    ]
    assert lasting(given) == [given[3]]
    assert named_rules(lasting(given)) == ["Bash(npm test)"]


def test_what_is_shown_is_bounded_and_says_so() -> None:
    deep: Any = "x"
    for _ in range(1000):
        deep = {"a": deep}
    shown = bounded({"long": "x" * (MAX_TEXT + 5), "many": list(range(1000)), "deep": deep, "n": 1.5, "t": None})
    assert shown["long"].endswith("... (5 more characters)")
    assert shown["many"][-1] == "... (800 more)"
    assert "deeper" in json.dumps(shown["deep"])
    assert (shown["n"], shown["t"]) == (1.5, None)
    assert len(bounded({str(n): n for n in range(300)})) == 201


def test_a_preview_is_of_a_call_only_when_all_of_its_texts_say_so() -> None:
    call = Request(tool="Edit", input={"file_path": "/w/a.py", "old_string": "x = 1", "replace_all": False})
    assert is_same(call, tool="Edit", preview='{"file_path": "/w/a.py", "old_string": "x  =  1"}')
    assert not is_same(call, tool="Edit", preview='{"file_path": "/w/b.py", "old_string": "x = 1"}')
    assert not is_same(call, tool="Edit", preview='{"file_path": "/w/a.py", "old_string": "y = 1"}')
    assert not is_same(call, tool="Write", preview='{"file_path": "/w/a.py", "old_string": "x = 1"}')
    assert not is_same(Request(tool="X", input={}), tool="X", preview=""), "nothing tells that it is the same"

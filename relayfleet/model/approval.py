"""An approval: a tool call or a question of a session that waits for a person. Pure.

What others wrote stands in `input`: it is data, shown as such and never obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NewType

from relayfleet.model.names import EntryId

ApprovalId = NewType("ApprovalId", str)
Behaviour = Literal["allow", "deny"]

# How long the session keeps a hook's connection open for an answer; then it shows its own dialog and nothing else.
HOOK_TIMEOUT_S = 86_400
MAX_TEXT = 20_000
_MAX_MEMBERS = 200
_MAX_DEPTH = 8

QUESTION, PLAN, FORM = "AskUserQuestion", "ExitPlanMode", "Elicitation"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The entry that the session was at: its id, `OWNER/NAME#NUMBER` and the title, which others wrote. The last two
    are empty for what is not of GitHub."""

    id: EntryId
    item: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a session asks. `suggestions` are Claude Code's own proposals for not being asked again."""

    tool: str
    input: Mapping[str, Any]
    about: About | None = None
    suggestions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a request. `message` is for the model, `input` takes the place of what was asked, `keep` are those
    of Claude Code's suggestions that were taken up; `by` says who decided: `operator ann`, `policy: ...`, `timeout`."""

    behaviour: Behaviour
    by: str
    message: str = ""
    input: Mapping[str, Any] | None = None
    keep: Sequence[Mapping[str, Any]] = ()


def decided_before(behaviour: Behaviour, by: str) -> str:
    """Why it cannot be decided once more."""
    return f"it was {'approved' if behaviour == 'allow' else 'denied'} before, by {by}"


def answered(request: Request, answer: str | None) -> Mapping[str, Any] | None:
    """The input that an allowed call is to have, None for the one that it came with. Observed of Claude Code 2.1.328:
    a question is answered by `answers`, from its words to the words of the answer, a plan has to be given back, and a
    form's answer is its content. Raises ValueError."""
    if request.tool == QUESTION:
        return {**request.input, "answers": _answers(_questions(request.input), answer)}
    if request.tool == FORM:
        return _content(request.input, answer)
    if answer is not None:
        raise ValueError("it asks for permission, which has no answer but yes or no")
    return dict(request.input) if request.tool == PLAN else None


def _questions(given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = given.get("questions")
    questions = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    if not questions:
        raise ValueError("its question cannot be read: answer it with `fleet attach --drive`")
    return questions


def _answers(questions: Sequence[Mapping[str, Any]], answer: str | None) -> dict[str, str]:
    if answer is None:
        raise ValueError("it is a question: give it an answer with --answer")
    texts = [answer]
    if len(questions) > 1:
        try:
            texts = json.loads(answer)
        except (ValueError, RecursionError):
            texts = []
        if not isinstance(texts, list) or len(texts) != len(questions) or not all(isinstance(t, str) for t in texts):
            raise ValueError(
                f"it has {len(questions)} questions: give --answer a JSON list with an answer for each, in order"
            )
    if not all(text.strip() for text in texts):
        raise ValueError("the answer is empty")
    return {str(one.get("question", "")): _choice(one, text) for one, text in zip(questions, texts, strict=True)}


def labels_of(question: Mapping[str, Any]) -> list[str]:
    """The choices that a question offers, in order."""
    options = question.get("options")
    return [str(o.get("label", "")) for o in options if isinstance(o, Mapping)] if isinstance(options, list) else []


def _choice(question: Mapping[str, Any], text: str) -> str:
    """The label of a choice that was named by its number or in another case; anything else as it is."""
    labels = labels_of(question)
    if text.strip().isdecimal() and 1 <= int(text.strip()[:6]) <= len(labels):
        return labels[int(text.strip()) - 1]
    return next((label for label in labels if label.casefold() == text.strip().casefold()), text)


def _content(form: Mapping[str, Any], answer: str | None) -> dict[str, Any]:
    schema = form.get("requested_schema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    fields: Mapping[str, Any] = properties if isinstance(properties, Mapping) else {}
    if answer is None:
        if fields:
            raise ValueError(f"it is a form ({', '.join(map(str, fields))}): fill it in with --answer")
        return {}
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        return content
    if len(fields) == 1:
        (name,) = fields
        return {str(name): answer}
    raise ValueError(f"it is a form: give --answer a JSON object with {', '.join(map(str, fields))}")


def takes_policy(tool: str) -> bool:
    """Whether an `allow` can answer for a person: a question or a form needs words."""
    return tool not in (QUESTION, FORM)


def lasting(suggestions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of Claude Code's suggestions that widen nothing but this kind of call: rules that allow it. Another
    permission mode, or whole folders, would let through far more than was shown."""
    return [
        one
        for one in suggestions
        if isinstance(one, Mapping) and one.get("type") == "addRules" and one.get("behavior") == "allow"
    ]


def named_rules(suggestions: Sequence[Mapping[str, Any]]) -> list[str]:
    """As they are written in Claude Code's own settings: `Bash(npm test)`."""
    found = []
    for one in suggestions:
        rules = one.get("rules")
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule, Mapping):
                content = rule.get("ruleContent")
                found.append(str(rule.get("toolName", "")) + (f"({content})" if content else ""))
    return found


def bounded(value: Any, depth: int = 0) -> Any:
    """A JSON value whose texts have at most MAX_TEXT characters and whose lists and objects 200 members; what was left
    out is said in its place."""
    if isinstance(value, str):
        left = len(value) - MAX_TEXT
        return value if left <= 0 else f"{value[:MAX_TEXT]}... ({left} more characters)"
    if not isinstance(value, Mapping | list):
        return value
    if depth == _MAX_DEPTH:
        return "... (deeper than is shown)"
    left = len(value) - _MAX_MEMBERS
    if isinstance(value, list):
        return [bounded(one, depth + 1) for one in value[:_MAX_MEMBERS]] + ([f"... ({left} more)"] if left > 0 else [])
    pairs = [(bounded(str(k)), bounded(v, depth + 1)) for k, v in list(value.items())[:_MAX_MEMBERS]]
    return dict(pairs) | ({"...": f"{left} more"} if left > 0 else {})


def same_call(request: Request, *, tool: str, preview: str) -> bool:
    """Whether the session's short preview of a call may be of this one. What cannot be told is another one: an answer
    must not reach a call that was not shown."""
    texts = [value for value in request.input.values() if isinstance(value, str) and value.strip()]
    seen = "".join(preview.split())
    beginnings = ["".join(json.dumps(text, ensure_ascii=False)[1:-1].split())[:30] for text in texts]
    return tool == request.tool and bool(beginnings) and all(one in seen for one in beginnings)

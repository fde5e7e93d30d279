"""Plugins in a running agent: tools reach the session, what is emitted becomes a turn, one that fails harms none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.model import until


def enable(**plugins: dict[str, Any]) -> Any:
    return lambda config: config.update(plugins={"inbox": {}, **plugins})


def session_log(fleet: Fleet, agent: str) -> str:
    return (fleet.root / "agents" / agent / "state" / "session.log").read_text(errors="replace")


@pytest.fixture
def coder(scripted: Fleet) -> Fleet:
    scripted.run("new-agent", "coder")
    return scripted


def test_the_template_greets_and_its_reminder_becomes_a_turn(coder: Fleet) -> None:
    coder.edit("agents/coder/config.json", enable(_template={"greeting": "good day", "remind_every_s": 0.3}))
    coder.run("start", "coder")
    coder.tell("coder", '[[tool greet {"name": "ann"}]]')
    until(lambda: "good day, ann" in session_log(coder, "coder"))
    reminder = until(lambda: [e for e in coder.entries("coder") if e["source"] == "_template"])[0]
    assert reminder["metadata"] == {"kind": "reminder"}
    until(lambda: next(e for e in coder.entries("coder") if e["id"] == reminder["id"])["state"] == "handled")


def test_a_plugin_that_fails_is_named_and_the_agent_works_on(coder: Fleet) -> None:
    for name, code in {
        "at_import": "1 / 0",
        "in_setup": "async def setup(api): raise RuntimeError('no')",
        "in_tool": "async def setup(api):\n    @api.tool\n    def breaks() -> str: raise KeyError('deep')",
        "in_task": "async def setup(api):\n    async def fails(): raise OSError('lost')\n    api.spawn(fails())",
    }.items():
        folder = coder.root / "plugins" / name
        folder.mkdir(parents=True)
        (folder / "plugin.json").write_text(json.dumps({"name": name, "module": "p"}))
        (folder / "p.py").write_text(code)
    coder.edit("agents/coder/config.json", enable(at_import={}, in_setup={}, in_tool={}, in_task={}, nowhere={}))
    coder.run("start", "coder")
    coder.tell("coder", "[[tool breaks {}]] [[tool list_inbox {}]]")
    coder.wait_for("coder", "handled")
    failed = [line for line in coder.log("coder") if line["action"].startswith("plugin.") and line["level"] == "error"]
    assert {line.get("plugin") or line["tool"] for line in failed} == {
        "at_import",
        "in_setup",
        "breaks",
        "in_task",
        "nowhere",
    }
    assert all("Traceback" in line["trace"] for line in failed)
    assert "KeyError: 'deep'" in session_log(coder, "coder")


def test_the_tools_of_the_inbox(coder: Fleet) -> None:
    coder.run("new-agent", "other")
    coder.run("start", "coder")
    ask = coder.tell("coder", "first: what is the time?")
    coder.wait_for("coder", "handled")
    calls = (
        ("reply", {"entry_id": ask, "text": "late"}),
        ("tell", {"agent": "other", "message": "over to you"}),
        ("search_inbox", {"text": "TIME"}),
        ("list_inbox", {"state": "handled", "limit": 1}),
        ("tell", {"agent": "nobody", "message": "x"}),
        ("reply", {"entry_id": "0" * 16, "text": "x"}),
    )
    coder.tell("coder", " ".join(f"[[tool {name} {json.dumps(given)}]]" for name, given in calls))
    coder.wait_for("coder", "handled", count=2)
    first = coder.entries("coder")[0]
    assert [reply["text"] for reply in first["replies"]] == ["late"]
    (told,) = coder.entries("other")
    assert (told["source"], told["body"], told["metadata"]) == ("agent", "over to you", {"from": "coder"})
    said = session_log(coder, "coder")
    assert said.count('"isError": true') == 2
    assert "no agent is called 'nobody'" in said


def test_an_agent_answers_another(coder: Fleet) -> None:
    coder.run("new-agent", "other")
    coder.run("start", "--all")
    coder.tell("coder", '[[tool tell {"agent": "other", "message": "how are you?"}]]')
    (asked,) = coder.wait_for("other", "handled")
    coder.tell("other", f"[[tool reply {json.dumps({'entry_id': asked['id'], 'text': 'fine'})}]]")
    answer = until(lambda: [e for e in coder.entries("coder") if e["source"] == "agent"])[0]
    assert answer["body"] == "fine"
    assert answer["metadata"] == {"from": "other", "reply_to": asked["id"]}
    coder.wait_for("coder", "handled", count=2)


def test_an_entry_that_the_agent_gives_up_is_failed_with_its_reason(coder: Fleet) -> None:
    hopeless = "a" * 16
    mark = json.dumps({"entry_id": hopeless, "reason": "no access to that repository"})
    coder.tell("coder", f"[[tool mark_failed {mark}]]")
    inbox = coder.root / "agents" / "coder" / "state" / "inbox.jsonl"
    with inbox.open("a") as file:
        file.write(json.dumps({"id": hopeless, "ts": 2, "source": "operator", "body": "hopeless"}) + "\n")
    coder.run("start", "coder")
    (given_up,) = coder.wait_for("coder", "failed")
    assert given_up["id"] == hopeless
    assert [(h["state"], h["detail"]) for h in given_up["history"]] == [("failed", "no access to that repository")]
    assert given_up["via"] == "tool"
    coder.wait_for("coder", "handled")


def test_an_interrupted_turn_is_failed_and_the_next_goes_on(coder: Fleet) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "[[sleep 60]] long")
    coder.wait_for("coder", "seen")
    coder.tell("coder", "next")
    until(lambda: coder.status("coder")["state"] == "busy")
    coder.run("interrupt", "coder")
    coder.wait_for("coder", "handled")
    first, second = coder.entries("coder")
    assert (first["state"], first["history"][-1]["detail"]) == ("failed", "interrupted")
    assert second["state"] == "handled"
    assert "no turn is under way" in coder.run("interrupt", "coder", code=1).stderr

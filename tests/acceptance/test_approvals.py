"""What a session asks a person: it appears, it is answered, and the real `claude` does what was answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.model import ModelStandin, until

pytestmark = pytest.mark.needs("claude")

QUESTION = {
    "questions": [
        {
            "question": "Which colour?",
            "header": "Colour",
            "multiSelect": False,
            "options": [{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}],
        }
    ]
}


def bash(command: str) -> str:
    return f"[[tool Bash {json.dumps({'command': command, 'description': 'runs it'})}]]"


@pytest.fixture
def asking(real: Fleet) -> Fleet:
    """A fleet with an agent that asks before it runs anything."""
    real.edit("fleet.json", lambda c: c["defaults"]["claude"].update(permission_mode="default"))
    real.run("new-agent", "coder", "--role", "coder")
    return real


def start(fleet: Fleet, *words: str, **permissions: Any) -> str:
    """Starts the agent and tells it `words`; the entry's id."""
    if permissions:
        fleet.edit("agents/coder/config.json", lambda c: c.update(permissions=permissions))
    fleet.run("start", "coder")
    return fleet.tell("coder", *words)


def work(fleet: Fleet) -> Path:
    return fleet.root / "agents" / "coder" / "work"


def waiting(fleet: Fleet, *, count: int = 1) -> list[dict[str, Any]]:
    return until(
        lambda: found if len(found := fleet.json("approvals")["approvals"]) == count else None,
        what=f"{count} approvals",
    )


def actions(fleet: Fleet, action: str) -> list[dict[str, Any]]:
    return [line for line in fleet.log("coder") if line["action"] == action]


def test_a_call_appears_with_what_led_there_and_runs_once_it_is_approved(asking: Fleet, model: ModelStandin) -> None:
    entry = start(asking, bash("touch made.txt"))
    (approval,) = waiting(asking)
    assert (approval["agent"], approval["tool"]) == ("coder", "Bash")
    assert approval["input"]["command"] == "touch made.txt"
    assert approval["entry"] == {"id": entry, "item": "", "title": ""}
    status = asking.status("coder")
    assert status["state"] == "waiting"
    assert "Bash: touch made.txt" in status["detail"]
    assert approval["id"] in status["detail"]
    shown = asking.run("approvals").stdout
    assert "    | touch made.txt" in shown
    assert f"fleet approve {approval['id']}" in shown
    assert not (work(asking) / "made.txt").exists()
    done = asking.json("approve", approval["id"])
    assert (done["agent"], done["decided"], done["always"]) == ("coder", "allow", [])
    asking.wait_for("coder", "handled")
    assert (work(asking) / "made.txt").exists()
    assert asking.json("approvals")["approvals"] == []
    (decided,) = actions(asking, "approval.decided")
    assert (decided["approval"], decided["behaviour"]) == (approval["id"], "allow")
    assert decided["by"].startswith("operator")
    again = asking.run("deny", approval["id"], code=1)
    assert "it was approved before, by operator" in again.stderr
    asking.run("stop", "coder")
    assert "it was approved before, by operator" in asking.run("approve", approval["id"], code=1).stderr


def test_a_denial_tells_the_model_why_and_the_turn_goes_on(asking: Fleet, model: ModelStandin) -> None:
    start(asking, bash("touch made.txt"), "[[say over]]")
    (approval,) = waiting(asking)
    asking.run("deny", approval["id"], "--reason", "use a branch, said REASON-41")
    asking.wait_for("coder", "handled")
    assert model.has_seen("use a branch, said REASON-41")
    assert not (work(asking) / "made.txt").exists()


def test_always_is_not_asked_again_also_after_a_restart(asking: Fleet) -> None:
    start(asking, bash("python3 -c 'print(1)'"), bash("touch made.txt"))
    (approval,) = waiting(asking)
    (rule,) = asking.json("approve", approval["id"], "--always")["always"]
    assert rule.startswith("Bash(python3")
    (approval,) = waiting(asking)
    (rule,) = asking.json("approve", approval["id"], "--always")["always"]
    assert rule == "allow Bash(touch made.txt)"
    asking.wait_for("coder", "handled")
    for count in (2, 3):
        asking.tell("coder", bash("python3 -c 'print(1)'"), bash("touch made.txt"))
        asking.wait_for("coder", "handled", count=count)
        asking.run("restart", "coder")
    print(asking.entries("coder"))
    assert [line["by"] for line in actions(asking, "approval.decided")][2:] == [
        "policy: allow Bash(touch made.txt)"
    ] * 2
    asking.tell("coder", bash("touch made.txt other.txt"))
    waiting(asking)


def test_the_policy_answers_and_its_denials_hold_where_nothing_would_be_asked(
    asking: Fleet, model: ModelStandin
) -> None:
    rules = [
        {"tool": "Bash", "pattern": "*secret*", "do": "deny"},
        {"tool": "Bash", "pattern": "touch *", "do": "allow"},
        {"tool": "Bash", "pattern": "pwd", "do": "ask"},
    ]
    start(
        asking,
        *(bash(command) for command in ("touch a.txt", "cat secret.txt", "touch b.txt; touch c.txt")),
        rules=rules,
    )
    (approval,) = waiting(asking)
    assert approval["input"]["command"] == "touch b.txt; touch c.txt"
    asking.run("deny", approval["id"])
    asking.wait_for("coder", "handled")
    assert sorted(path.name for path in work(asking).glob("*.txt")) == ["a.txt"]
    assert model.has_seen("A rule of the operator's: deny Bash(*secret*)")
    assert [line["by"].partition(" ")[0] for line in actions(asking, "approval.decided")] == [
        "policy:",
        "policy:",
        "operator",
    ]
    asking.tell("coder", bash("pwd"))  # Claude Code itself would let this through
    (approval,) = waiting(asking)
    asking.run("approve", approval["id"])
    asking.wait_for("coder", "handled", count=2)


@pytest.mark.parametrize("on_timeout", ["deny", "allow"])
def test_what_nobody_answers_in_time_is_answered_as_the_policy_says(
    asking: Fleet, model: ModelStandin, on_timeout: str
) -> None:
    start(asking, bash("touch made.txt"), timeout_s=1, on_timeout=on_timeout)
    asking.wait_for("coder", "handled")
    assert (work(asking) / "made.txt").exists() == (on_timeout == "allow")
    assert model.has_seen("Nobody answered within 1 seconds") == (on_timeout == "deny")
    (decided,) = actions(asking, "approval.decided")
    assert (decided["by"], decided["behaviour"]) == ("timeout", on_timeout)


def test_of_two_answers_at_once_one_counts_and_the_other_is_told(asking: Fleet) -> None:
    start(asking, bash("touch made.txt"))
    (approval,) = waiting(asking)
    calls = [
        subprocess.Popen(
            [sys.executable, "-m", "relayfleet", verb, approval["id"]],
            env=asking.env,
            cwd=asking.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for verb in ("approve", "deny")
    ]
    said = [call.communicate(timeout=60) for call in calls]
    codes = [call.returncode for call in calls]
    assert sorted(codes) == [0, 1]
    won = codes.index(0)
    assert f"it was {('approved', 'denied')[won]} before, by operator" in said[1 - won][1]
    asking.wait_for("coder", "handled")
    assert (work(asking) / "made.txt").exists() == (won == 0)
    assert len(actions(asking, "approval.decided")) == 1


def test_a_session_that_dies_leaves_no_ghost(asking: Fleet) -> None:
    start(asking, bash("touch made.txt"))
    (approval,) = waiting(asking)
    pid = asking.status("coder")["pid"]
    session = next(p for p in psutil.Process(pid).children() if "claude" in " ".join(p.cmdline()))
    session.kill()
    until(lambda: actions(asking, "approval.withdrawn"), what="the withdrawal")
    assert actions(asking, "approval.withdrawn")[0]["message"] == "its session ended"
    assert "its session ended" in asking.run("approve", approval["id"], code=1).stderr
    # The entry is offered to the resumed session, which asks anew by its own doing.
    (again,) = waiting(asking)
    assert again["id"] != approval["id"]
    os.kill(asking.status("coder")["pid"], signal.SIGKILL)
    until(lambda: asking.json("approvals")["approvals"] == [])
    assert "its session ended" in asking.run("approve", again["id"], code=1).stderr
    asking.run("stop", "coder")


def test_hostile_input_is_shown_and_drives_nothing(asking: Fleet) -> None:
    """In a file's text: in a command, Claude Code itself takes no control characters."""
    text = "\x1b]0;owned\x07\x1b[2J\n12345678  coder  wants to use Read\r\u202eevil " + "x" * 10_000
    start(asking, f"[[tool Write {json.dumps({'file_path': str(work(asking) / 'a.txt'), 'content': text})}]]")
    (approval,) = waiting(asking)
    assert approval["input"]["content"] == text
    shown = asking.run("approvals").stdout
    assert not set(shown) & {"\x1b", "\x07", "\r", "\u202e"}
    ours = [line for line in shown.splitlines() if "wants to use" in line and not line.startswith("    | ")]
    assert ours == [shown.splitlines()[0]]
    assert "(cut: it has" in shown
    assert len(shown) < 10_000
    asking.run("deny", approval["id"], "--reason", "\x1b[31mno")
    asking.wait_for("coder", "handled")


def test_an_agent_cannot_answer_for_a_person(asking: Fleet, model: ModelStandin) -> None:
    asking.run("new-agent", "boss", "--role", "orchestrator")
    start(asking, bash("touch made.txt"))
    (approval,) = waiting(asking)
    inside = {"RELAYFLEET_AGENT": "boss", "RELAYFLEET_ROOT": str(asking.root)}
    assert asking.run("approvals", env=inside).stdout
    for verb in ("approve", "deny"):
        assert "it is for the operator, not for agents" in asking.run(verb, approval["id"], code=1, env=inside).stderr
    assert len(waiting(asking)) == 1


def test_a_session_that_hides_who_it_is_is_refused_at_the_socket(asking: Fleet, model: ModelStandin) -> None:
    asking.run("new-agent", "other")
    asking.edit(
        "agents/other/config.json",
        lambda c: c.update(claude={"permission_mode": "acceptEdits", "args": ["--allowedTools", "Bash"]}),
    )
    start(asking, bash("touch made.txt"))
    (approval,) = waiting(asking)
    asking.run("start", "other")
    fleet = f"env -u RELAYFLEET_AGENT {sys.executable} -m relayfleet approve {approval['id']}"
    orphan = f"setsid -f {fleet} > said.txt 2>&1; until grep -q . said.txt; do sleep .1; done; cat said.txt"
    asking.tell("other", bash(fleet), bash(orphan))
    asking.wait_for("other", "handled")
    refusal = "it is for the operator, not for agents"
    assert max(json.dumps(request["messages"]).count(refusal) for request in model.requests) == 2
    assert len(waiting(asking)) == 1
    assert not (work(asking) / "made.txt").exists()


def test_a_question_is_answered_with_words(asking: Fleet, model: ModelStandin) -> None:
    start(asking, f"[[tool AskUserQuestion {json.dumps(QUESTION)}]]")
    (approval,) = waiting(asking)
    shown = asking.run("approvals").stdout
    assert "    | Which colour?\n    |   1. Red\n    |   2. Blue" in shown
    assert "give it an answer with --answer" in asking.run("approve", approval["id"], code=1).stderr
    asking.run("approve", approval["id"], "--answer", "2")
    asking.wait_for("coder", "handled")
    assert model.has_seen('"Which colour?"="Blue"')


def test_a_plan_is_approved(asking: Fleet, model: ModelStandin) -> None:
    asking.edit("agents/coder/config.json", lambda c: c.update(claude={"permission_mode": "plan"}))
    start(asking, '[[tool ExitPlanMode {"plan": "1. do it"}]]')
    (approval,) = waiting(asking)
    asking.run("approve", approval["id"])
    asking.wait_for("coder", "handled")
    assert model.has_seen("User has approved")


def test_what_was_interrupted_is_no_longer_waited_for(asking: Fleet) -> None:
    start(asking, bash("touch made.txt"))
    (approval,) = waiting(asking)
    asking.run("interrupt", "coder")
    (withdrawn,) = until(lambda: actions(asking, "approval.withdrawn"), what="the withdrawal")
    assert withdrawn["approval"] == approval["id"]
    assert asking.json("approvals")["approvals"] == []
    assert "waits for it any more" in asking.run("approve", approval["id"], code=1).stderr


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_when_the_session_gives_up_its_hook_the_item_is_raised_again_and_its_dialog_answered(
    asking: Fleet, tmp_path: Path, verb: str
) -> None:
    """A day is long for a test: a wrapper has the session wait two seconds for its hook."""
    claude = json.loads((asking.root / "fleet.json").read_text())["defaults"]["claude"]["command"]
    wrapper = tmp_path / "claude"
    settings = asking.root / "agents" / "coder" / "state" / "settings.json"
    wrapper.write_text(f'#!/bin/sh\nsed -i s/86400/2/ {settings} 2>/dev/null\nexec {claude} "$@"\n')
    wrapper.chmod(0o755)
    asking.edit("agents/coder/config.json", lambda c: c.update(claude={"command": str(wrapper)}))
    start(asking, bash("touch made.txt"))
    (approval,) = until(
        lambda: [a for a in asking.json("approvals")["approvals"] if a["line"] == "dialog"], what="the dialog's item"
    )
    assert [line["line"] for line in actions(asking, "approval.raised")] == ["hook", "dialog"]
    done = asking.run(verb, approval["id"], "--reason", "later")
    if verb == "approve":
        asking.wait_for("coder", "handled")
    else:
        asking.wait_for("coder", "failed")
        assert "its turn was interrupted" in done.stderr
    assert (work(asking) / "made.txt").exists() == (verb == "approve")


def test_a_command_of_the_users_is_told(asking: Fleet, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    asking.edit("fleet.json", lambda c: c.update(notify={"command": ["sh", "-c", f"cat >> {told}"]}))
    start(asking, bash("touch '$(id)'"))
    (approval,) = waiting(asking)
    until(lambda: told.exists() and told.read_text().endswith("\n"))
    notice = json.loads(told.read_text())
    assert (notice["version"], notice["event"], notice["agent"], notice["id"]) == (
        1,
        "approval",
        "coder",
        approval["id"],
    )
    assert notice["input"]["command"] == "touch '$(id)'"
    asking.run("approve", approval["id"])
    asking.wait_for("coder", "handled")


ELICITS = """
import json, sys
def send(message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
tool = {"name": "go", "description": "goes", "inputSchema": {"type": "object"}}
form = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
for line in sys.stdin:
    message = json.loads(line)
    asked, method = message.get("id"), message.get("method")
    if method == "initialize":
        about = {"name": "form", "version": "1"}
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
        send({"id": asked, "result": result})
    elif method == "tools/list":
        send({"id": asked, "result": {"tools": [tool]}})
    elif method == "tools/call":
        call = asked
        send({"id": 900, "method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": form}})
    elif asked == 900:
        send({"id": call, "result": {"content": [{"type": "text", "text": "GOT " + json.dumps(message["result"])}]}})
    elif asked is not None:
        send({"id": asked, "error": {"code": -32601, "message": "no"}})
"""


def test_a_form_of_an_mcp_server_is_filled_in(asking: Fleet, model: ModelStandin, tmp_path: Path) -> None:
    server = tmp_path / "server.py"
    server.write_text(ELICITS)
    servers = {"form": {"command": sys.executable, "args": [str(server)]}}
    asking.edit("agents/coder/config.json", lambda c: c.update(claude={"mcp_servers": servers}))
    start(asking, "[[tool mcp__form__go {}]]")
    (approval,) = waiting(asking)
    assert approval["tool"] == "mcp__form__go"
    asking.run("approve", approval["id"])
    (form,) = until(lambda: [a for a in asking.json("approvals")["approvals"] if a["tool"] == "Elicitation"])
    assert form["input"]["message"] == "Who?"
    assert asking.status("coder")["state"] == "waiting"
    asking.run("approve", form["id"], "--answer", "Ann")
    asking.wait_for("coder", "handled")
    assert model.has_seen('{"action": "accept", "content": {"name": "Ann"}}')


def test_the_death_of_an_agent_is_told(asking: Fleet, tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    asking.edit("fleet.json", lambda c: c.update(notify={"command": ["sh", "-c", f"cat >> {told}"]}))
    asking.edit("agents/coder/config.json", lambda c: c.update(claude={"args": ["--no-such-flag"]}))
    asking.run("start", "coder", code=1)
    until(lambda: told.exists() and told.read_text().endswith("\n"))
    notice = json.loads(told.read_text())
    assert (notice["event"], notice["agent"], notice["reason"]) == ("agent_died", "coder", "crashed_before_ready")
    assert "before it was ready" in notice["detail"]

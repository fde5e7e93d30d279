"""Approvals over fakes: who answers, who is told, and what is left when the session goes its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from relayfleet.errors import FleetError
from relayfleet.model.approval import Decision, Request
from relayfleet.model.permission import Permissions, Rule, exact_rule
from relayfleet.ports.session import Sighting
from relayfleet.runner.approval_requests import ApprovalRequests
from relayfleet.runner.approvals import Approvals
from relayfleet.testing import ManualClock, MemoryLog, MemoryNotifier, MemoryRememberedRules, MemoryRulings

MAKE = Request(tool="Bash", input={"command": "make"})
QUESTION = Request(tool="AskUserQuestion", input={"questions": [{"question": "Which?", "options": []}]})


class Desk:
    """Approvals of one agent, and everything around them."""

    def __init__(self, *rules: Rule, **permissions: Any) -> None:
        self.clock, self.log, self.notifier = ManualClock(), MemoryLog(), MemoryNotifier()
        self.rulings, self.remembered = MemoryRulings(), MemoryRememberedRules()
        self.pressed: list[bytes] = []
        self.press_fault = ""
        self.relayed: list[tuple[str, str]] = []
        self.approvals = Approvals(
            agent="coder",
            permissions=Permissions(rules=rules, **permissions),
            rulings=self.rulings,
            remembered=self.remembered,
            notifier=self.notifier,
            log=self.log,
            clock=self.clock.now,
            press=self._press,
            relay=lambda request_id, behaviour: self.relayed.append((request_id, behaviour)),
        )

    def _press(self, key: bytes) -> str:
        if not self.press_fault:
            self.pressed.append(key)
        return self.press_fault

    async def ask(self, request: Request = MAKE) -> asyncio.Task[Decision | None]:
        task = asyncio.ensure_future(self.approvals.ask(request))
        await asyncio.sleep(0)
        return task

    async def let_go(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def decide(
        self, approval_id: str | None = None, behaviour: Any = "allow", **given: Any
    ) -> Mapping[str, Any] | None:
        defaults: dict[str, Any] = {"by": "operator ann", "reason": "", "always": False, "answer": None}
        return self.approvals.decide(approval_id or self.ids()[0], behaviour, **{**defaults, **given})

    def ids(self) -> list[str]:
        return [str(one["id"]) for one in self.approvals.listed()]

    def says(self, status: Any, *, at: float | None = None) -> None:
        self.approvals.noticed(Sighting(status=status, at=self.clock.now() if at is None else at))

    def states(self) -> list[str]:
        return [ruling.state for ruling in self.rulings.rulings]


async def test_an_item_is_there_until_it_is_answered() -> None:
    desk = Desk()
    asked = await desk.ask()
    (item,) = desk.approvals.listed()
    assert (item["agent"], item["tool"], item["input"], item["line"]) == ("coder", "Bash", {"command": "make"}, "hook")
    assert item["since"] == desk.clock.now()
    assert desk.approvals.summary() == f"Bash: make (approval {item['id']})"
    assert [(n.event, n.more["id"]) for n in desk.notifier.notices] == [("approval", item["id"])]
    assert desk.decide() == {"agent": "coder", "tool": "Bash", "always": [], "note": ""}
    decision = await asked
    assert decision is not None
    assert (decision.behaviour, decision.by, decision.input) == ("allow", "operator ann", None)
    assert desk.ids() == []
    assert desk.approvals.summary() == ""
    assert desk.states() == ["raised", "decided"]


async def test_the_first_answer_wins_and_the_second_is_told() -> None:
    desk = Desk()
    asked = await desk.ask()
    (name,) = desk.ids()
    desk.decide(behaviour="deny", reason="no", by="operator ben")
    with pytest.raises(FleetError, match="it was denied before, by operator ben"):
        desk.decide(name)
    decision = await asked
    assert decision is not None
    assert decision.message == "no"


async def test_an_id_that_is_none_of_its_own_is_not_answered() -> None:
    desk = Desk()
    assert desk.decide("ffffffff") is None


async def test_a_policy_decides_without_anybody() -> None:
    rules = (
        Rule(tool="Bash", pattern="make*", do="allow"),
        Rule(tool="Bash", do="deny"),
        Rule(tool="ExitPlanMode", do="allow"),
        Rule(tool="AskUserQuestion", do="allow"),
    )
    desk = Desk(*rules)
    allowed, denied = await desk.approvals.ask(MAKE), await desk.approvals.ask(Request(tool="Bash", input={}))
    plan = await desk.approvals.ask(Request(tool="ExitPlanMode", input={"plan": "1."}))
    assert allowed is not None and denied is not None and plan is not None
    assert (allowed.behaviour, allowed.by) == ("allow", "policy: allow Bash(make*)")
    assert (denied.behaviour, denied.message) == ("deny", "Denied by a rule of the operator's: deny Bash.")
    assert plan.input == {"plan": "1."}
    assert next(fields["by"] for _, fields in desk.log.of("approval.decided")) == "policy: allow Bash(make*)"
    await desk.let_go(await desk.ask(QUESTION))
    assert len(desk.notifier.notices) == 1, "no rule knows the answer to a question"


@pytest.mark.parametrize(
    ("request_", "on_timeout", "comes"), [(MAKE, "allow", "allow"), (MAKE, "deny", "deny"), (QUESTION, "allow", "deny")]
)
async def test_what_nobody_answers_is_answered_as_configured(request_: Request, on_timeout: Any, comes: str) -> None:
    desk = Desk(timeout_s=0.01, on_timeout=on_timeout)
    decision = await desk.approvals.ask(request_)
    assert decision is not None
    assert (decision.behaviour, decision.by) == (comes, "timeout")
    assert desk.ids() == []


async def test_always_takes_up_claudes_own_rule_else_it_is_kept_here() -> None:
    desk = Desk()
    suggestion = {"type": "addRules", "behavior": "allow", "rules": [{"toolName": "Bash", "ruleContent": "make"}]}
    asked = await desk.ask(Request(tool="Bash", input={"command": "make"}, suggestions=[suggestion]))
    assert desk.decide(always=True)["always"] == ["Bash(make)"]  # type: ignore[index]
    decision = await asked
    assert decision is not None
    assert decision.keep == [suggestion]
    assert desk.remembered.rules == []
    asked = await desk.ask()
    assert desk.decide(always=True)["always"] == ["allow Bash(make)"]  # type: ignore[index]
    await asked
    assert desk.remembered.rules == [exact_rule("Bash", MAKE.input, "allow")]
    again = await desk.approvals.ask(MAKE)
    assert again is not None
    assert again.by == "policy: allow Bash(make)"


async def test_always_holds_for_denials_and_comes_before_a_rule_that_asks() -> None:
    desk = Desk(Rule(tool="Bash", do="ask"))
    suggestion = {"type": "addRules", "behavior": "allow", "rules": [{"toolName": "Bash"}]}
    asked = await desk.ask(Request(tool="Bash", input=MAKE.input, suggestions=[suggestion]))
    desk.decide(always=True)
    decision = await asked
    assert decision is not None
    assert not decision.keep, "Claude Code would be asked for it all the same"
    assert desk.approvals.before_use(MAKE)[0] == "allow"
    other = Request(tool="Bash", input={"command": "rm"})
    asked = await desk.ask(other)
    desk.decide(behaviour="deny", always=True)
    await asked
    assert desk.approvals.before_use(other)[0] == "deny"


async def test_always_that_cannot_be_kept_decides_nothing() -> None:
    desk = Desk()
    asked = await desk.ask()
    desk.remembered.full = True
    with pytest.raises(FleetError, match="No space left"):
        desk.decide(always=True)
    assert len(desk.ids()) == 1
    await desk.let_go(await desk.ask(QUESTION))
    desk.decide()
    await asked


async def test_a_question_takes_an_answer_and_no_always() -> None:
    desk = Desk()
    asked = await desk.ask(QUESTION)
    with pytest.raises(FleetError, match="give it an answer"):
        desk.decide()
    with pytest.raises(FleetError, match="this once only"):
        desk.decide(answer="Blue", always=True)
    desk.decide(answer="Blue")
    decision = await asked
    assert decision is not None and decision.input is not None
    assert decision.input["answers"] == {"Which?": "Blue"}


async def test_a_record_that_the_disk_refuses_strands_nobody() -> None:
    desk = Desk()
    desk.rulings.full = True
    asked = await desk.ask()
    desk.decide()
    assert (await asked) is not None
    assert len(desk.log.of("approval.unrecorded")) == 2


# ---- the session goes its own way


async def test_the_end_of_the_session_takes_its_items_along() -> None:
    desk = Desk()
    asked, gone = await desk.ask(), await desk.ask(QUESTION)
    await desk.let_go(gone)
    desk.approvals.session_over()
    assert await asked is None
    assert desk.ids() == []
    assert [message for message, _ in desk.log.of("approval.withdrawn")] == ["its session ended"] * 2
    assert desk.states().count("withdrawn") == 2


async def test_what_was_answered_at_the_terminal_is_withdrawn_though_its_hook_stays_open() -> None:
    desk = Desk()
    asked = await desk.ask()
    desk.says("busy", at=desk.clock.now() - 5)  # it has not shown its dialog yet
    desk.clock.advance(60)
    desk.says("busy", at=desk.clock.now() - 65)
    assert len(desk.ids()) == 1
    desk.says("waiting", at=desk.clock.now() - 59)
    desk.clock.advance(600)
    desk.says("waiting", at=desk.clock.now() - 659)
    assert len(desk.ids()) == 1
    desk.says("busy")
    assert len(desk.ids()) == 1, "another dialog may follow at once"
    began = desk.clock.now()
    desk.clock.advance(3)
    desk.says("busy", at=began)
    assert desk.ids() == []
    assert await asked is None


async def test_a_form_is_asked_before_there_is_any_dialog() -> None:
    desk = Desk()
    asked = await desk.ask(Request(tool="Elicitation", input={"message": "Name?"}))
    desk.clock.advance(60)
    desk.says("busy", at=desk.clock.now() - 61)
    assert len(desk.ids()) == 1
    desk.decide()
    assert (await asked) is not None


async def test_when_the_hook_is_given_up_the_dialog_is_raised_again_and_answered_by_a_key() -> None:
    for behaviour, key in (("allow", b"1"), ("deny", b"\x1b")):
        desk = Desk()
        asked = await desk.ask()
        (name,) = desk.ids()
        shown_at = desk.clock.now()
        desk.clock.advance(86_400)
        await desk.let_go(asked)
        assert desk.ids() == [], "it is not known yet whether its dialog is still there"
        desk.says("waiting", at=shown_at)
        assert desk.ids() == []
        desk.clock.advance(3)
        desk.says("waiting", at=shown_at)
        assert [(one["id"], one["line"]) for one in desk.approvals.listed()] == [(name, "dialog")]
        assert len(desk.notifier.notices) == 2
        desk.press_fault = "held: ann types into its terminal"
        with pytest.raises(FleetError, match="ann types"):
            desk.decide(behaviour=behaviour)
        desk.press_fault = ""
        done = desk.decide(behaviour=behaviour, reason="because")
        assert done is not None
        assert ("interrupted" in done["note"]) == (behaviour == "deny")
        assert desk.pressed == [key]
        assert desk.ids() == []


async def test_a_hook_that_is_given_up_because_of_an_interrupt_is_withdrawn() -> None:
    desk = Desk()
    asked = await desk.ask()
    desk.says("waiting")
    await desk.let_go(asked)
    desk.clock.advance(3)
    desk.says("idle", at=desk.clock.now() - 3)
    assert desk.states() == ["raised", "withdrawn"]


async def test_no_key_is_pressed_for_a_question_or_while_several_dialogs_are_there() -> None:
    for requests in ((QUESTION,), (MAKE, Request(tool="Bash", input={"command": "rm"}))):
        desk = Desk()
        tasks = [await desk.ask(request) for request in requests]
        shown_at = desk.clock.now()
        for task in tasks:
            await desk.let_go(task)
        desk.clock.advance(3)
        desk.says("waiting", at=shown_at)
        with pytest.raises(FleetError) as raised:
            desk.decide(answer="x" if requests == (QUESTION,) else None)
        assert "attach coder --drive" in raised.value.hint
        assert desk.pressed == []


# ---- the channel


async def test_what_hook_and_channel_say_is_one_item_whichever_comes_first() -> None:
    for hook_first in (True, False):
        desk = Desk()
        asked = await desk.ask() if hook_first else None
        desk.approvals.relayed("r1", "Bash", "builds", '{"command": "make"}')
        asked = asked or await desk.ask()
        (item,) = desk.approvals.listed()
        assert (item["line"], item["input"]) == ("hook", {"command": "make"})
        desk.approvals.relayed("r1", "Bash", "builds", '{"command": "make"}')
        assert len(desk.ids()) == 1
        desk.decide()
        assert (await asked) is not None
        assert desk.relayed == [], "the hook has answered"


async def test_another_call_is_another_item_and_the_channel_alone_is_answered_there() -> None:
    desk = Desk()
    asked = await desk.ask()
    desk.approvals.relayed("r1", "Bash", "removes", '{"command": "rm -rf x"}')
    first, second = desk.approvals.listed()
    assert (first["line"], second["line"]) == ("hook", "channel")
    assert second["input"] == {"description": "removes", "preview": '{"command": "rm -rf x"}'}
    with pytest.raises(FleetError, match="this once only"):
        desk.decide(second["id"], always=True)
    done = desk.decide(second["id"], "deny", reason="no")
    assert done is not None
    assert "no place" in done["note"]
    assert desk.relayed == [("r1", "deny")]
    desk.decide()
    assert (await asked) is not None


async def test_two_calls_that_look_alike_are_not_taken_for_each_other() -> None:
    desk = Desk()
    tasks = [await desk.ask(), await desk.ask()]
    desk.approvals.relayed("r1", "Bash", "", '{"command": "make"}')
    assert [one["line"] for one in desk.approvals.listed()] == ["hook", "hook", "channel"]
    for task in tasks:
        await desk.let_go(task)


# ---- the control socket


async def test_requests_are_judged_by_who_makes_them_and_what_they_say() -> None:
    desk = Desk()
    asked = await desk.ask()
    (name,) = desk.ids()
    door = ApprovalRequests(desk.approvals, is_agents=lambda pid: pid == 7)
    assert [one["id"] for one in door.on_list({})["approvals"]] == [name]
    good = {"op": "decide", "id": name, "behaviour": "allow", "by": "operator ann"}
    assert "not for agents" in door.on_decide({**good, "caller_pid": 7})["error"]
    for bad in ({"behaviour": "yes"}, {"behaviour": None}, {"id": ["x"]}, {"id": None}):
        assert not door.on_decide({**good, **bad})["ok"]
    assert door.on_decide({**good, "id": "other"})["unknown"]
    assert door.on_decide({**good, "caller_pid": 8, "always": "yes", "answer": 7, "reason": None})["ok"]
    assert "before, by operator ann" in door.on_decide(good)["error"]
    assert (await asked) is not None

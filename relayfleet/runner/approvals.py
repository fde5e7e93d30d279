"""What the session asks a person: each is an item from the moment it is asked until something has answered it.

An item waits for as long as the session does. Its line is the hook's connection (`ask` is cancelled when that goes
away), the channel's relay, or, once the session has given up on its hook, only the session's own dialog. Whoever
answers first has decided; the next is told what was decided, and by whom. The rules that decide without anybody are in
`model/permission.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.approval import (
    FORM,
    PLAN,
    QUESTION,
    ApprovalId,
    Behaviour,
    Decision,
    Request,
    answered,
    bounded,
    decided_before,
    lasting,
    named_rules,
    same_call,
    takes_policy,
)
from relayfleet.model.notice import Notice
from relayfleet.model.permission import Act, Permissions, Rule, exact_rule, judge, main_input
from relayfleet.ports.approval import RememberedRules, Ruling, Rulings
from relayfleet.ports.log import Log
from relayfleet.ports.notifier import Notifier
from relayfleet.ports.session import Sighting

# A dialog that the session shows for longer than this after it let go of its hook is still to be answered; one that it
# has not shown for as long was answered there.
_SETTLED_S = 2.0
_REMEMBERED = 256
_SUMMARY = 160
# The session's dialog: its first choice is yes, and Esc ends the turn.
_YES, _ESC = b"1", b"\x1b"
Line = Literal["hook", "channel", "dialog", "none"]


@dataclass(eq=False, kw_only=True)
class _Item:
    id: ApprovalId
    request: Request
    since: float
    line: Line
    answer: asyncio.Future[Decision | None] | None = None
    relay: str = ""
    by_rule: Rule | None = None
    dialog_seen: bool = False
    let_go_at: float = 0.0


@dataclass(kw_only=True)
class Approvals:
    """`relay` answers the channel's relay; `press` types into the session's dialog and says why it could not."""

    agent: str
    permissions: Permissions
    rulings: Rulings
    remembered: RememberedRules
    notifier: Notifier
    log: Log
    clock: Callable[[], float]
    press: Callable[[bytes], str]
    relay: Callable[[str, Behaviour], None] = lambda request_id, behaviour: None
    _items: dict[ApprovalId, _Item] = field(default_factory=dict)
    _decided: OrderedDict[ApprovalId, Decision] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._rules = list(self.remembered.load())

    # ---- the session's side

    def judged(self, request: Request) -> tuple[Act, Rule | None]:
        """What the policy says of it, and by which rule."""
        act, rule = judge(self.permissions.rules, self._rules, request.tool, request.input)
        return ("ask", rule) if act == "allow" and not takes_policy(request.tool) else (act, rule)

    def before_use(self, request: Request) -> tuple[Act, Rule | None]:
        """As `judged`, of a call that is about to be made; what is forbidden then is never asked."""
        act, rule = self.judged(request)
        if act == "deny":
            self._by_policy(request, act, rule)
        return act, rule

    async def ask(self, request: Request) -> Decision | None:
        """The answer, however long it takes; None when it was given elsewhere. Cancel it when the session has let go of
        it."""
        act, rule = self.judged(request)
        if act != "ask":
            return self._by_policy(request, act, rule)
        item = self._relayed(request) or self._raise(request, "hook")
        item.by_rule = rule
        item.answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.permissions.timeout_s):
                return await item.answer
        except TimeoutError:
            return self._time_out(item)
        except asyncio.CancelledError:
            self._let_go(item)
            raise

    def relayed(self, request_id: str, tool: str, description: str, preview: str) -> None:
        """The channel says that the session waits. The hook says the same, and more; its item is not raised twice."""
        if any(item.relay == request_id for item in self._items.values()):
            return
        same = [i for i in self._items.values() if not i.relay and same_call(i.request, tool=tool, preview=preview)]
        if len(same) == 1:
            same[0].relay = request_id
            return
        given = {"description": description, "preview": preview}
        item = self._raise(Request(tool=tool, input=given), "channel")
        item.relay = request_id

    def noticed(self, sighting: Sighting) -> None:
        """What the session says of itself tells whether its dialog is still there."""
        now = self.clock()
        waiting = sighting.status == "waiting"
        for item in list(self._items.values()):
            if waiting and sighting.at >= item.since - _SETTLED_S:
                item.dialog_seen = True
        held = any(item.line in ("hook", "channel") for item in self._items.values())
        for item in list(self._items.values()):
            if item.line == "none" and now - item.let_go_at >= _SETTLED_S and not held:
                if waiting and sighting.at <= item.let_go_at:
                    self._raise_again(item)
                else:
                    self._withdraw(item, "it was answered in the session's terminal, or its turn was interrupted")
            elif not waiting and item.dialog_seen and now - max(sighting.at, item.since) >= _SETTLED_S:
                self._withdraw(item, "it was answered in the session's terminal, or its turn was interrupted")

    def session_over(self) -> None:
        """Nobody waits for an answer any more; after a resume the session asks anew if it still wants to know."""
        for item in list(self._items.values()):
            self._withdraw(item, "its session ended")

    # ---- the people's side

    def listed(self) -> list[dict[str, Any]]:
        """Each item as JSON, the oldest first; what was asked is cut where it is long."""
        return [self._as_json(item) for item in self._items.values() if item.line != "none"]

    def summary(self) -> str:
        """What the session waits for, in a line; empty when it waits for nobody."""
        waiting = [item for item in self._items.values() if item.line != "none"]
        if not waiting:
            return ""
        more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        return f"{_summary(waiting[0].request)} (approval {waiting[0].id}){more}"

    def decide(
        self, approval_id: str, behaviour: Behaviour, *, by: str, reason: str, always: bool, answer: str | None
    ) -> dict[str, Any] | None:
        """What was decided, {"agent", "tool", "always": [rules], "note"}; None when no item here ever had this id.
        Raises FleetError when it was decided before, cannot be answered so, or is not waited for any more."""
        known = ApprovalId(approval_id)
        doing = f"{'approve' if behaviour == 'allow' else 'deny'} {approval_id!r}"
        if known in self._decided:
            before = self._decided[known]
            raise FleetError(doing, decided_before(before.behaviour, before.by))
        item = self._items.get(known)
        if item is None or item.line == "none":
            return None
        decision = self._decision(item.request, behaviour, doing=doing, by=by, reason=reason, answer=answer)
        kept, keep = self._remember(item, decision, doing=doing) if always else ([], ())
        decision = Decision(behaviour=behaviour, by=by, message=decision.message, input=decision.input, keep=keep)
        note = self._tell(item, decision, doing=doing)
        self._settle(item, decision)
        return {"agent": self.agent, "tool": item.request.tool, "always": kept, "note": note}

    def _decision(
        self, request: Request, behaviour: Behaviour, *, doing: str, by: str, reason: str, answer: str | None
    ) -> Decision:
        if behaviour == "deny":
            return Decision(behaviour="deny", by=by, message=reason or "Denied by the operator.")
        try:
            return Decision(behaviour="allow", by=by, message=reason, input=answered(request, answer))
        except ValueError as error:
            raise FleetError(doing, str(error)) from None

    def _remember(self, item: _Item, decision: Decision, *, doing: str) -> tuple[list[str], list[Mapping[str, Any]]]:
        """The rules that hold from now on, and those of them that Claude Code itself is to keep."""
        request = item.request
        if not takes_policy(request.tool) or item.line == "channel":
            raise FleetError(doing, "its answer holds for this once only", hint="leave --always out")
        # Claude Code's own rules come before its hooks, but not before an `ask` of the policy.
        keep = lasting(request.suggestions) if decision.behaviour == "allow" and item.by_rule is None else []
        if keep and item.line == "hook":
            return named_rules(keep), keep
        rule = exact_rule(request.tool, request.input, decision.behaviour)
        self.remembered.add(rule)
        self._rules = [one for one in self._rules if (one.tool, one.pattern) != (rule.tool, rule.pattern)] + [rule]
        return [str(rule)], []

    def _tell(self, item: _Item, decision: Decision, *, doing: str) -> str:
        """Brings the answer to the session; what is to be said to whoever gave it. Raises FleetError when there is no
        way."""
        if item.answer is not None and not item.answer.done():
            item.answer.set_result(decision)
            return ""
        if item.relay:
            self.relay(item.relay, decision.behaviour)
            return (
                "" if decision.behaviour == "allow" else "the reason could not be told: the channel has no place for it"
            )
        if item.request.tool in (QUESTION, PLAN, FORM):
            raise FleetError(
                doing, "only the session's own dialog is left of it", hint=f"run `fleet attach {self.agent} --drive`"
            )
        if len(self._items) > 1:
            raise FleetError(
                doing,
                "the session shows several dialogs, and which one is on top is not known",
                hint=f"run `fleet attach {self.agent} --drive`",
            )
        fault = self.press(_YES if decision.behaviour == "allow" else _ESC)
        if fault:
            raise FleetError(doing, fault, hint=f"run `fleet attach {self.agent} --drive`")
        if decision.behaviour == "allow":
            return ""
        return f"its turn was interrupted, and the reason was not told; `fleet tell {self.agent}` tells it"

    # ---- the life of an item

    def _raise(self, request: Request, line: Line) -> _Item:
        item = _Item(id=ApprovalId(os.urandom(4).hex()), request=request, since=self.clock(), line=line)
        self._record(item, "raised")
        self._items[item.id] = item
        self._announce(item, _summary(request))
        return item

    def _relayed(self, request: Request) -> _Item | None:
        """The channel's item for this request: it was faster than the hook."""
        preview = [
            i
            for i in self._items.values()
            if i.line == "channel"
            and same_call(request, tool=i.request.tool, preview=str(i.request.input.get("preview", "")))
        ]
        if len(preview) != 1:
            return None
        item = preview[0]
        item.request, item.line = request, "hook"
        return item

    def _raise_again(self, item: _Item) -> None:
        item.line = "dialog"
        self._announce(item, "the session still waits, in its own dialog: " + _summary(item.request))

    def _announce(self, item: _Item, detail: str) -> None:
        shown = self._as_json(item)
        self.log.info(
            "approval.raised", "", approval=item.id, tool=item.request.tool, entry=_entry_of(item), line=item.line
        )
        more = {key: shown[key] for key in ("id", "tool", "input", "entry")}
        self.notifier.notify(Notice(event="approval", ts=self.clock(), agent=self.agent, detail=detail, more=more))

    def _let_go(self, item: _Item) -> None:
        """The session closed its hook's connection: it ended, was interrupted, or shows its dialog without us."""
        if item.id in self._items:
            item.line, item.let_go_at, item.answer = "none", self.clock(), None

    def _withdraw(self, item: _Item, why: str) -> None:
        del self._items[item.id]
        if item.answer is not None and not item.answer.done():
            item.answer.set_result(None)
        self._record(item, "withdrawn", reason=why)
        self.log.info("approval.withdrawn", why, approval=item.id, tool=item.request.tool, entry=_entry_of(item))

    def _time_out(self, item: _Item) -> Decision:
        limit, behaviour = self.permissions.timeout_s or 0.0, self.permissions.on_timeout
        if not takes_policy(item.request.tool):
            behaviour = "deny"
        message = f"Nobody answered within {limit:g} seconds." if behaviour == "deny" else ""
        given = answered(item.request, None) if behaviour == "allow" else None
        decision = Decision(behaviour=behaviour, by="timeout", message=message, input=given)
        self._settle(item, decision)
        return decision

    def _by_policy(self, request: Request, act: Act, rule: Rule | None) -> Decision:
        allowed = act == "allow"
        decision = Decision(
            behaviour="allow" if allowed else "deny",
            by=f"policy: {rule}",
            message="" if allowed else f"Denied by a rule of the operator's: {rule}.",
            input=answered(request, None) if allowed else None,
        )
        self._log_decision(ApprovalId(""), request, decision)
        return decision

    def _settle(self, item: _Item, decision: Decision) -> None:
        self._items.pop(item.id, None)
        self._decided[item.id] = decision
        while len(self._decided) > _REMEMBERED:
            self._decided.popitem(last=False)
        self._record(item, "decided", behaviour=decision.behaviour, by=decision.by, reason=decision.message)
        self._log_decision(item.id, item.request, decision)

    def _log_decision(self, approval_id: ApprovalId, request: Request, decision: Decision) -> None:
        self.log.info(
            "approval.decided",
            decision.message,
            approval=approval_id or None,
            tool=request.tool,
            entry=request.about.id if request.about else None,
            behaviour=decision.behaviour,
            by=decision.by,
        )

    def _record(self, item: _Item, state: Literal["raised", "decided", "withdrawn"], **given: Any) -> None:
        """A record that the disk refuses strands nobody: the answer goes to the session all the same."""
        ruling = Ruling(
            id=item.id, ts=self.clock(), state=state, tool=item.request.tool, entry=_entry_of(item), **given
        )
        try:
            self.rulings.append(ruling)
        except StorageFailed as error:
            self.log.warning("approval.unrecorded", str(error), approval=item.id, hint=error.hint)

    def _as_json(self, item: _Item) -> dict[str, Any]:
        about = item.request.about
        entry = {"id": about.id, "item": about.item, "title": about.title} if about else None
        return {
            "id": item.id,
            "agent": self.agent,
            "tool": bounded(item.request.tool),
            "input": bounded(item.request.input),
            "entry": entry,
            "since": item.since,
            "line": item.line,
        }


def _entry_of(item: _Item) -> Any:
    return item.request.about.id if item.request.about else None


def _summary(request: Request) -> str:
    """The tool and what matters of its input, in one line."""
    if request.tool == QUESTION:
        return "a question"
    text = " ".join(main_input(request.tool, request.input).split())
    return f"{request.tool}: {text[:_SUMMARY]}" if text not in ("", "{}") else request.tool

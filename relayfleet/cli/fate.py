"""What becomes of an entry, waited for: read from the receipts, whether the agent runs or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relayfleet.cli.output import say
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS, EntryState, Receipt, follows
from relayfleet.store.last_words import last_words_of
from relayfleet.store.lock import holder_of
from relayfleet.store.receipts import ReceiptWatch

_LOOK_EVERY_S = 0.1
# The states that prove that an entry was seen, or handled.
_PROOF: dict[str, frozenset[str]] = {"seen": frozenset({"seen", "handled"}), "handled": frozenset({"handled"})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """`hoped_for`: it is as was wanted. `why` says what happened when it is not. `words` are the session's last in the
    entry's turn."""

    agent: str
    id: EntryId
    state: EntryState
    hoped_for: bool
    why: str
    words: str

    def as_json(self) -> dict[str, Any]:
        """{"agent", "id", "state", "detail", "words"}"""
        return {"agent": self.agent, "id": self.id, "state": self.state, "detail": self.why, "words": self.words}


def follow(
    layout: FleetLayout,
    entries: Mapping[str, EntryId],
    *,
    wanted: str,
    timeout_s: float | None,
    on_end: Callable[[Fate], None] = lambda fate: None,
) -> list[Fate]:
    """Waits until each agent's entry is as `wanted` ("seen", "handled") or never will be, `timeout_s` at most; calls
    `on_end` for each as it comes to that. Says which of them do not run and so have nothing coming yet. In the order of
    `entries`. Raises StorageFailed."""
    watches = {agent: ReceiptWatch(layout.agent(agent).receipts, [entry]) for agent, entry in entries.items()}
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    fates: dict[str, Fate] = {}
    first = True
    while True:
        over = deadline is not None and time.monotonic() >= deadline
        for agent, watch in watches.items():
            if agent in fates:
                continue
            fate = _fate(layout, agent, entries[agent], watch.look()[entries[agent]], wanted=wanted, over=over)
            if fate is not None:
                fates[agent] = fate
                on_end(fate)
            elif first and holder_of(layout.agent(agent).runner_lock) is None:
                say(f"{agent} does not run: it waits in its inbox; start it with `fleet start {agent}`")
        first = False
        if len(fates) == len(entries):
            return [fates[agent] for agent in entries]
        time.sleep(_LOOK_EVERY_S)


def _fate(
    layout: FleetLayout, agent: str, entry: EntryId, receipts: Sequence[Receipt], *, wanted: str, over: bool
) -> Fate | None:
    """None while it may still become what is wanted."""
    state: EntryState = "queued"
    detail, was_seen = "", False
    for receipt in receipts:
        if follows(state, receipt):
            state, detail = receipt.state, receipt.detail
            was_seen = was_seen or state in _PROOF["seen"]
    hoped_for = state in _PROOF[wanted] or (wanted == "seen" and was_seen)
    if not hoped_for and state not in ENDS and not over:
        return None
    why = "" if hoped_for else f"it is {state}{f': {detail}' if detail else ''}"
    if not hoped_for and state not in ENDS:
        why = f"not in time; {why}, and stays in the inbox"
    words = last_words_of(layout.agent(agent).words, entry) if state == "handled" else ""
    return Fate(agent=agent, id=entry, state=state, hoped_for=hoped_for, why=why, words=words)

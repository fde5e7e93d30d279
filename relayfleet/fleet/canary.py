"""Proves delivery end to end: an entry to each running agent that asks for nothing but a word, and its receipts.

It costs each agent one tiny turn. A canary that did not come through is withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from relayfleet.errors import FleetError
from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS, Receipt, state_of

SOURCE = "doctor"
BODY = "This is a check of delivery. Answer with one word; use no tools and do nothing else."
_LOOK_EVERY_S = 0.1

Stage = Literal["written", "offered", "seen", "handled"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Cage(Protocol):
    """Where canaries are let out."""

    def release(self, agent: str, entry: Entry) -> None:
        """Puts the entry into the agent's inbox. Raises FleetError."""
        ...

    def receipts(self, agent: str, entry_id: EntryId) -> Sequence[Receipt]:
        """Those of it so far, in order. Raises FleetError."""
        ...

    def withdraw(self, agent: str, entry_id: EntryId) -> None:
        """It is not offered any more, unless it was seen. Raises FleetError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """`after_s` is how long after the canary was made each stage was reached. `failed_at` is the first stage that was
    not, None when it came through, and `why` what is known of that."""

    agent: str
    id: EntryId
    after_s: Mapping[Stage, float]
    failed_at: Stage | None = None
    why: str = ""


def fly(
    agents: Sequence[str],
    *,
    cage: Cage,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    timeout_s: float,
) -> list[Flight]:
    """All at once, `timeout_s` at most; in the order of `agents`."""
    made = {agent: Entry(id=new_entry_id(), ts=now(), source=SOURCE, body=BODY) for agent in agents}
    written: dict[str, float] = {}
    flights: dict[str, Flight] = {}
    for agent, entry in made.items():
        try:
            cage.release(agent, entry)
            written[agent] = now() - entry.ts
        except FleetError as error:
            flights[agent] = Flight(agent=agent, id=entry.id, after_s={}, failed_at="written", why=str(error))
    waited = 0.0
    while len(flights) < len(made):
        for agent, entry in made.items():
            if agent not in flights:
                receipts = cage.receipts(agent, entry.id)
                if state_of(receipts) in ENDS or waited >= timeout_s:
                    flights[agent] = _flight(agent, entry, receipts, written_s=written[agent])
        if len(flights) < len(made):
            sleep(_LOOK_EVERY_S)
            waited += _LOOK_EVERY_S
    for agent, flight in flights.items():
        if flight.failed_at is not None and flight.failed_at != "written":
            _withdraw(cage, agent, flight.id)
    return [flights[agent] for agent in made]


def _flight(agent: str, entry: Entry, receipts: Sequence[Receipt], *, written_s: float) -> Flight:
    after_s: dict[Stage, float] = {"written": written_s}
    for receipt in receipts:
        if receipt.state in ("offered", "seen", "handled"):
            after_s.setdefault(receipt.state, max(0.0, receipt.ts - entry.ts))
    failed_at = next((stage for stage in STAGES if stage not in after_s), None)
    if failed_at is None:
        return Flight(agent=agent, id=entry.id, after_s=after_s)
    state, detail = state_of(receipts), receipts[-1].detail if receipts else ""
    why = f"{state}: {detail}" if detail else f"not in time: it is {state}"
    return Flight(agent=agent, id=entry.id, after_s=after_s, failed_at=failed_at, why=why)


def _withdraw(cage: Cage, agent: str, entry_id: EntryId) -> None:
    try:
        cage.withdraw(agent, entry_id)
    except FleetError:
        return  # its turn is under way: it ends with it

"""A canary tells how long each stage of delivery took, or which one failed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relayfleet.errors import FleetError
from relayfleet.fleet.canary import Flight, fly
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import EntryState, Receipt


class Cage:
    """Gives one more of `story` at each look."""

    def __init__(self, *story: tuple[EntryState, float, str], full: bool = False) -> None:
        self.story, self.full = story, full
        self.looks = 0
        self.withdrawn: list[str] = []
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def release(self, agent: str, entry: Entry) -> None:
        if self.full:
            raise FleetError("append", "No space left on device")
        self.time += 0.25

    def receipts(self, agent: str, entry_id: EntryId) -> Sequence[Receipt]:
        self.looks += 1
        found = self.story[: self.looks]
        return [Receipt(id=entry_id, state=state, ts=1000.0 + after, detail=detail) for state, after, detail in found]

    def withdraw(self, agent: str, entry_id: EntryId) -> None:
        self.withdrawn.append(agent)
        raise FleetError("drop", "it is seen")


def _fly(cage: Cage) -> Flight:
    (flight,) = fly(["coder"], cage=cage, now=cage.now, sleep=cage.sleep, timeout_s=2.0)
    return flight


def test_a_canary_that_comes_through_tells_how_long_each_stage_took() -> None:
    cage = Cage(("offered", 0.5, ""), ("seen", 0.75, ""), ("handled", 1.5, ""))
    flight = _fly(cage)
    assert flight.after_s == {"written": 0.25, "offered": 0.5, "seen": 0.75, "handled": 1.5}
    assert (flight.failed_at, flight.why, cage.withdrawn) == (None, "", [])


@pytest.mark.parametrize(
    ("story", "failed_at", "why"),
    [
        ((), "offered", "not in time: it is queued"),
        ((("offered", 0.5, ""),), "seen", "not in time: it is offered"),
        ((("offered", 0.5, ""), ("dead", 0.9, "no socket")), "seen", "dead: no socket"),
        ((("offered", 0.5, ""), ("seen", 0.6, ""), ("failed", 0.9, "refused")), "handled", "failed: refused"),
    ],
)
def test_a_canary_that_does_not_tells_where_it_was_lost(
    story: tuple[tuple[EntryState, float, str], ...], failed_at: str, why: str
) -> None:
    cage = Cage(*story)
    flight = _fly(cage)
    assert (flight.failed_at, flight.why, cage.withdrawn) == (failed_at, why, ["coder"])


def test_a_canary_that_cannot_be_written_costs_nothing_more() -> None:
    cage = Cage(full=True)
    flight = _fly(cage)
    assert (flight.failed_at, flight.after_s, cage.withdrawn, cage.looks) == ("written", {}, [], 0)
    assert "No space left" in flight.why

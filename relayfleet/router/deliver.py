"""From the deliveries owed to the inboxes.

An entry's id was committed before the entry is appended, and an inbox takes an id once: dying between the append and
the mark `done` makes the delivery again, and nothing comes of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from relayfleet.errors import FleetError
from relayfleet.model.names import EntryId
from relayfleet.ports.clock import Clock
from relayfleet.ports.cursor import Cursor, Owed
from relayfleet.ports.delivery import Transport
from relayfleet.ports.log import Log
from relayfleet.ports.source import Failure
from relayfleet.router.schedule import BackOff, back_off


@dataclass(slots=True)
class _Outcome:
    """What became of a batch. After an agent's first failure its others are not tried: order is kept."""

    delivered: list[EntryId] = field(default_factory=list)
    failed: dict[str, FleetError] = field(default_factory=dict)


class Deliverer:
    def __init__(self, *, cursor: Cursor, transport: Transport, log: Log, clock: Clock, rng: random.Random) -> None:
        self._cursor = cursor
        self._transport = transport
        self._log = log
        self._clock = clock
        self._rng = rng
        self._held_up: dict[str, BackOff] = {}

    async def deliver(self) -> float | None:
        """Delivers what can be delivered. Gives the moment of the next try for what cannot, None when all is done.

        Raises StorageFailed when the cursor refuses.
        """
        while True:
            now = self._clock.monotonic()
            waiting = [agent for agent, hold in self._held_up.items() if hold.until > now]
            batch = self._cursor.owed(besides=waiting)
            if not batch:
                return min((self._held_up[agent].until for agent in waiting), default=None)
            # Appending syncs to the disk; the loop goes on meanwhile.
            outcome = await asyncio.to_thread(_deliver_all, self._transport, batch)
            self._cursor.settle(outcome.delivered, now=self._clock.now())
            self._note(batch, outcome)

    def _note(self, batch: Sequence[Owed], outcome: _Outcome) -> None:
        delivered = set(outcome.delivered)
        for owed in batch:
            if owed.entry.id in delivered:
                self._log.info("router.delivered", agent=owed.agent, entry=owed.entry.id, key=owed.key)
                if owed.agent not in outcome.failed and self._held_up.pop(owed.agent, None) is not None:
                    self._log.info("router.delivery_recovered", agent=owed.agent)
        for agent, error in outcome.failed.items():
            failure = Failure(kind="transport", message=str(error))
            before = self._held_up.get(agent)
            if before is None:
                self._log.warning("router.delivery_failed", f"{error}; it stays owed", agent=agent, hint=error.hint)
            self._held_up[agent] = back_off(before, failure, now=self._clock.monotonic(), jitter=self._rng.random())


def _deliver_all(transport: Transport, batch: Sequence[Owed]) -> _Outcome:
    outcome = _Outcome()
    for owed in batch:
        if owed.agent in outcome.failed:
            continue
        try:
            transport.deliver(owed.agent, owed.entry)
        except FleetError as error:
            outcome.failed[owed.agent] = error
        else:
            outcome.delivered.append(owed.entry.id)
    return outcome

"""From the deliveries owed to the inboxes.

An entry's id was committed before the entry is appended, and an inbox takes an id once: dying between the append and
the mark `done` makes the delivery again, and nothing comes of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from relayfleet.errors import FleetError, LockHeld, StorageFailed, UnknownAgent
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId
from relayfleet.ports.clock import Clock
from relayfleet.ports.cursor import Cursor, Owed
from relayfleet.ports.delivery import Transport
from relayfleet.ports.log import Log
from relayfleet.ports.source import Failure
from relayfleet.router.schedule import BackOff, back_off

# What waits for its time is looked at so often, whatever the clock says: it may jump.
LOOK_S = 30.0
# So many inboxes are written at the same time.
AT_ONCE = 4
# What comes within this time goes together: one write and one sync for each inbox.
GATHER_S = 0.05
# So many deliveries are taken up at a time. When there are more, nothing is gathered before the next lot.
MOST = 500


@dataclass(slots=True)
class _Outcome:
    """What became of a batch, by agent: what arrived, and why something did not."""

    delivered: dict[str, list[EntryId]] = field(default_factory=dict)
    failed: dict[str, FleetError] = field(default_factory=dict)


class Deliverer:
    """`cooldown_s` is the longest that an entry may have to wait by the gate."""

    def __init__(self, *, cursor: Cursor, transport: Transport, log: Log, clock: Clock, rng: random.Random) -> None:
        self._cursor = cursor
        self._transport = transport
        self._log = log
        self._clock = clock
        self._rng = rng
        self._held_up: dict[str, BackOff] = {}
        self.cooldown_s = 0.0

    async def deliver(self) -> float | None:
        """Delivers what can be delivered now. Gives the moment (of the clock that never goes back) of the next try for
        what cannot, None when nothing is owed.

        Raises StorageFailed when the cursor refuses.
        """
        batch: Sequence[Owed] = ()
        while True:
            if len(batch) < MOST:
                await self._clock.sleep(GATHER_S)
            moment, now = self._clock.monotonic(), self._clock.now()
            waiting = [agent for agent, hold in self._held_up.items() if hold.until > moment]
            batch = self._cursor.owed(now=now, ahead_s=self.cooldown_s, besides=waiting, limit=MOST)
            if not batch:
                return self._next_try(waiting, now=now, moment=moment)
            outcome = await self._bring(batch)
            arrived = [entry_id for ids in outcome.delivered.values() for entry_id in ids]
            self._cursor.settle(arrived, now=self._clock.now())
            self._note(outcome)

    async def _bring(self, batch: Sequence[Owed]) -> _Outcome:
        """Several agents at once: the disk syncs what comes together in one go."""
        groups: dict[str, list[Entry]] = {}
        for owed in batch:
            groups.setdefault(owed.agent, []).append(owed.entry)
        lots = [dict(islice(groups.items(), start, None, AT_ONCE)) for start in range(min(AT_ONCE, len(groups)))]
        outcome = _Outcome()
        # Appending syncs to the disk; the loop goes on meanwhile.
        for one in await asyncio.gather(*(asyncio.to_thread(_deliver_all, self._transport, lot) for lot in lots)):
            outcome.delivered |= one.delivered
            outcome.failed |= one.failed
        return outcome

    def _next_try(self, waiting: Sequence[str], *, now: float, moment: float) -> float | None:
        moments = [self._held_up[agent].until for agent in waiting]
        due = self._cursor.due_at(besides=waiting)
        if due is not None:
            # What is due and was not given cannot be read: it is no use to look again at once.
            moments.append(moment + (min(LOOK_S, due - now) if due > now else LOOK_S))
        return min(moments, default=None)

    def _note(self, outcome: _Outcome) -> None:
        for agent, ids in outcome.delivered.items():
            self._log.info("router.delivered", agent=agent, entries=ids)
            if agent not in outcome.failed and self._held_up.pop(agent, None) is not None:
                self._log.info("router.delivery_recovered", agent=agent)
        for agent, error in outcome.failed.items():
            failure = Failure(kind="transport", message=str(error))
            before = self._held_up.get(agent)
            if before is None:
                self._log.warning("router.delivery_failed", f"{error}; it stays owed", agent=agent, hint=error.hint)
            self._held_up[agent] = back_off(before, failure, now=self._clock.monotonic(), jitter=self._rng.random())


def _deliver_all(transport: Transport, groups: Mapping[str, Sequence[Entry]]) -> _Outcome:
    outcome = _Outcome()
    for agent, entries in groups.items():
        try:
            transport.deliver(agent, entries)
        except (StorageFailed, UnknownAgent, LockHeld) as error:
            outcome.failed[agent] = error
        except FleetError:
            _deliver_singly(transport, agent, entries, outcome)
        else:
            outcome.delivered[agent] = [entry.id for entry in entries]
    return outcome


def _deliver_singly(transport: Transport, agent: str, entries: Sequence[Entry], outcome: _Outcome) -> None:
    """One entry that the inbox does not take must not keep back the others."""
    for entry in entries:
        try:
            transport.deliver(agent, [entry])
        except FleetError as error:
            outcome.failed[agent] = error
        else:
            outcome.delivered.setdefault(agent, []).append(entry.id)

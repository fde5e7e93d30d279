"""Lets canaries out into the inboxes of this machine's agents."""

from __future__ import annotations

import time
from collections.abc import Sequence

from relayfleet.client.decision import have_heeded
from relayfleet.client.wake import wake
from relayfleet.model.entry import Entry
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import Receipt
from relayfleet.store.inbox import append_new
from relayfleet.store.receipts import ReceiptWatch, decide
from relayfleet.store.sockets import sockets_of


class LocalCage:
    """Implements `fleet.canary.Cage`."""

    def __init__(self, layout: FleetLayout, fleet_id: str) -> None:
        self._layout = layout
        self._fleet_id = fleet_id
        self._watches: dict[EntryId, ReceiptWatch] = {}

    def release(self, agent: str, entry: Entry) -> None:
        append_new(self._layout.agent(agent).inbox, entry)
        wake(sockets_of(self._fleet_id).wake(agent))

    def receipts(self, agent: str, entry_id: EntryId) -> Sequence[Receipt]:
        watch = self._watches.get(entry_id)
        if watch is None:
            watch = self._watches[entry_id] = ReceiptWatch(self._layout.agent(agent).receipts, [entry_id])
        return watch.look()[entry_id]

    def withdraw(self, agent: str, entry_id: EntryId) -> None:
        decide(self._layout.agent(agent).receipts, [entry_id], state="dropped", now=time.time())
        have_heeded(self._layout, self._fleet_id, agent)

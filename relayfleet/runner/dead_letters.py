"""Receipts that tell the user of dead letters."""

from __future__ import annotations

from collections.abc import Iterable

from relayfleet.model.notice import Notice
from relayfleet.model.receipt import Receipt
from relayfleet.ports.delivery import Receipts
from relayfleet.ports.notifier import Notifier


class ToldReceipts:
    """Implements ports.Receipts over others. Who is told is told of what is on disk."""

    def __init__(self, receipts: Receipts, notifier: Notifier, *, agent: str) -> None:
        self._receipts = receipts
        self._notifier = notifier
        self._agent = agent

    def append(self, *receipts: Receipt) -> None:
        """Raises StorageFailed."""
        self._receipts.append(*receipts)
        for receipt in receipts:
            if receipt.state == "dead":
                more = {"entry": {"id": receipt.id}}
                self._notifier.notify(
                    Notice(event="dead_letter", ts=receipt.ts, agent=self._agent, detail=receipt.detail, more=more)
                )

    def read_all(self) -> Iterable[Receipt]:
        return self._receipts.read_all()

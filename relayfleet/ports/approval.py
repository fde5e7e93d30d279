"""What is kept of approvals: what was asked and answered, and the answers that were given once and for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from relayfleet.model.approval import ApprovalId, Behaviour
from relayfleet.model.names import EntryId
from relayfleet.model.permission import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What became of one approval: it was `raised`, somebody or something `decided` it, or it was `withdrawn` because
    nothing waits for an answer any more. `ts` in seconds since the epoch."""

    id: ApprovalId
    ts: float
    state: Literal["raised", "decided", "withdrawn"]
    tool: str
    entry: EntryId | None = None
    behaviour: Behaviour | None = None
    by: str = ""
    reason: str = ""


class Rulings(Protocol):
    """The record of one agent's approvals."""

    def append(self, ruling: Ruling) -> None:
        """Durable when it returns. Raises StorageFailed."""
        ...


class RememberedRules(Protocol):
    """The answers of `--always`."""

    def load(self) -> Sequence[Rule]:
        """None at all when what is there cannot be read: then a person is asked again."""
        ...

    def add(self, rule: Rule) -> None:
        """Durable when it returns. Raises StorageFailed."""
        ...

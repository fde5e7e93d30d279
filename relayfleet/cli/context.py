"""What every verb is given: the fleet's folder, how to print, and who calls."""

from __future__ import annotations

from dataclasses import dataclass

from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`caller` is the agent from inside whose session the verb was called, None for an operator."""

    layout: FleetLayout
    json: bool
    caller: AgentName | None

"""What `fleet start` and `fleet stop` write of an agent."""

from __future__ import annotations

from typing import Literal

from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import FleetLayout
from relayfleet.store.files import make_private_folder, write_atomic
from relayfleet.store.intent import write_intent
from relayfleet.wire.launch import encode_launch


class LocalAgentFiles:
    def __init__(self, layout: FleetLayout) -> None:
        self._layout = layout

    def want(self, name: str, wanted: Literal["running", "stopped"], *, queued: str = "") -> None:
        write_intent(self._layout.agent(name).intent, wanted, queued=queued)

    def write_launch(self, spec: AgentSpec) -> None:
        agent = self._layout.agent(spec.name)
        make_private_folder(agent.state)
        agent.failure.unlink(missing_ok=True)
        write_atomic(agent.launch, encode_launch(spec))

"""The launch file: a resolved `AgentSpec` as JSON, written by `fleet start`, read by the runner.

It exists so that the runner, of which there is one per agent, need not import the configuration models.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from relayfleet.model.agent import AgentSpec, Claude, Credential, Delivery, Endpoint, Runtime

VERSION = 1


def encode_launch(spec: AgentSpec) -> bytes:
    return json.dumps({"version": VERSION, "agent": dataclasses.asdict(spec)}, indent=1).encode() + b"\n"


def decode_launch(data: bytes) -> AgentSpec:
    """Raises ValueError when `data` is not a launch file of a version known here."""
    record = json.loads(data)
    if record.get("version") != VERSION:
        raise ValueError(f"launch file of version {record.get('version')!r}, this program reads {VERSION}")
    agent: dict[str, Any] = record["agent"]
    claude: dict[str, Any] = agent.pop("claude")
    endpoint = Endpoint(**claude.pop("endpoint"))
    command, args = tuple(claude.pop("command")), tuple(claude.pop("args"))
    credentials = {
        name: Credential(**{**c, "from_command": tuple(c["from_command"]) if c["from_command"] else None})
        for name, c in agent.pop("credentials").items()
    }
    return AgentSpec(
        claude=Claude(command=command, args=args, endpoint=endpoint, **claude),
        runtime=Runtime(**agent.pop("runtime")),
        delivery=Delivery(**agent.pop("delivery")),
        credentials=credentials,
        **agent,
    )

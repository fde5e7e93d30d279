"""The launch file: a resolved `AgentSpec` as JSON, written by `fleet start`, read by the runner.

It exists so that the runner, of which there is one per agent, need not import the configuration models.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from relayfleet.model.agent import AgentSpec, Claude, Credential, Endpoint, InboxPolicy, Runtime, Session
from relayfleet.model.notice import Notify
from relayfleet.model.permission import Permissions, Rule

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
    # Not there, or under another name (`delivery`), in files that were written before.
    permissions: dict[str, Any] = agent.pop("permissions", {})
    notify: dict[str, Any] | None = agent.pop("notify", None)
    rules = tuple(Rule(**rule) for rule in permissions.get("rules", ()))
    return AgentSpec(
        claude=Claude(command=command, args=args, endpoint=endpoint, **claude),
        runtime=Runtime(**agent.pop("runtime")),
        session=Session(**agent.pop("session", {})),
        inbox=InboxPolicy(**(agent.pop("inbox", None) or agent.pop("delivery"))),
        permissions=Permissions(**{**permissions, "rules": rules}),
        notify=Notify(**{**notify, "command": tuple(notify["command"])}) if notify else None,
        credentials=credentials,
        **agent,
    )

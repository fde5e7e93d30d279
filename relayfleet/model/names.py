"""Names of agents, and which ones are refused; names of roles, and ids of fleets.

A name becomes a folder, a socket, a process title and later a container name, on case-insensitive file systems too.
"""

from __future__ import annotations

import re
from typing import Literal, NewType, get_args

AgentName = NewType("AgentName", str)
EntryId = NewType("EntryId", str)
SessionId = NewType("SessionId", str)

Role = Literal["base", "coder", "reviewer", "manager", "orchestrator"]
ROLES: tuple[Role, ...] = get_args(Role)

FLEET_ID_DIGITS = 12
_FLEET_ID = re.compile(f"[0-9a-f]{{{FLEET_ID_DIGITS}}}")

MAX_LENGTH = 40
_SHAPE = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*\Z")

# Windows refuses to create files of these names; the others are words that commands and senders use for something else.
RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))}
    | {"all", "fleet", "router", "gateway", "operator", "github", "system", "supervisor", "relayfleet", "base", "none"}
    | {"retry", "drop", "doctor"}
)


def fault_of_name(name: str) -> str | None:
    """Why `name` cannot be an agent's name, or None when it can."""
    if not name:
        return "the name is empty"
    if len(name) > MAX_LENGTH:
        return f"the name has {len(name)} characters, at most {MAX_LENGTH} are allowed"
    if not _SHAPE.match(name):
        return (
            "a name is made of lower-case letters, digits, and single '-' or '_' between them, and begins with a letter"
        )
    if name in RESERVED:
        return f"{name!r} is reserved"
    return None


def is_fleet_id(text: str) -> bool:
    """The id becomes the name of a folder for sockets."""
    return _FLEET_ID.fullmatch(text) is not None

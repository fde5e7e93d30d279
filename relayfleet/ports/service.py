"""The service manager of the machine: what starts a fleet's supervisor at boot, and again when it dies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is to be kept running for one fleet: `argv` in `root`. `environment` holds no secret."""

    fleet_id: str
    fleet_name: str
    root: Path
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the service manager has of a fleet. `definition` is None where there is none. `enabled`: it starts by itself
    (`linger`, where there is such a thing: without its user being logged in). `detail` is the manager's own word."""

    definition: str | None
    enabled: bool = False
    active: bool = False
    pid: int | None = None
    linger: bool | None = None
    detail: str = ""


class ServiceManager(Protocol):
    """One kind of service manager. What cannot be done raises FleetError."""

    @property
    def kind(self) -> str:
        """In words: `systemd user unit`, `launchd agent`, `scheduled task` ..."""
        ...

    def name(self, fleet_id: str) -> str:
        """What the service is called there."""
        ...

    def place(self, fleet_id: str) -> str:
        """Where its definition lies."""
        ...

    def log_command(self, fleet_id: str) -> str:
        """The command that shows what it printed."""
        ...

    def define(self, service: Service) -> str:
        """The definition. Pure; raises FleetError when the service cannot be written down."""
        ...

    def environment_of(self, definition: str) -> Mapping[str, str]:
        """What was recorded in a definition; empty when it is not one of ours."""
        ...

    def look(self, fleet_id: str) -> Installed: ...

    def install(self, service: Service) -> None:
        """Writes the definition, enables it, and starts it anew. Installed already is fine."""
        ...

    def uninstall(self, fleet_id: str) -> None:
        """Stops and disables it and takes the definition away. None being there is fine."""
        ...

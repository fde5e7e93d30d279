"""Files on the disk: who may write them, what was left behind, how much room they take."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.model.agent import AgentSpec
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.machine import Machine

_MB = 1024 * 1024
_MUCH_BYTES = 2048 * _MB
_LITTLE_BYTES = 1024 * _MB
_TOO_LITTLE_BYTES = 100 * _MB


def check_modes(layout: FleetLayout, agents: Sequence[AgentSpec]) -> Iterable[Finding]:
    """Windows has no such modes."""
    if sys.platform == "win32":
        return
    writable = [layout.fleet_json, layout.routes_json]
    private = [layout.state]
    for spec in agents:
        agent = layout.agent(spec.name)
        writable += [agent.config, agent.persona]
        private.append(agent.state)
    for path in writable:
        if path.exists() and path.stat().st_mode & 0o022:
            yield broken(_name(layout, path), "others can write to it", f"chmod go-w {path}")
    for path in private:
        if path.exists() and path.stat().st_mode & 0o077:
            yield warning(_name(layout, path), "others can look into it", f"chmod 700 {path}")


def check_leftovers(layout: FleetLayout) -> Iterable[Finding]:
    """What a process that was killed in the middle of a change left."""
    for path in sorted([*layout.agents.glob(".new-*"), *layout.root.glob(".*.tmp"), *layout.agents.glob("*/.*.tmp")]):
        yield warning(_name(layout, path), "a change that was cut short left it", f"rm -r {path}")
    for folder in sorted(layout.agents.glob("*/")):
        if not folder.name.startswith(".") and not (folder / "config.json").exists():
            yield warning(
                _name(layout, folder),
                "it is no agent: it has no config.json",
                f"`fleet new-agent {folder.name} --role <role> --force` makes it one; or move it away",
            )


def check_sockets(layout: FleetLayout, folder: Path | None, machine: Machine) -> Iterable[Finding]:
    """Sockets whose owner is gone. A daemon that starts replaces its own."""
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        daemon = path.name.partition(".")[0]
        lock = layout.router_lock if daemon == "router" else layout.agent(daemon).runner_lock
        if machine.lock_holder(lock) is None:
            yield warning(str(path), "its owner is gone", f"rm {path}")


def check_disk(layout: FleetLayout, machine: Machine) -> Iterable[Finding]:
    used = {"state": _bytes_below(layout.state)}
    for state in sorted(layout.agents.glob("*/state")):
        used[f"agents/{state.parent.name}/state"] = _bytes_below(state)
    for place, size in used.items():
        if size > _MUCH_BYTES:
            yield warning(place, f"it takes {size // _MB} MB", f"look at what is large: du -ah {layout.root / place}")
    free = machine.free_bytes(layout.root)
    what = f"state takes {sum(used.values()) // _MB} MB, {free // _MB} MB are free"
    if free < _TOO_LITTLE_BYTES:
        yield broken("disk", what, "free some space: deliveries stop when the disk is full")
    elif free < _LITTLE_BYTES:
        yield warning("disk", what, "free some space")
    else:
        yield ok("disk", what)


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue  # gone while we looked
    return total


def _name(layout: FleetLayout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()

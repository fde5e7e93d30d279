"""Files on the disk: who may write them, what was left behind, how much room they take."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.machine import Machine

_MB = 1024 * 1024
_MUCH_BYTES = 2048 * _MB
_LITTLE_BYTES = 1024 * _MB
_TOO_LITTLE_BYTES = 100 * _MB


def open_modes(layout: FleetLayout) -> Iterable[tuple[Path, int]]:
    """What others can write to, or look into, with the mode that it should have. Windows has no such modes."""
    if sys.platform == "win32":
        return
    folders = [folder for folder in sorted(layout.agents.glob("*/")) if (folder / "config.json").exists()]
    agents = [layout.agent(folder.name) for folder in folders]
    writable = [layout.fleet_json, layout.routes_json]
    writable += [path for agent in agents for path in (agent.config, agent.persona)]
    for path in writable:
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o022:
            yield path, mode & ~0o022
    for path in [layout.state, *(agent.state for agent in agents)]:
        if path.exists() and path.stat().st_mode & 0o077:
            yield path, 0o700


def check_modes(layout: FleetLayout) -> Iterable[Finding]:
    for path, wanted in open_modes(layout):
        if path.is_dir():
            yield warning(_name(layout, path), "others can look into it", f"chmod {wanted:o} {path}")
        else:
            yield broken(_name(layout, path), "others can write to it", f"chmod go-w {path}")


def leftovers(layout: FleetLayout) -> list[Path]:
    """What a process that was killed in the middle of a change left."""
    return sorted([*layout.agents.glob(".new-*"), *layout.root.glob(".*.tmp"), *layout.agents.glob("*/.*.tmp")])


def check_leftovers(layout: FleetLayout) -> Iterable[Finding]:
    for path in leftovers(layout):
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
    for path, owner in sockets_by_owner(layout, folder):
        if machine.lock_holder(owner) is None:
            yield warning(str(path), "its owner is gone", f"rm {path}")


def sockets_by_owner(layout: FleetLayout, folder: Path | None) -> Iterable[tuple[Path, Path]]:
    """Every socket, with the lock that its owner holds while it lives."""
    if folder is None or not folder.is_dir():
        return
    daemons = {"router": layout.router_lock, "supervisor": layout.supervisor_lock}
    for path in sorted(folder.iterdir()):
        daemon = path.name.partition(".")[0]
        yield path, daemons.get(daemon) or layout.agent(daemon).runner_lock


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

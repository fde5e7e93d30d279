"""`fleet service install|uninstall|status`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say

if TYPE_CHECKING:
    from relayfleet.fleet.service import ServiceStatus


def install(ctx: Context) -> int:
    """--json: as `status`."""
    from relayfleet.bootstrap.service import service_control

    status = service_control(ctx.layout).install()
    if ctx.json:
        return _show_json(status)
    emit(f"{'installed' if status.changed else 'already installed'}: {status.kind} {status.name}")
    _show(status)
    return 0


def uninstall(ctx: Context) -> int:
    """--json: as `status`."""
    from relayfleet.bootstrap.service import service_control

    status = service_control(ctx.layout).uninstall()
    if ctx.json:
        return _show_json(status)
    emit(f"{'uninstalled' if status.changed else 'not installed'}: {status.kind} {status.name}")
    if status.changed:
        say("agents that were running run on; `fleet stop --all` stops them")
        if status.linger:
            say("your user still lingers, which other services may need; `loginctl disable-linger` ends that")
    return 0


def status(ctx: Context) -> int:
    """1 when it is not installed, or not running.

    --json: {"version": 1, "changed", "kind", "name", "place", "installed", "enabled", "active", "pid", "linger",
    "detail", "log_command", "differences": [...], "not_found": [...], "not_passed": [...]}.
    """
    from relayfleet.bootstrap.service import service_control

    found = service_control(ctx.layout).status()
    sound = found.installed and found.active
    if ctx.json:
        _show_json(found)
        return 0 if sound else 1
    emit(f"{found.kind} {found.name}")
    _show(found)
    return 0 if sound else 1


def _show_json(status: ServiceStatus) -> int:
    emit_json({"version": 1, **dataclasses.asdict(status)})
    return 0


def _show(status: ServiceStatus) -> None:
    if not status.installed:
        emit("installed  no (`fleet service install`)")
        return
    emit(f"installed  {status.place}")
    emit(f"enabled    {_yes(status.enabled)}")
    running = f"yes, process {status.pid}" if status.active and status.pid else _yes(status.active)
    emit(f"active     {running}: {status.detail}" if status.detail else f"active     {running}")
    if status.linger is not None:
        emit(f"linger     {'yes' if status.linger else 'no: it ends when you log out'}")
    emit(f"log        {status.log_command}")
    if status.differences:
        emit("differs    from what `fleet service install` would write now:")
        for line in status.differences:
            emit(f"  {line}")
    for program in status.not_found:
        emit(f"warning    {program} is not on the service's PATH: install it, then `fleet service install`")
    for variable in status.not_passed:
        emit(f"warning    {variable} is set here, and the service does not get it: see docs/service.md")


def _yes(value: bool) -> str:
    return "yes" if value else "no"

"""What installs the fleet's service with the service manager of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relayfleet.bootstrap.agents import scaffolder
from relayfleet.bootstrap.programs import fleet_bin
from relayfleet.errors import FleetError

if TYPE_CHECKING:
    from relayfleet.fleet.service import ServiceControl
    from relayfleet.model.layout import FleetLayout
    from relayfleet.ports.service import ServiceManager


def service_control(layout: FleetLayout) -> ServiceControl:
    """What installs the fleet's service. Raises FleetError."""
    import os

    from relayfleet.config.load import inspect_all
    from relayfleet.fleet.port import is_port_free
    from relayfleet.fleet.service import ServiceControl, programs_of, service_of, variables_of
    from relayfleet.store.machine import LocalMachine

    fleet_id = scaffolder(layout).ensure_id()
    found = inspect_all(layout)
    name = found.fleet.name if found.fleet is not None else layout.root.name
    program = fleet_bin() / ("fleet.exe" if sys.platform == "win32" else "fleet")
    return ServiceControl(
        service_manager(layout),
        service_of(fleet_id, name, layout.root, program=program, environ=os.environ),
        LocalMachine(environ=os.environ, port_free=is_port_free),
        supervisor_lock=layout.supervisor_lock,
        programs=programs_of(found),
        variables=variables_of(found),
    )


def service_manager(layout: FleetLayout) -> ServiceManager:
    """The service manager of this machine. Raises FleetError when there is none that a service can be given to."""
    import getpass
    import os

    from relayfleet.fleet.port import is_port_free
    from relayfleet.store.disk import LocalDisk
    from relayfleet.store.machine import LocalMachine

    disk = LocalDisk()
    if sys.platform == "win32":
        from relayfleet.backends.task_scheduler import TaskScheduler

        machine = LocalMachine(environ=os.environ, port_free=is_port_free)
        user = f"{os.environ.get('USERDOMAIN', '.')}\\{getpass.getuser()}"
        return TaskScheduler(machine, disk, folder=layout.state, user=user)
    else:
        import pwd

        user_id = os.geteuid()
        account = pwd.getpwuid(user_id)
        home = Path(account.pw_dir)
        if sys.platform == "darwin":
            from relayfleet.backends.launchd import Launchd

            machine = LocalMachine(environ=os.environ, port_free=is_port_free)
            library = Path("/Library") if user_id == 0 else home / "Library"
            return Launchd(
                machine,
                disk,
                folder=library / ("LaunchDaemons" if user_id == 0 else "LaunchAgents"),
                logs=library / "Logs",
                domain="system" if user_id == 0 else f"gui/{user_id}",
            )
        from relayfleet.backends.systemd import SYSTEM_UNITS, Systemd

        if not Path("/run/systemd/system").is_dir():
            raise FleetError(
                "use a service of this machine",
                "systemd does not run on this machine",
                hint="have what starts your programs at boot run `fleet --root <folder> up -d` (cron: `@reboot`)",
            )
        # Not what the shell says: it may be another user's, or none, after `su` and in cron jobs.
        environ = {**os.environ, "XDG_RUNTIME_DIR": f"/run/user/{user_id}"}
        return Systemd(
            LocalMachine(environ=environ, port_free=is_port_free),
            disk,
            folder=SYSTEM_UNITS if user_id == 0 else home / ".config" / "systemd" / "user",
            user=account.pw_name,
            is_system=user_id == 0,
        )

"""Where this program is, and how its daemons are started."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relayfleet.model.layout import FleetLayout
    from relayfleet.ports.daemon import Backend, Handle


def launch_runner(backend: Backend, layout: FleetLayout, name: str) -> Handle:
    """Launches a runner that gives way when it is not wanted any more, or somebody else was quicker."""
    agent = layout.agent(name)
    argv = _argv(layout, "agent", name, "--if-wanted")
    return backend.launch(argv, folder=agent.dir, errors=agent.state / "runner.err")


def launch_router(backend: Backend, layout: FleetLayout) -> Handle:
    """Launches a router that gives way, as a runner does."""
    argv = _argv(layout, "router", "--if-wanted")
    return backend.launch(argv, folder=layout.root, errors=layout.state / "router.err")


def launch_supervisor(backend: Backend, layout: FleetLayout) -> Handle:
    """Launches a supervisor."""
    return backend.launch(_argv(layout, "supervisor"), folder=layout.root, errors=layout.state / "supervisor.err")


def _argv(layout: FleetLayout, *words: str) -> list[str]:
    """The command line of a daemon: this interpreter, this program, this fleet."""
    return [sys.executable, "-m", "relayfleet", "run", *words, "--root", str(layout.root)]


def fleet_bin() -> Path:
    """The folder of the `fleet` command that belongs to this program."""
    from relayfleet.store.root import CHECKOUT

    beside = Path(sys.executable).with_name("fleet")
    return beside.parent if beside.exists() else CHECKOUT / "bin"


def plugin_folders(layout: FleetLayout) -> tuple[Path, ...]:
    """The root's plugins, then those shipped (inside the package, or in the checkout)."""
    from relayfleet.store.root import CHECKOUT

    package = Path(__file__).parents[1] / "plugins"
    shipped = package if package.is_dir() else CHECKOUT / "plugins"
    return (layout.plugins, shipped)

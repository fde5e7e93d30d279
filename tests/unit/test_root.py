"""Which folder is the fleet's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relayfleet.errors import FleetError, UsageError
from relayfleet.store.root import filesystem_of, find_root


@pytest.fixture
def fleets(tmp_path: Path) -> Path:
    for name in ("given", "named", "near/agents/coder"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "near" / "fleet.json").write_text("{}")
    return tmp_path.resolve()


def test_the_order_is_option_then_variable_then_parent(fleets: Path) -> None:
    inside, environ = fleets / "near" / "agents" / "coder", {"RELAYFLEET_ROOT": str(fleets / "named")}
    assert find_root(str(fleets / "given"), cwd=inside, environ=environ) == fleets / "given"
    assert find_root(None, cwd=inside, environ=environ) == fleets / "named"
    assert find_root(None, cwd=inside, environ={}) == fleets / "near"


@pytest.mark.parametrize("given", ["nowhere", "near/fleet.json"])
def test_a_root_that_is_no_folder_is_a_fault_of_the_command_line(fleets: Path, given: str) -> None:
    with pytest.raises(UsageError, match="--root names no folder"):
        find_root(str(fleets / given), cwd=fleets, environ={})
    with pytest.raises(UsageError, match="RELAYFLEET_ROOT names no folder"):
        find_root(None, cwd=fleets, environ={"RELAYFLEET_ROOT": str(fleets / given)})


def test_a_named_root_is_made_when_a_fleet_is_created(fleets: Path) -> None:
    assert find_root(str(fleets / "a" / "b"), cwd=fleets, environ={}, creating=True) == fleets / "a" / "b"


def test_a_link_is_followed(fleets: Path) -> None:
    (fleets / "link").symlink_to("near")
    assert find_root(str(fleets / "link"), cwd=fleets, environ={}) == fleets / "near"


def test_somebody_elses_fleet_is_refused(fleets: Path) -> None:
    foreign = Path("/")
    if os.geteuid() == 0:
        foreign = fleets / "near"
        os.chown(foreign, 65534, 65534)
    with pytest.raises(FleetError, match="cannot use root") as failure:
        find_root(str(foreign), cwd=fleets, environ={})
    assert "run as its owner" in failure.value.hint


def test_the_kind_of_file_system_is_known_here() -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"
    assert filesystem_of(Path("/")) != ""

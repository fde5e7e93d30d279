"""The folder of the sockets is this user's alone, or it is not used."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator

import pytest

from relayfleet.errors import FleetError
from relayfleet.store.sockets import make_sockets, sockets_of


@pytest.fixture
def fleet_id() -> Iterator[str]:
    made = secrets.token_hex(8)
    yield made
    folder = sockets_of(made).folder
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def test_it_is_private_and_the_same_each_time(fleet_id: str) -> None:
    made = make_sockets(fleet_id)
    assert make_sockets(fleet_id) == made == sockets_of(fleet_id)
    assert made.folder.stat().st_mode & 0o777 == 0o700
    assert made.folder.stat().st_uid == os.geteuid()
    assert made.control("coder") != made.wake("coder")


@pytest.mark.parametrize("what", ["link", "file", "open to others"])
def test_what_somebody_put_in_its_place_is_not_used(fleet_id: str, what: str) -> None:
    folder = sockets_of(fleet_id).folder
    make_sockets(fleet_id).folder.rmdir()
    if what == "link":
        folder.symlink_to("/tmp")
    elif what == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o755)
    with pytest.raises(FleetError, match="not a folder of this user alone") as failure:
        make_sockets(fleet_id)
    assert str(folder) in failure.value.hint

"""What every `Disk` promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from relayfleet.errors import StorageFailed
from relayfleet.ports.machine import Disk
from relayfleet.store.disk import LocalDisk
from relayfleet.testing import FailingDisk


@pytest.fixture(params=[LocalDisk, FailingDisk])
def disk(request: pytest.FixtureRequest) -> Disk:
    made: Disk = request.param()
    return made


def test_a_write_replaces_the_whole_file(disk: Disk, tmp_path: Path) -> None:
    disk.write(tmp_path / "x", b"longer", mode=0o644)
    disk.write(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_folders_are_private_and_may_be_there(disk: Disk, tmp_path: Path) -> None:
    for _ in range(2):
        disk.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_rename_replaces_a_file_but_no_folder_that_holds_something(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / "y").write_text("y")
    disk.rename(tmp_path / "x", tmp_path / "y")
    assert (tmp_path / "y").read_text() == "x"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "held").touch()
    with pytest.raises(StorageFailed, match="cannot rename"):
        disk.rename(tmp_path / "a", tmp_path / "b")
    with pytest.raises(StorageFailed, match="cannot rename"):
        disk.rename(tmp_path / "nothing", tmp_path / "c")


def test_removing_what_is_not_there_is_fine(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for _ in range(2):
        disk.remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_fails_did_not_happen(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="cannot write"):
        disk.write(tmp_path / "nowhere" / "x", b"")
    assert not list(tmp_path.iterdir())

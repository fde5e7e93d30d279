"""Lending credentials: from one source to one place, and no value in any error."""

from __future__ import annotations

from pathlib import Path

import pytest

from relayfleet.errors import FleetError
from relayfleet.harness.credentials import lend
from relayfleet.model.agent import Credential

SECRET = "the-secret-value"


def test_each_source_and_each_place(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    found = lend(
        {
            "env": Credential(from_env="THERE", as_env="A"),
            "file": Credential(from_file=str(tmp_path / "key"), as_env="B"),
            "command": Credential(from_command=("printf", SECRET), as_env="C"),
            "placed": Credential(from_env="THERE", as_file="deep/key", mode="0400"),
        },
        operator={"THERE": SECRET},
        folder=tmp_path / "lent",
    )
    assert found == {"A": SECRET, "B": SECRET, "C": SECRET}
    placed = tmp_path / "lent" / "deep" / "key"
    assert placed.read_text() == SECRET
    assert placed.stat().st_mode & 0o777 == 0o400
    assert placed.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_of_ours_is_renewed_and_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    folder, foreign = tmp_path / "lent", tmp_path / "id_ed25519"
    for value in ("old", "new", "new"):
        lend({"k": Credential(from_env="K", as_file="key")}, operator={"K": value}, folder=folder)
    assert (folder / "key").read_text() == "new"
    foreign.write_text("the operator's own")
    with pytest.raises(FleetError, match="there already with another content"):
        lend({"k": Credential(from_env="K", as_file=str(foreign))}, operator={"K": SECRET}, folder=folder)
    assert foreign.read_text() == "the operator's own"


@pytest.mark.parametrize(
    ("credential", "says"),
    [
        (Credential(from_env="MISSING", as_env="X"), "MISSING is not set here"),
        (Credential(from_env="EMPTY", as_env="X"), "EMPTY is not set here"),
        (Credential(from_file="/nowhere/key", as_env="X"), "No such file"),
        (Credential(from_command=("/nowhere/program", SECRET), as_env="X"), "did not run: FileNotFoundError"),
        (Credential(from_command=("sh", "-c", f"echo {SECRET}; exit 3"), as_env="X"), "ended with 3"),
        (Credential(from_command=("true",), as_env="X"), "gave nothing"),
    ],
)
def test_what_cannot_be_had_is_named_without_its_value(tmp_path: Path, credential: Credential, says: str) -> None:
    with pytest.raises(FleetError, match=f"cannot lend credential 'mine': .*{says}") as failure:
        lend({"mine": credential}, operator={"EMPTY": ""}, folder=tmp_path)
    assert SECRET not in f"{failure.value} {failure.value.hint}"

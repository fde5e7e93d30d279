"""What agents wrote on GitHub, as their runners recorded it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayfleet.model.layout import FleetLayout
from relayfleet.store.authorship import FileAuthorship

COMMENT = "https://github.com/acme/WMS/issues/41#issuecomment-7"


@pytest.fixture
def layout(tmp_path: Path) -> FleetLayout:
    return FleetLayout(tmp_path)


def agent(layout: FleetLayout, name: str, **config: Any) -> None:
    folder = layout.agent(name)
    folder.state.mkdir(parents=True, exist_ok=True)
    folder.config.write_text(json.dumps(config))


def wrote(layout: FleetLayout, name: str, *lines: dict[str, Any] | str) -> None:
    with (layout.agent(name).state / "authored.jsonl").open("a") as file:
        file.writelines(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)


def test_what_was_written_is_known_by_its_address(layout: FleetLayout) -> None:
    agent(layout, "coder")
    agent(layout, "reviewer")
    known = FileAuthorship(layout, look_s=0.0)
    assert known.author(COMMENT, "operator") == ""
    wrote(layout, "coder", {"at": 5.0, "url": COMMENT})
    assert known.author(COMMENT, "operator") == "coder"
    assert known.author(COMMENT.lower(), "") == "coder"
    assert known.author("", "operator") == known.author(COMMENT + "1", "operator") == ""


def test_a_login_of_its_own(layout: FleetLayout) -> None:
    agent(layout, "coder", github={"login": "Fleet-Coder"})
    known = FileAuthorship(layout, look_s=0.0)
    assert known.author("", "fleet-coder") == "coder"
    assert known.author("", "") == ""
    agent(layout, "newcomer", port="a fault", github={"login": "newcomer[bot]"})
    assert known.author("", "newcomer[bot]") == "newcomer"


def test_who_touched_what_and_when(layout: FleetLayout) -> None:
    agent(layout, "coder")
    wrote(
        layout,
        "coder",
        {"at": 100.0, "repo": "acme/WMS", "number": 41},
        {"at": 200.0, "repo": "", "number": 7},
        "torn {",
        {"at": "soon", "url": 3},
    )
    known = FileAuthorship(layout, look_s=0.0)
    assert known.touched("coder", "Acme/wms", 41, since=99.0)
    assert not known.touched("coder", "acme/WMS", 41, since=100.0)
    assert not known.touched("coder", "acme/other", 41, since=0.0)
    # The call did not say of which repository.
    assert known.touched("coder", "acme/other", 7, since=0.0)
    assert not known.touched("nobody", "acme/WMS", 41, since=0.0)


def test_a_file_that_was_cut_is_read_anew_and_an_agent_that_is_gone_wrote_nothing(layout: FleetLayout) -> None:
    agent(layout, "coder")
    wrote(layout, "coder", {"at": 1.0, "url": COMMENT}, {"at": 2.0, "url": COMMENT + "8"})
    known = FileAuthorship(layout, look_s=0.0)
    assert known.author(COMMENT, "") == "coder"
    (layout.agent("coder").state / "authored.jsonl").write_text(json.dumps({"at": 2.0, "url": COMMENT + "8"}) + "\n")
    assert known.author(COMMENT, "") == ""
    assert known.author(COMMENT + "8", "") == "coder"
    layout.agent("coder").config.unlink()
    assert known.author(COMMENT + "8", "") == ""

"""What every `SessionFile` promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relayfleet.model.names import SessionId
from relayfleet.ports.session import SessionFile
from relayfleet.store.session import JsonSessionFile
from relayfleet.testing import MemorySessionFile

KINDS: dict[str, Callable[[Path], SessionFile]] = {
    "file": lambda folder: JsonSessionFile(folder / "session.json"),
    "memory": lambda folder: MemorySessionFile(),
}


@pytest.fixture(params=KINDS)
def session_file(request: pytest.FixtureRequest, tmp_path: Path) -> SessionFile:
    return KINDS[request.param](tmp_path)


def test_it_remembers_what_was_saved_last(session_file: SessionFile) -> None:
    assert session_file.load() is None
    for word in ("one", "two"):
        session_file.save(SessionId(word))
        assert session_file.load() == word
        assert session_file.load() == word

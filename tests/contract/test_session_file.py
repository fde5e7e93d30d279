"""What every `SessionFile` promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relayfleet.errors import StorageFailed
from relayfleet.model.conversation import Conversation, Former
from relayfleet.model.names import SessionId
from relayfleet.ports.session import SessionFile
from relayfleet.store.session import JsonSessionFile, ask_anew
from relayfleet.testing import MemorySessionFile

KINDS: dict[str, Callable[[Path], SessionFile]] = {
    "file": lambda folder: JsonSessionFile(folder / "agents" / "coder" / "state" / "session.json"),
    "memory": lambda folder: MemorySessionFile(),
}


@pytest.fixture(params=KINDS)
def session_file(request: pytest.FixtureRequest, tmp_path: Path) -> SessionFile:
    return KINDS[request.param](tmp_path)


ONE = Conversation(
    session_id=SessionId("one"),
    agent="coder",
    created=1.5,
    history=True,
    brief={"model": "abc"},
    unsaid=("something changed",),
    former=(Former(session_id=SessionId("zero"), until=1.0, why="fresh"),),
    fresh="request",
)


def test_it_remembers_what_was_saved_last(session_file: SessionFile) -> None:
    assert session_file.load() is None
    for conversation in (Conversation(session_id=SessionId("zero")), ONE):
        session_file.save(conversation)
        assert session_file.load() == conversation
        assert session_file.load() == conversation


def test_a_record_that_was_set_aside_is_none(session_file: SessionFile) -> None:
    session_file.save(ONE)
    session_file.set_aside()
    assert session_file.load() is None


def test_who_asked_for_nothing_has_no_request(session_file: SessionFile) -> None:
    assert session_file.asked_anew() == ""
    session_file.forget_asked()
    assert session_file.asked_anew() == ""


def test_no_other_has_a_conversation_of_its_own(session_file: SessionFile) -> None:
    session_file.save(ONE)
    assert list(session_file.others_with(ONE.session_id)) == []


# ---- of the file alone


def files(folder: Path, *names: str) -> list[JsonSessionFile]:
    return [JsonSessionFile(folder / name / "state" / "session.json") for name in names]


def test_a_request_is_one_until_it_was_met(tmp_path: Path) -> None:
    path = tmp_path / "coder" / "state" / "session.json"
    (file,) = files(tmp_path, "coder")
    ask_anew(path)
    first = file.asked_anew()
    assert first
    ask_anew(path)
    assert file.asked_anew() not in ("", first)
    file.forget_asked()
    assert file.asked_anew() == ""


def test_the_copies_of_a_folder_are_named(tmp_path: Path) -> None:
    mine, copy, other, torn = files(tmp_path, "coder", "copy", "other", "torn")
    for file in (mine, copy):
        file.save(ONE)
    other.save(Conversation(session_id=SessionId("other")))
    torn.save(ONE)
    (tmp_path / "torn" / "state" / "session.json").write_bytes(b"{")
    assert mine.others_with(ONE.session_id) == ["copy"]
    assert copy.others_with(ONE.session_id) == ["coder"]


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    (file,) = files(tmp_path, "coder")
    path = tmp_path / "coder" / "state" / "session.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"version": 1, "session_id": "8e7f03fb-e3ea-4d27-b69a-e28fc4ddbac1", "created": 1795272627.45}')
    assert file.load() == Conversation(
        session_id=SessionId("8e7f03fb-e3ea-4d27-b69a-e28fc4ddbac1"), created=1795272627.45
    )


@pytest.mark.parametrize(
    "torn", [b"", b"{", b"[]", b"7", b'{"version": 3, "session_id": "x"}', b'{"version": 2}', b"\xff"]
)
def test_what_cannot_be_understood_is_not_taken_for_none(tmp_path: Path, torn: bytes) -> None:
    (file,) = files(tmp_path, "coder")
    path = tmp_path / "coder" / "state" / "session.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(torn)
    with pytest.raises(StorageFailed) as raised:
        file.load()
    assert (raised.value.fault, "--fresh" in raised.value.hint) == ("transcript_corrupt", True)

"""The life of a session: of the real `claude` where the stand-in model can provoke it, else of the scripted one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Fleet
from tests.standins.model import ModelStandin, until


def transcripts(fleet: Fleet, agent: str = "coder") -> list[Path]:
    return list((fleet.root / "agents" / agent / "state" / "claude").glob("projects/*/*.jsonl"))


def archived(fleet: Fleet, agent: str = "coder") -> list[str]:
    return [path.name for path in (fleet.root / "agents" / agent / "state" / "archive" / "transcripts").glob("*")]


def record(fleet: Fleet, agent: str = "coder") -> dict[str, Any]:
    known: dict[str, Any] = json.loads((fleet.root / "agents" / agent / "state" / "session.json").read_bytes())
    return known


def logged(fleet: Fleet, action: str, agent: str = "coder") -> list[dict[str, Any]]:
    return [line for line in fleet.log(agent) if line["action"] == action]


def session_of(fleet: Fleet) -> psutil.Process:
    started = logged(fleet, "session.started")[-1]
    return psutil.Process(started["pid"])


def seen(fleet: Fleet, matches: Callable[[dict[str, Any]], bool], *, within_s: float = 60.0) -> dict[str, Any]:
    """The first status of the agent that matches."""

    def look() -> dict[str, Any] | None:
        status = fleet.status("coder")
        return status if matches(status) else None

    found: dict[str, Any] = until(
        look, within_s=within_s, what=lambda: f"a matching status; it is {fleet.status('coder')}"
    )
    return found


@pytest.fixture
def coder(real: Fleet) -> Fleet:
    real.run("new-agent", "coder")
    return real


@pytest.fixture
def puppet(scripted: Fleet) -> Fleet:
    """A scripted agent that has a conversation, stopped."""
    scripted.run("new-agent", "coder")
    scripted.run("start", "coder")
    scripted.tell("coder", "hello")
    scripted.wait_for("coder", "handled")
    scripted.run("stop", "coder")
    return scripted


# ---- a model that refuses


@pytest.mark.needs("claude")
def test_a_refused_login_is_named_burns_nothing_and_is_mended_by_new_credentials(
    coder: Fleet, model: ModelStandin
) -> None:
    coder.run("start", "coder")
    model.fault = 403
    coder.tell("coder", "first")
    coder.tell("coder", "second")
    status = seen(coder, lambda status: status["reason"] == "login_expired")
    assert "Please run /login" in status["detail"]
    assert "fleet login coder" in status["hint"]
    assert status["state"] == "idle"
    assert coder.states("coder") == ["queued", "queued"]
    model.fault = None
    key = coder.root.parent / "key"
    key.write_text(key.read_text() + "2")
    coder.wait_for("coder", "handled", count=2, within_s=90)
    assert logged(coder, "session.renewed")
    assert len({line["session_id"] for line in logged(coder, "session.started")}) == 1
    assert coder.status("coder")["reason"] is None


@pytest.mark.needs("claude")
def test_an_endpoint_that_refuses_connections_is_told_from_work_and_nothing_is_restarted(
    coder: Fleet, model: ModelStandin
) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "warm up")
    coder.wait_for("coder", "handled")
    model.listen(False)
    try:
        coder.tell("coder", "are you there?")
        status = seen(coder, lambda status: "does not answer (retrying" in status["detail"])
        assert status["state"] == "busy"
    finally:
        model.listen(True)
    coder.wait_for("coder", "handled", count=2, within_s=90)
    assert len(logged(coder, "session.started")) == 1


@pytest.mark.needs("claude")
def test_an_overloaded_endpoint_burns_no_entry(coder: Fleet, model: ModelStandin) -> None:
    coder.run("start", "coder")
    model.fault = 529
    coder.tell("coder", "are you there?")
    status = seen(coder, lambda status: status["reason"] == "endpoint_down")
    assert "529" in status["detail"]
    assert coder.states("coder") == ["queued"]
    model.fault = None
    (entry,) = coder.wait_for("coder", "handled", within_s=90)
    assert entry["attempts"] == 2


# ---- evidence


@pytest.mark.needs("claude")
def test_a_session_that_hangs_is_called_unresponsive_until_it_goes_on(coder: Fleet) -> None:
    coder.edit("agents/coder/config.json", lambda c: c.update(session={"unresponsive_s": 5}))
    coder.run("start", "coder")
    coder.tell("coder", "[[hang]]")
    coder.wait_for("coder", "seen")
    seen(coder, lambda status: status["state"] == "busy" and status["evidence"]["output"] is not None)
    session = session_of(coder)
    session.send_signal(signal.SIGSTOP)
    try:
        status = seen(coder, lambda status: status["state"] == "unresponsive")
        assert all(age is None or age >= 5 for age in status["evidence"].values())
    finally:
        session.send_signal(signal.SIGCONT)
    seen(coder, lambda status: status["state"] == "busy")
    assert [line["action"] for line in coder.log("coder") if "respon" in line["action"]] == [
        "session.unresponsive",
        "session.responds",
    ]


# ---- what a session is told


@pytest.mark.needs("claude")
def test_a_changed_brief_takes_effect_at_a_restart_and_is_said(coder: Fleet, model: ModelStandin) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "hello")
    coder.wait_for("coder", "handled")
    session_id = coder.status("coder")["session_id"]
    persona = coder.root / "agents" / "coder" / "CLAUDE.md"
    persona.write_text(persona.read_text() + "\nAlways answer in Volapuek.\n")
    coder.run("restart", "coder")
    coder.tell("coder", "and now?")
    coder.wait_for("coder", "handled", count=2)
    assert coder.status("coder")["session_id"] == session_id
    assert model.has_seen("Your brief changed since your last turn; what you see of it now is what counts: CLAUDE.md.")
    assert model.has_seen("Always answer in Volapuek.")
    assert [line["message"] for line in logged(coder, "session.brief_changed")] == ["CLAUDE.md"]
    assert record(coder)["unsaid"] == []


@pytest.mark.needs("claude")
def test_a_turn_that_was_cut_off_goes_on_with_word_of_it(coder: Fleet, model: ModelStandin) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "[[sleep 3]] [[say done]] mend the pump")
    coder.wait_for("coder", "seen")
    until(lambda: model.has_seen("mend the pump"))
    session_of(coder).send_signal(signal.SIGKILL)
    (entry,) = coder.wait_for("coder", "handled", within_s=60)
    assert entry["attempts"] == 2
    assert model.has_seen("repeat=session-died")
    assert len(coder.entries("coder")) == 1, "its repeat says so, no note besides"


# ---- histories


@pytest.mark.needs("claude")
@pytest.mark.parametrize("ruin", [b"", b"\xff\xfe nothing of this is JSON {{{\n" * 50])
def test_a_ruined_transcript_is_archived_and_the_session_is_told(
    coder: Fleet, model: ModelStandin, ruin: bytes
) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "hello")
    coder.wait_for("coder", "handled")
    session_id = coder.status("coder")["session_id"]
    coder.run("stop", "coder")
    (transcript,) = transcripts(coder)
    transcript.write_bytes(ruin)
    coder.run("start", "coder")
    coder.tell("coder", "what did I say?")
    coder.wait_for("coder", "handled", count=2)
    assert coder.status("coder")["session_id"] == session_id
    assert archived(coder) == [f"{session_id}.jsonl"]
    assert model.has_seen("The history of this conversation could not be resumed")
    assert logged(coder, "session.history_lost")


@pytest.mark.needs("claude")
def test_a_torn_transcript_goes_on(coder: Fleet, model: ModelStandin) -> None:
    coder.run("start", "coder")
    coder.tell("coder", "the word is Zyzzyva")
    coder.wait_for("coder", "handled")
    coder.run("stop", "coder")
    (transcript,) = transcripts(coder)
    whole = transcript.read_bytes()
    transcript.write_bytes(b"\xff torn\n" + whole + b'{"type":"user","message":{"role"')
    coder.run("start", "coder")
    coder.tell("coder", "what is the word?")
    coder.wait_for("coder", "handled", count=2)
    assert "Zyzzyva" in json.dumps(model.requests[-1])
    assert archived(coder) == []


def test_a_refused_resume_begins_anew_under_the_same_id(puppet: Fleet) -> None:
    (transcript,) = transcripts(puppet)
    elsewhere = transcript.parent.parent / "elsewhere"
    elsewhere.mkdir()
    transcript.rename(elsewhere / transcript.name)  # the session does not find it there
    puppet.run("start", "coder")
    assert puppet.status("coder")["session_id"] == transcript.stem
    assert archived(puppet) == [transcript.name]
    (died,) = logged(puppet, "session.died")
    assert (died["reason"], died["again_in_s"]) == ("resume_refused", 0.0)


def test_a_transcript_that_cannot_be_read_is_named_and_kept(puppet: Fleet) -> None:
    (transcript,) = transcripts(puppet)
    transcript.unlink()
    transcript.mkdir()
    done = puppet.run("start", "coder", code=1)
    assert "Is a directory" in done.stderr + done.stdout
    assert puppet.status("coder")["reason"] == "transcript_corrupt"
    assert transcript.is_dir()
    puppet.run("restart", "--fresh", "coder")
    assert puppet.status("coder")["state"] == "idle"


def test_fresh_begins_a_new_conversation_and_keeps_the_old_one_and_what_waits(puppet: Fleet) -> None:
    (old,) = transcripts(puppet)
    puppet.tell("coder", "this waits")
    puppet.run("restart", "--fresh", "coder")
    puppet.wait_for("coder", "handled", count=2)
    new = puppet.status("coder")["session_id"]
    assert new != old.stem
    assert archived(puppet) == [old.name]
    (former,) = record(puppet)["former"]
    assert (former["session_id"], former["why"]) == (old.stem, "fresh")
    puppet.run("restart", "coder")
    assert puppet.status("coder")["session_id"] == new


def test_a_copied_agent_is_refused_until_it_begins_anew(puppet: Fleet) -> None:
    agents = puppet.root / "agents"
    shutil.copytree(agents / "coder", agents / "copy")
    puppet.edit("agents/copy/config.json", lambda c: c.update(port=c.get("port", 20_000) + 7))
    puppet.run("start", "coder")
    before = puppet.status("coder")
    done = puppet.run("start", "copy", code=1)
    assert "its folder is a copy" in done.stdout + done.stderr
    puppet.run("restart", "--fresh", "copy")
    assert puppet.status("copy")["session_id"] != before["session_id"]
    assert puppet.status("coder")["session_id"] == before["session_id"]
    assert len(logged(puppet, "session.started")) == 2, "the original was left alone"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def test_a_conversation_that_is_open_elsewhere_is_not_opened_twice(
    puppet: Fleet, stranger: subprocess.Popen[bytes]
) -> None:
    sessions = puppet.root / "agents" / "coder" / "state" / "claude" / "sessions"
    entry = {"pid": stranger.pid, "sessionId": record(puppet)["session_id"], "status": "idle", "statusUpdatedAt": 1}
    (sessions / f"{stranger.pid}.json").write_text(json.dumps(entry))
    done = puppet.run("start", "coder", code=1)
    assert f"process {stranger.pid} has the same conversation open" in done.stdout + done.stderr
    assert puppet.status("coder")["reason"] == "session_held"
    stranger.kill()
    stranger.wait()
    puppet.run("start", "coder")
    os.kill(puppet.status("coder")["pid"], 0)

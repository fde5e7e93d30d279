"""What is done after a session died, what is seen of one that works, and what a refusal of the model means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.conversation import Conversation, begun_anew, briefed, without_history
from relayfleet.model.fault import REASONS
from relayfleet.model.names import SessionId
from relayfleet.ports.session import TurnProgress
from relayfleet.runner.evidence import Evidence, judge
from relayfleet.runner.lives import DEATHS, DEATHS_BEFORE_READY, Death, after, is_full
from relayfleet.runner.refusals import refused, told, trouble_of


def death(**given: object) -> Death:
    known: dict[str, object] = {"code": 1, "ready": True, "in_turn": False, "resumed": True, "lived_s": 5.0}
    return Death(**{**known, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("died", "act", "reason"),
    [
        (death(ready=False), "again", "crashed_before_ready"),
        (death(ready=False, before=DEATHS_BEFORE_READY - 1), "give_up", "crashed_before_ready"),
        (death(in_turn=True), "again", "crashed_in_turn"),
        (death(code=0), "again", "exited"),
        (death(in_turn=True, before=DEATHS - 1), "give_up", "crashed_in_turn"),
        (death(in_turn=True, before=DEATHS - 1, lived_s=61.0), "again", "crashed_in_turn"),
        (death(ready=False, named="resume_refused"), "anew", "resume_refused"),
        (death(ready=False, named="resume_refused", resumed=False), "under_another_id", "resume_refused"),
        (death(ready=False, named="resume_refused", refused=2, before=2), "give_up", "resume_refused"),
        (death(ready=False, named="disk_full", before=99), "again", "disk_full"),
        (death(wanted=True, before=5), "again", "exited"),
    ],
)
def test_each_death_has_its_answer(died: Death, act: str, reason: str) -> None:
    verdict = after(died)
    assert (verdict.act, verdict.reason) == (act, reason)


@given(
    st.lists(
        st.builds(
            Death,
            code=st.integers(-15, 255),
            ready=st.booleans(),
            in_turn=st.booleans(),
            resumed=st.booleans(),
            lived_s=st.floats(0, 59),
            named=st.sampled_from([None, "resume_refused"]),
        ),
        min_size=DEATHS,
        max_size=DEATHS,
    )
)
def test_whatever_it_dies_of_one_that_never_stays_up_is_given_up(deaths: list[Death]) -> None:
    before = refusals = 0
    for number, one in enumerate(deaths, 1):
        verdict = after(
            Death(**{**{f: getattr(one, f) for f in one.__dataclass_fields__}, "before": before, "refused": refusals})
        )
        assert verdict.reason in REASONS
        if verdict.act == "give_up":
            return
        assert verdict.deaths == number
        before, refusals = verdict.deaths, refusals + 1 if verdict.act in ("anew", "under_another_id") else 0
        if verdict.act == "again":
            assert 1.0 <= verdict.delay_s <= 60.0
    raise AssertionError("it goes on for ever")


def test_a_restart_that_was_wanted_does_not_count() -> None:
    verdict = after(death(wanted=True, before=7))
    assert (verdict.deaths, verdict.delay_s) == (0, 0.0)


def test_a_full_disk_is_told_by_its_words() -> None:
    assert is_full("No space left on device")
    assert is_full("Disk quota exceeded")
    assert not is_full("Permission denied")


# ---- evidence


def looked(evidence: Evidence, progress: TurnProgress | None, *, now: float, draws: bool = True) -> tuple[bool, str]:
    return judge(evidence, progress, since=0.0, now=now, unresponsive_s=600.0, draws=draws)


def test_each_source_has_its_age() -> None:
    evidence = Evidence(registry=10.0, output=19.5)
    assert evidence.ages(20.0) == {"registry": 10.0, "hook": None, "transcript": None, "output": 0.5}


def test_a_session_of_which_nothing_is_seen_is_silent() -> None:
    assert looked(Evidence(output=100.0), None, now=699.0) == (False, "")
    silent, detail = looked(Evidence(output=100.0), None, now=700.0)
    assert silent
    assert "for 10 min" in detail
    for source in ("registry", "hook", "transcript"):
        assert looked(Evidence(output=100.0, **{source: 101.0}), None, now=700.0) == (False, "")


def test_a_tool_explains_the_silence_of_a_session_that_draws_nothing() -> None:
    tool = TurnProgress(tool="Bash", tool_since=100.0)
    assert looked(Evidence(output=100.0), tool, now=2620.0, draws=False) == (False, "in Bash for 42 min")
    assert looked(Evidence(output=100.0), tool, now=2620.0)[0]


@pytest.mark.parametrize(
    ("progress", "detail"),
    [
        (TurnProgress(), ""),
        (TurnProgress(tool="Bash", tool_since=941.0), ""),
        (TurnProgress(tool="Bash", tool_since=940.0), "in Bash for 60 s"),
        (TurnProgress(asked=1, asked_since=900.0), ""),
        (TurnProgress(asked=1, asked_since=880.0), "no answer from the model for 2 min"),
        (TurnProgress(asked=8, asked_since=999.0), ""),
        (
            TurnProgress(asked=5, asked_since=952.0),
            "the model endpoint does not answer (retrying: attempt 5 in 48 s)",
        ),
        (TurnProgress(asked=1, asked_since=999.0, tool="Bash", tool_since=1.0), ""),
    ],
)
def test_what_a_turn_waits_for_is_told_when_it_takes_long(progress: TurnProgress, detail: str) -> None:
    assert looked(Evidence(output=999.9), progress, now=1000.0) == (False, detail)


# ---- refusals


def test_pauses_grow_and_begin_anew_with_another_trouble() -> None:
    refusal = None
    pauses = []
    for _ in range(7):
        refusal = refused(refusal, "endpoint_down", "529", now=100.0)
        pauses.append(refusal.until - 100.0)
    assert pauses == [15.0, 30.0, 60.0, 120.0, 300.0, 300.0, 300.0]
    assert refused(refusal, "login_expired", "401", now=0.0).count == 1
    assert "529" in told(refusal) if refusal else False


def test_only_what_is_not_the_turns_fault_holds_up_the_others() -> None:
    assert trouble_of("authentication_failed") == "login_expired"
    assert trouble_of("server_error") == trouble_of("overloaded") == "endpoint_down"
    assert trouble_of("invalid_request") is trouble_of("unknown") is trouble_of("") is None


# ---- the conversation


ONE = Conversation(session_id=SessionId("one"), agent="coder", history=True, brief={"model": "a"})


def test_a_conversation_that_is_left_is_remembered() -> None:
    two = begun_anew(ONE, SessionId("two"), agent="coder", now=5.0, why="fresh", fresh="r1")
    three = begun_anew(two, SessionId("three"), agent="coder", now=6.0, why="resume_refused")
    assert [(f.session_id, f.until, f.why) for f in three.former] == [
        ("one", 5.0, "fresh"),
        ("two", 6.0, "resume_refused"),
    ]
    assert (two.fresh, two.history, two.unsaid, two.brief) == ("r1", False, (), {})


def test_a_change_of_the_brief_is_told_once_with_all_names() -> None:
    same, changed = briefed(ONE, {"model": "a"})
    assert (same.unsaid, changed) == ((), ())
    two, changed = briefed(ONE, {"model": "b"})
    assert changed == ("model",)
    three, changed = briefed(two, {"model": "b", "CLAUDE.md": "x"})
    assert changed == ("CLAUDE.md",)
    (line,) = three.unsaid
    assert line.endswith(": CLAUDE.md, model.")


def test_a_session_that_has_seen_no_brief_is_told_of_no_change() -> None:
    assert briefed(Conversation(session_id=SessionId("x")), {"model": "b"})[0].unsaid == ()
    before_any_turn = Conversation(session_id=SessionId("x"), brief={"model": "a"})
    assert briefed(before_any_turn, {"model": "b"}) == (
        Conversation(session_id=SessionId("x"), brief={"model": "b"}),
        ("model",),
    )


def test_a_lost_history_is_told() -> None:
    lost = without_history(ONE, "it is torn", kept_at="/archive/one.jsonl")
    assert (lost.session_id, lost.history) == ("one", False)
    assert "it is torn" in lost.unsaid[0]
    assert "/archive/one.jsonl" in lost.unsaid[0]

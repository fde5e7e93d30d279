"""What becomes of an entry, told step by step: what happens on the left, what the runner does on the right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relayfleet.model.agent import InboxPolicy
from relayfleet.model.names import EntryId
from relayfleet.runner.session import (
    BURST,
    INTERRUPT_GRACE_S,
    PACE_S,
    Arrived,
    Died,
    Dropped,
    Failed,
    Held,
    Input,
    Linked,
    Next,
    Noticed,
    OfferLost,
    Pending,
    Phase,
    Prompted,
    Record,
    Refuse,
    Retried,
    Send,
    State,
    Stopped,
    Ticked,
    next_tick,
    step,
)

A, B = EntryId("a"), EntryId("b")
TIMEOUT_S, ATTEMPTS = 10.0, 3


class Play:
    """Plays inputs into a session's state, each some seconds after the one before, and tells what came of them."""

    def __init__(self, *, ready: bool = True) -> None:
        self.now = 1000.0
        policy = InboxPolicy(seen_timeout_s=TIMEOUT_S, max_attempts=ATTEMPTS)
        self.state = State(since=self.now, policy=policy)
        if ready:
            self(Linked(True))
            self.notice("idle")

    def __call__(self, given: Input, *, after: float = 1.0) -> list[str]:
        self.now += after
        self.state, effects = step(self.state, given, now=self.now)
        self.state, offered = step(self.state, Next(), now=self.now)
        return [_words(effect) for effect in (*effects, *offered)]

    def notice(self, phase: Phase, *, after: float = 1.0, age: float = 0.0) -> list[str]:
        return self(Noticed(phase, self.now + after - age), after=after)

    def arrive(self, *ids: EntryId) -> list[str]:
        return self(Arrived(tuple(Pending(id=i) for i in ids)))

    def wait(self, seconds: float) -> list[str]:
        return self(Ticked(), after=seconds)


def _words(effect: Record | Send | Refuse) -> str:
    if isinstance(effect, Refuse):
        return f"refuse {' '.join(effect.entries)}"
    if isinstance(effect, Send):
        entries = " ".join(f"{e.id} {e.attempts}{' ' + e.repeat if e.repeat else ''}" for e in effect.entries)
        return f"{'steer' if effect.steer else 'send'} {entries}"
    return f"{effect.state} {effect.entry} {effect.attempt} {effect.detail}".rstrip()


def test_one_entry_after_the_other() -> None:
    play = Play()
    assert play.arrive(A, B) == ["offered a 1", "send a 1"]
    assert play(Prompted("p1", (A,))) == ["seen a 1"]
    assert play(Stopped("p1")) == ["handled a 1", "offered b 1", "send b 1"]
    assert play(Prompted("p2", (B,))) == ["seen b 1"]
    assert play(Stopped("p2")) == ["handled b 1"]


def test_what_was_offered_before_comes_first_then_the_higher_priority_then_the_older() -> None:
    pending = (
        Pending(id=EntryId("low"), priority=-1),
        Pending(id=EntryId("old")),
        Pending(id=EntryId("urgent"), priority=5),
        Pending(id=EntryId("young")),
        Pending(id=EntryId("unseen"), attempts=1),
    )
    state, _ = step(State(), Arrived(pending[:2]), now=0.0)
    state, _ = step(state, Arrived(pending[2:]), now=0.0)
    assert [one.id for one in state.queue] == ["unseen", "urgent", "old", "young", "low"]


def test_nothing_is_offered_before_the_session_is_idle_and_joined() -> None:
    play = Play(ready=False)
    assert play.arrive(A) == []
    assert play.notice("idle") == []
    assert play(Linked(True)) == ["offered a 1", "send a 1"]


@pytest.mark.parametrize("phase", ["busy", "waiting"])
def test_nothing_is_offered_to_a_session_that_is_at_something(phase: Phase) -> None:
    play = Play()
    play.notice(phase)
    assert play.arrive(A) == []
    assert play.notice("idle") == ["offered a 1", "send a 1"]


def test_a_refused_model_request_fails_the_entry_and_the_next_goes_on() -> None:
    play = Play()
    play.arrive(A, B)
    play(Prompted("p1", (A,)))
    assert play(Stopped("p1", error="the model refused: overloaded")) == [
        "failed a 1 the model refused: overloaded",
        "offered b 1",
        "send b 1",
    ]


# ---- an offer without a receipt


def test_an_offer_without_a_receipt_is_made_again_with_doubled_waits_and_then_is_dead() -> None:
    play = Play()
    play.arrive(A, B)
    assert play.wait(TIMEOUT_S - 0.1) == []
    assert play.wait(0.1) == ["offered a 2", "send a 2"]
    assert play.wait(2 * TIMEOUT_S - 0.1) == []
    assert play.wait(0.1) == ["offered a 3", "send a 3"]
    assert play.wait(4 * TIMEOUT_S - 0.1) == []
    assert play.wait(0.1) == ["dead a 3 not seen after 3 offers", "offered b 1", "send b 1"]


def test_a_dead_letter_says_what_the_socket_said() -> None:
    play = Play()
    play.arrive(A)
    for attempt in (1, 2):
        play(OfferLost(A, "refused"))
        play.wait(2**attempt * TIMEOUT_S)
    play(OfferLost(A, "the session's inbox socket: Connection refused"))
    assert play.wait(8 * TIMEOUT_S) == ["dead a 3 the session's inbox socket: Connection refused"]


def test_the_clock_of_an_offer_runs_only_while_the_session_is_idle() -> None:
    play = Play()
    play.arrive(A)
    play.notice("busy")
    assert play.wait(100 * TIMEOUT_S) == []
    assert next_tick(play.state, now=play.now) is None
    play.notice("idle")
    assert next_tick(play.state, now=play.now) == pytest.approx(TIMEOUT_S)
    assert play.wait(TIMEOUT_S) == ["offered a 2", "send a 2"]


def test_nothing_is_offered_again_while_no_shim_is_there_to_write_it() -> None:
    play = Play()
    play.arrive(A)
    play(Linked(False))
    assert play.wait(100 * TIMEOUT_S) == []
    assert next_tick(play.state, now=play.now) is None
    play(Linked(True))
    assert play.wait(0) == ["offered a 2", "send a 2"]


def test_a_copy_that_arrives_late_makes_no_second_turn() -> None:
    play = Play()
    play.arrive(A)
    play.wait(TIMEOUT_S)
    assert play(Prompted("p1", (A,))) == ["seen a 2"]
    assert play(Prompted("p2", (A,))) == ["refuse a"], "the other copy, while its turn is under way"
    assert play(Stopped("p1")) == ["handled a 2"]
    assert play(Prompted("p3", (A,))) == ["refuse a"], "and after it"


def test_a_copy_of_a_dead_letter_is_refused() -> None:
    play = Play()
    play.arrive(A)
    for attempt in range(ATTEMPTS):
        play.wait(2**attempt * TIMEOUT_S)
    assert play(Prompted("p1", (A,))) == ["refuse a"]


# ---- a turn that does not come to its end


def test_seen_and_then_idle_without_a_stop_was_interrupted() -> None:
    play = Play()
    play.arrive(A, B)
    play(Prompted("p1", (A,)))
    assert play.notice("idle") == []
    assert play.wait(INTERRUPT_GRACE_S - 0.1) == []
    assert play.wait(0.1) == ["failed a 1 interrupted", "offered b 1", "send b 1"]


def test_a_stop_within_the_grace_counts() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", (A,)))
    play.notice("idle")
    assert play(Stopped("p1"), after=INTERRUPT_GRACE_S - 0.1) == ["handled a 1"]


def test_a_stop_of_another_turn_ends_nothing() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", (A,)))
    assert play(Stopped("another")) == []


def test_a_session_that_dies_before_it_saw_the_offer_gets_it_again() -> None:
    play = Play()
    play.arrive(A, B)
    assert play(Died()) == []
    play(Linked(True))
    assert play.notice("idle") == ["offered a 2", "send a 2"]


def test_a_session_that_dies_in_a_turn_gets_it_again_with_a_mark() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", (A,)))
    assert play(Died()) == []
    play(Linked(True))
    assert play.notice("idle") == ["offered a 2 again: the session died in this turn", "send a 2 session-died"]
    play.wait(2 * TIMEOUT_S)
    assert play(Prompted("p2", (A,))) == ["seen a 3"]
    assert play(Stopped("p2")) == ["handled a 3"]


def test_the_mark_stays_when_the_session_dies_again_before_it_saw_the_repeat() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", (A,)))
    play(Died())
    play(Linked(True))
    play.notice("idle")
    play(Died())
    play(Linked(True))
    assert play.notice("idle")[-1] == "send a 3 session-died"


def test_an_entry_at_which_the_session_dies_each_time_is_dead() -> None:
    play = Play()
    play.arrive(A, B)
    for attempt in range(1, ATTEMPTS):
        play(Prompted(f"p{attempt}", A))
        assert play(Died()) == []
        play(Linked(True))
        play.notice("idle")
    play(Prompted("last", (A,)))
    assert play(Died()) == ["dead a 3 the session died each time"]


# ---- given up by the agent


def test_an_entry_that_waits_can_be_given_up() -> None:
    play = Play()
    play.arrive(A, B)
    assert play(Failed(B, "not mine")) == ["failed b 1 not mine"]
    play(Prompted("p1", (A,)))
    assert play(Stopped("p1")) == ["handled a 1"]


def test_what_was_offered_before_and_waits_again_is_given_up_with_its_attempts() -> None:
    play = Play()
    play.arrive(A)
    play.wait(TIMEOUT_S)
    assert play(Died()) == []
    assert play(Failed(A, "not mine")) == ["failed a 2 not mine"]


def test_an_offer_can_be_given_up_and_its_copy_is_refused() -> None:
    play = Play()
    play.arrive(A, B)
    assert play(Failed(A, "withdrawn")) == ["failed a 1 withdrawn", "offered b 1", "send b 1"]
    assert play(Prompted("p1", (A,))) == ["refuse a"]


def test_a_turn_can_be_given_up_while_it_runs_and_its_stop_changes_nothing() -> None:
    play = Play()
    play.arrive(A, B)
    play(Prompted("p1", (A,)))
    assert play(Failed(A, "no access")) == ["failed a 1 no access"], "the turn itself goes on: nothing is offered"
    assert play(Stopped("p1")) == ["offered b 1", "send b 1"]


def test_what_has_ended_or_is_unknown_cannot_be_given_up() -> None:
    play = Play()
    play.arrive(A)
    play(Failed(A, "once"))
    assert play(Failed(A, "twice")) == []
    assert play(Failed(EntryId("?"), "who")) == []


# ---- what the registry says, and what a person types


def test_the_registry_does_not_undo_what_a_hook_said_since() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", (A,)))
    assert play.notice("idle", age=5.0) == []
    assert play.state.phase == "busy"
    assert play.wait(10 * INTERRUPT_GRACE_S) == [], "an old idle is no interruption"


def test_a_persons_own_prompt_is_let_through_and_waited_for() -> None:
    play = Play()
    assert play(Prompted("mine")) == []
    assert play.arrive(A) == []
    assert play(Stopped("mine")) == ["offered a 1", "send a 1"]


def test_a_persons_own_prompt_while_an_offer_is_out_only_delays_it() -> None:
    play = Play()
    play.arrive(A)
    assert play(Prompted("mine")) == []
    assert play.wait(5 * TIMEOUT_S) == []
    assert play(Stopped("mine")) == []
    assert play(Prompted("p1", (A,))) == ["seen a 1"]


def test_a_frame_of_an_entry_that_was_never_here_is_a_persons_prompt() -> None:
    play = Play()
    play.arrive(A)
    assert play(Prompted("mine", EntryId("forged"))) == []
    assert play(Stopped("mine")) == []
    assert play(Prompted("p1", (A,))) == ["seen a 1"]


def test_nothing_is_offered_while_somebody_holds_the_session() -> None:
    play = Play()
    assert play(Held("driver", True)) == []
    assert play(Held("login", True)) == []
    assert play.arrive(A) == []
    assert play(Held("driver", False)) == []
    assert play.state.holds == {"login"}
    assert play(Held("login", False)) == ["offered a 1", "send a 1"]


def test_an_offer_that_is_out_when_somebody_takes_hold_is_repeated_only_after_they_let_go() -> None:
    play = Play()
    play.arrive(A)
    play(Held("driver", True))
    assert play.wait(TIMEOUT_S * 10) == []
    assert next_tick(play.state, now=play.now) is None
    assert play(Held("driver", False)) == []
    assert play.wait(TIMEOUT_S - 1) == []
    assert play.wait(1) == ["offered a 2", "send a 2"]


def test_what_is_observed_counts_while_somebody_holds_the_session() -> None:
    play = Play()
    play.arrive(A, B)
    play(Held("driver", True))
    assert play(Prompted("p1", (A,))) == ["seen a 1"]
    assert play(Stopped("p1")) == ["handled a 1"]
    assert play(Held("driver", False)) == ["offered b 1", "send b 1"]


def _with(play: Play, **policy: object) -> Play:
    play.state = replace(play.state, policy=replace(play.state.policy, **policy))  # type: ignore[arg-type]
    return play


def _sized(*sizes: int) -> Arrived:
    return Arrived(tuple(Pending(id=EntryId(f"e{n}"), size=size) for n, size in enumerate(sizes)))


def test_a_busy_session_is_steered_one_offer_after_the_other() -> None:
    play = _with(Play(), mode="steer")
    play.arrive(A)
    play(Prompted("p1", (A,)))
    assert play.arrive(B, EntryId("c")) == ["offered b 1", "steer b 1"]
    assert play(Prompted("p1", (B,))) == ["seen b 1", "offered c 1", "steer c 1"]
    assert play(Stopped("p1")) == ["handled a 1", "handled b 1"]
    assert play.notice("idle") == [], "c may still be on its way"
    assert play(Prompted("p2", (EntryId("c"),))) == ["seen c 1"]
    assert play(Stopped("p2")) == ["handled c 1"]


def test_a_session_that_asks_its_user_something_is_not_steered() -> None:
    play = _with(Play(), mode="steer")
    play.notice("waiting")
    assert play.arrive(A) == []
    assert play.notice("busy") == ["offered a 1", "steer a 1"]


def test_steering_keeps_to_what_the_session_takes() -> None:
    play = _with(Play(), mode="steer")
    play(Prompted("p1"))
    many = tuple(Pending(id=EntryId(f"e{n:02}")) for n in range(BURST + 2))
    sent = play(Arrived(many), after=0)
    for entry in many:
        sent += play(Prompted("p1", (entry.id,)), after=0)
    assert sum(word.startswith("steer") for word in sent) == BURST
    assert next_tick(play.state, now=play.now) == pytest.approx(PACE_S)
    assert play.wait(PACE_S) == [f"offered e{BURST} 1", f"steer e{BURST} 1"]


def test_a_batch_is_one_turn_and_each_entry_has_its_own_receipts() -> None:
    play = _with(Play(), batch=3)
    assert play(_sized(1, 1, 1, 1)) == ["offered e0 1", "offered e1 1", "offered e2 1", "send e0 1 e1 1 e2 1"]
    assert play(Prompted("p1", (EntryId("e0"), EntryId("e1"), EntryId("e2")))) == [
        "seen e0 1",
        "seen e1 1",
        "seen e2 1",
    ]
    assert play(Failed(EntryId("e1"), "cannot")) == ["failed e1 1 cannot"]
    assert play(Stopped("p1")) == ["handled e0 1", "handled e2 1", "offered e3 1", "send e3 1"]


def test_a_batch_is_no_longer_than_one_entry_may_be() -> None:
    play = _with(Play(), batch=3, max_turn_chars=1000)
    assert play(_sized(600, 500, 1))[-1] == "send e0 1"


def test_what_was_offered_in_a_batch_is_offered_again_alone() -> None:
    play = _with(Play(), batch=3)
    play(_sized(1, 1))
    assert play.wait(TIMEOUT_S) == ["offered e0 2", "send e0 2"]
    late = (EntryId("e0"), EntryId("e1"))
    assert play(Prompted("p1", late)) == ["seen e0 2", "seen e1 1"], "the batch came through after all"
    assert play(Prompted("p2", late)) == ["refuse e0 e1"]
    assert play(Stopped("p1")) == ["handled e0 2", "handled e1 1"]


def test_a_turn_that_died_twice_takes_nothing_else_of_its_batch_along() -> None:
    play = _with(Play(), batch=2)
    play(_sized(1, 1))
    play(Prompted("p1", (EntryId("e0"), EntryId("e1"))))
    for attempt in (2, 3):
        play(Died())
        play(Linked(True))
        assert play.notice("idle")[-1] == f"send e0 {attempt} session-died"
        play(Prompted(f"q{attempt}", (EntryId("e0"),)))
    assert play(Died()) == ["dead e0 3 the session died each time"]
    play(Linked(True))
    assert play.notice("idle")[-1] == "send e1 2 session-died"


def test_a_model_that_is_not_available_is_asked_again_after_a_while() -> None:
    play = Play()
    play.arrive(A, B)
    play(Prompted("p1", (A,)))
    assert play(Stopped("p1", "overloaded", passing=True)) == ["queued a 1 again: overloaded"]
    wait = next_tick(play.state, now=play.now)
    assert wait is not None
    assert wait > 1
    assert play.wait(wait - 0.5) == []
    assert play.wait(0.5)[-1] == "send a 2 model-failed"
    play(Prompted("p2", (A,)))
    play(Stopped("p2", "overloaded", passing=True))
    again = next_tick(play.state, now=play.now)
    assert again == wait * 2
    assert play.wait(again)[-1] == "send a 3 model-failed"
    play(Prompted("p3", (A,)))
    assert play(Stopped("p3", "overloaded", passing=True)) == ["failed a 3 overloaded"]
    assert play.wait(wait * 4) == ["offered b 1", "send b 1"]


def test_an_entry_that_is_not_seen_in_time_expires() -> None:
    play = Play(ready=False)
    play(Arrived((Pending(id=A, expires=play.now + 10), Pending(id=B, expires=play.now + 99))))
    assert next_tick(play.state, now=play.now) == pytest.approx(9)
    assert play.wait(8) == []
    assert play.wait(1) == ["dead a 1 expired"]
    play(Linked(True))
    assert play.notice("idle")[-1] == "send b 1"
    play.wait(50)
    assert play.wait(50) == ["dead b 2 expired"]
    assert play(Prompted("p1", (B,))) == ["refuse b"], "it came too late"


def test_what_was_seen_does_not_expire() -> None:
    play = Play()
    play(Arrived((Pending(id=A, expires=play.now + 10),)))
    play(Prompted("p1", (A,)))
    assert play.wait(100) == []
    play(Died())
    assert play.wait(1000) == []
    play(Linked(True))
    assert play.notice("idle")[-1] == "send a 2 session-died"


def test_an_entry_that_ended_can_be_tried_again_and_dropped() -> None:
    play = Play()
    play.arrive(A, B)
    play(Failed(A, "cannot"))
    play(Prompted("p1", (B,)))
    assert play(Retried((Pending(id=A, repeat="retried"),))) == []
    assert play(Prompted("late", (A,))) == ["refuse a"], "a copy of before; the new offer comes"
    assert play(Stopped("p1")) == ["handled b 1", "offered a 1", "send a 1 retried"]
    assert play(Dropped((A,))) == []
    assert play(Prompted("p2", (A,))) == ["refuse a"]
    assert play.wait(TIMEOUT_S * 9) == []


def test_a_clock_that_is_set_back_makes_nothing_wait_longer() -> None:
    play = Play()
    play.arrive(A)
    play.wait(-500)
    assert play.wait(TIMEOUT_S) == ["offered a 2", "send a 2"]

"""What becomes of an entry, told step by step: what happens on the left, what the runner does on the right."""

from __future__ import annotations

import pytest

from relayfleet.model.agent import Delivery
from relayfleet.model.names import EntryId
from relayfleet.runner.session import (
    INTERRUPT_GRACE_S,
    Arrived,
    Died,
    Failed,
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
        policy = Delivery(seen_timeout_s=TIMEOUT_S, max_attempts=ATTEMPTS)
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
        return f"refuse {effect.entry}"
    if isinstance(effect, Send):
        return f"send {effect.entry} {effect.attempt}{' repeat' if effect.repeat else ''}"
    return f"{effect.state} {effect.entry} {effect.attempt} {effect.detail}".rstrip()


def test_one_entry_after_the_other() -> None:
    play = Play()
    assert play.arrive(A, B) == ["offered a 1", "send a 1"]
    assert play(Prompted("p1", A)) == ["seen a 1"]
    assert play(Stopped("p1")) == ["handled a 1", "offered b 1", "send b 1"]
    assert play(Prompted("p2", B)) == ["seen b 1"]
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
    play(Prompted("p1", A))
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
    assert play(Prompted("p1", A)) == ["seen a 2"]
    assert play(Prompted("p2", A)) == ["refuse a"], "the other copy, while its turn is under way"
    assert play(Stopped("p1")) == ["handled a 2"]
    assert play(Prompted("p3", A)) == ["refuse a"], "and after it"


def test_a_copy_of_a_dead_letter_is_refused() -> None:
    play = Play()
    play.arrive(A)
    for attempt in range(ATTEMPTS):
        play.wait(2**attempt * TIMEOUT_S)
    assert play(Prompted("p1", A)) == ["refuse a"]


# ---- a turn that does not come to its end


def test_seen_and_then_idle_without_a_stop_was_interrupted() -> None:
    play = Play()
    play.arrive(A, B)
    play(Prompted("p1", A))
    assert play.notice("idle") == []
    assert play.wait(INTERRUPT_GRACE_S - 0.1) == []
    assert play.wait(0.1) == ["failed a 1 interrupted", "offered b 1", "send b 1"]


def test_a_stop_within_the_grace_counts() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", A))
    play.notice("idle")
    assert play(Stopped("p1"), after=INTERRUPT_GRACE_S - 0.1) == ["handled a 1"]


def test_a_stop_of_another_turn_ends_nothing() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", A))
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
    play(Prompted("p1", A))
    assert play(Died()) == []
    play(Linked(True))
    assert play.notice("idle") == ["offered a 2 again: the session died in this turn", "send a 2 repeat"]
    play.wait(2 * TIMEOUT_S)
    assert play(Prompted("p2", A)) == ["seen a 3"]
    assert play(Stopped("p2")) == ["handled a 3"]


def test_the_mark_stays_when_the_session_dies_again_before_it_saw_the_repeat() -> None:
    play = Play()
    play.arrive(A)
    play(Prompted("p1", A))
    play(Died())
    play(Linked(True))
    play.notice("idle")
    play(Died())
    play(Linked(True))
    assert play.notice("idle")[-1] == "send a 3 repeat"


def test_an_entry_at_which_the_session_dies_each_time_is_dead() -> None:
    play = Play()
    play.arrive(A, B)
    for attempt in range(1, ATTEMPTS):
        play(Prompted(f"p{attempt}", A))
        assert play(Died()) == []
        play(Linked(True))
        play.notice("idle")
    play(Prompted("last", A))
    assert play(Died()) == ["dead a 3 the session died each time"]


# ---- given up by the agent


def test_an_entry_that_waits_can_be_given_up() -> None:
    play = Play()
    play.arrive(A, B)
    assert play(Failed(B, "not mine")) == ["failed b 1 not mine"]
    play(Prompted("p1", A))
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
    assert play(Prompted("p1", A)) == ["refuse a"]


def test_a_turn_can_be_given_up_while_it_runs_and_its_stop_changes_nothing() -> None:
    play = Play()
    play.arrive(A, B)
    play(Prompted("p1", A))
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
    play(Prompted("p1", A))
    assert play.notice("idle", age=5.0) == []
    assert play.state.phase == "busy"
    assert play.wait(10 * INTERRUPT_GRACE_S) == [], "an old idle is no interruption"


def test_a_persons_own_prompt_is_let_through_and_waited_for() -> None:
    play = Play()
    assert play(Prompted("mine", None)) == []
    assert play.arrive(A) == []
    assert play(Stopped("mine")) == ["offered a 1", "send a 1"]


def test_a_persons_own_prompt_while_an_offer_is_out_only_delays_it() -> None:
    play = Play()
    play.arrive(A)
    assert play(Prompted("mine", None)) == []
    assert play.wait(5 * TIMEOUT_S) == []
    assert play(Stopped("mine")) == []
    assert play(Prompted("p1", A)) == ["seen a 1"]


def test_a_frame_of_an_entry_that_was_never_here_is_a_persons_prompt() -> None:
    play = Play()
    play.arrive(A)
    assert play(Prompted("mine", EntryId("forged"))) == []
    assert play(Stopped("mine")) == []
    assert play(Prompted("p1", A)) == ["seen a 1"]

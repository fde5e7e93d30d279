"""What the supervisor decides, driven by hand and at random."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relayfleet.model.fault import REASONS, Reason, answer_to, as_reason, hint_for
from relayfleet.model.fleet import Limits
from relayfleet.model.supervision import ROUTER, Past, decode_memory, encode_memory
from relayfleet.model.wish import Wish
from relayfleet.supervisor import plan
from relayfleet.supervisor.plan import Decision, Failure, Sight, decide

BEGUN = 1_000_000.0


@dataclass
class World:
    """One daemon and its supervisor, in a time that passes when it is told to."""

    name: str = "coder"
    now: float = BEGUN
    sight: Sight = field(default_factory=lambda: Sight(name="coder", wish=Wish(wanted=True, since=1.0), alive=False))
    memory: dict[str, Past] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    free_mb: int | None = None

    def look(self, **seen: object) -> Decision:
        self.sight = replace(self.sight, **seen)  # type: ignore[arg-type]
        decision = decide(
            [self.sight], self.memory, limits=self.limits, free_mb=self.free_mb, now=self.now, begun=BEGUN
        )
        self.memory = dict(decision.memory)
        return decision

    def launch(self) -> None:
        """Until it is launched; how long that took shows in `now`."""
        for _ in range(10_000):
            if self.look(alive=False, launching=False, failure=None, answer=None).launches:
                return
            self.now += 0.5
        raise AssertionError("it is never launched")

    def fail(self, reason: Reason = "crashed_before_ready") -> Decision:
        self.now += 0.5
        return self.look(alive=False, launching=False, failure=Failure(ts=self.now, reason=reason, detail="why"))

    def up(self, *, for_s: float = 0.0) -> None:
        self.look(alive=True, answer="idle", failure=None, silent=False)
        self.now += for_s
        self.look(alive=True, answer=None)

    @property
    def past(self) -> Past:
        return self.memory[self.name]


def test_what_is_wanted_is_launched_once_and_is_up() -> None:
    world = World()
    assert world.look().launches == ("coder",)
    assert world.look(launching=True).launches == ()
    assert world.look(alive=True, launching=None).launches == ()
    assert [c.kind for c in world.look(answer="starting").changes] == []
    (change,) = world.look(answer="idle").changes
    assert (change.kind, world.past.phase) == ("up", "up")
    assert world.look(answer=None).changes == ()


def test_what_is_not_wanted_is_neither_launched_nor_remembered() -> None:
    world = World()
    world.launch()
    world.fail()
    decision = world.look(wish=Wish(), failure=None)
    assert (decision.launches, dict(decision.memory)) == ((), {})
    assert [c.kind for c in decision.changes] == ["stopped"]
    assert world.look() == Decision(memory={})


def test_the_delay_doubles_to_five_minutes_and_is_forgiven_after_ten_good_ones() -> None:
    world = World()
    waits = []
    for _ in range(12):
        world.launch()
        world.up(for_s=plan.GOOD_AFTER_S + 1)  # good each time, so that it is no storm
        down = world.fail("killed")
        waits.append(down.changes[0].in_s)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    world.launch()
    world.up(for_s=plan.FORGIVEN_AFTER_S)
    assert world.fail("killed").changes[0].in_s == 1


def test_too_many_starts_that_lead_to_nothing_are_a_storm_until_somebody_asks() -> None:
    world = World()
    world.launch()
    for _ in range(plan.STORM_STARTS):
        assert world.fail().changes[0].kind == "down"
        world.launch()
    (change,) = world.fail().changes
    assert (change.kind, change.reason, world.past.phase) == ("held", "storm", "held")
    assert "why" in change.detail and "5 starts" in change.detail
    for _ in range(100):
        world.now += 3600
        assert world.look().launches == ()
    assert world.look(wish=Wish(wanted=True, since=2.0), failure=None).launches == ("coder",)


def test_starts_that_were_good_are_no_storm() -> None:
    world = World()
    world.launch()
    for _ in range(plan.STORM_STARTS * 3):
        world.up(for_s=plan.GOOD_AFTER_S + 1)
        assert world.fail("crashed_in_turn").changes[0].kind == "down"
        world.launch()


@pytest.mark.parametrize("reason", sorted(r for r in REASONS if answer_to(as_reason(r)).act == "hold"))  # type: ignore[arg-type]
def test_what_no_further_start_would_mend_is_held(reason: Reason) -> None:
    world = World()
    world.launch()
    (change,) = world.fail(reason).changes
    assert (change.kind, change.reason) == ("held", reason)
    world.now += 1e6
    assert world.look().launches == ()


def test_a_login_is_waited_for_and_looked_at_each_minute() -> None:
    world = World()
    world.launch()
    world.sight = replace(world.sight, signature="before")
    (change,) = world.fail("login_expired").changes
    assert (change.kind, change.in_s) == ("waiting", 60)
    world.now += 59
    assert world.look(failure=None, signature="after").launches == ()
    world.now += 2
    assert world.look(signature="before").launches == ()
    assert world.past.next_try_at == world.now + 60
    world.now += 61
    assert world.look(signature="after").launches == ("coder",)


def test_a_full_disk_is_waited_for() -> None:
    world = World()
    world.launch()
    world.fail("disk_full")
    world.now += 61
    assert world.look(failure=None, space=False).launches == ()
    world.now += 61
    assert world.look(space=True).launches == ("coder",)


def test_an_endpoint_is_tried_each_minute_for_ever_and_is_no_storm() -> None:
    world = World()
    world.launch()
    for _ in range(50):
        assert world.fail("endpoint_down").changes[0].kind == "waiting"
        before = world.now
        world.launch()
        assert world.now - before == pytest.approx(60, abs=1)


def test_one_that_is_silent_for_too_long_is_ended_and_started_anew() -> None:
    world = World()
    world.launch()
    world.up()
    assert world.look(alive=True, silent=True).ends == ()
    world.now += plan.UNRESPONSIVE_AFTER_S - 1
    assert world.look(alive=True, silent=True).ends == ()
    world.now += 1
    decision = world.look(alive=True, silent=True)
    assert decision.ends == ("coder",)
    assert (decision.changes[0].reason, world.past.phase) == ("unresponsive", "down")
    world.launch()


def test_one_that_answers_again_is_left_alone() -> None:
    world = World()
    world.launch()
    world.up()
    world.look(silent=True)
    world.now += plan.UNRESPONSIVE_AFTER_S - 1
    world.look(silent=False, answer="busy")
    world.now += plan.UNRESPONSIVE_AFTER_S
    assert world.look(silent=True).ends == ()


def test_a_process_that_never_takes_its_lock_is_ended() -> None:
    world = World()
    world.launch()
    world.now += plan.LOCKED_WITHIN_S
    decision = world.look(launching=True)
    assert (decision.ends, decision.changes[0].reason) == (("coder",), "unresponsive")


def test_another_supervisors_launch_is_given_time_to_take_its_lock() -> None:
    world = World()
    world.launch()
    world.now += 1
    assert world.look(launching=None).changes == ()
    world.now += plan.SETTLES_WITHIN_S
    assert world.look(launching=None).changes[0].reason == "killed"


def test_what_runs_is_adopted_and_not_launched() -> None:
    world = World()
    decision = world.look(alive=True)
    assert (decision.launches, [c.kind for c in decision.changes]) == ((), ["adopted"])
    assert [c.kind for c in world.look(answer="busy").changes] == ["up"]


def test_a_failure_from_before_keeps_nothing_from_being_started_and_a_new_one_does() -> None:
    old = Failure(ts=BEGUN - 5, reason="transcript_corrupt", detail="x")
    assert World().look(failure=old).launches == ("coder",)
    assert World().look(failure=replace(old, ts=BEGUN + 5)).launches == ()


def test_what_a_killed_stop_left_alive_is_ended_later() -> None:
    world = World()
    world.launch()
    world.up()
    assert world.look(wish=Wish(), alive=True).stops == ()
    world.now += plan.UNWANTED_AFTER_S
    assert world.look().stops == ("coder",)
    assert world.look(alive=False).memory == {}


def test_a_clock_that_was_set_back_delays_nothing_for_long() -> None:
    world = World()
    world.launch()
    world.fail("killed")
    world.now -= 86_400
    assert world.look(failure=None).launches == ("coder",)


# ---- room


def sights(count: int, **given: object) -> list[Sight]:
    made = [Sight(name=f"a{n}", wish=Wish(wanted=True, since=float(n)), alive=False) for n in range(count)]
    return [replace(sight, **given) for sight in made]  # type: ignore[arg-type]


def test_at_most_so_many_come_up_at_once_and_the_router_first() -> None:
    seen = [*sights(20), Sight(name=ROUTER, wish=Wish(wanted=True, since=99.0), alive=False)]
    decision = decide(seen, {}, limits=Limits(), free_mb=None, now=BEGUN, begun=BEGUN)
    assert decision.launches == (ROUTER, *(f"a{n}" for n in range(plan.AT_ONCE)))
    again = decide(seen, decision.memory, limits=Limits(), free_mb=None, now=BEGUN + 1, begun=BEGUN)
    assert again.launches == ()


def test_what_finds_no_room_is_queued_in_the_order_it_was_asked_for() -> None:
    limits = Limits(max_agents=2)
    first = decide(sights(4), {}, limits=limits, free_mb=None, now=BEGUN, begun=BEGUN)
    assert first.launches == ("a0", "a1")
    assert [(c.name, c.kind) for c in first.changes if c.kind == "queued"] == [("a2", "queued"), ("a3", "queued")]
    assert first.memory["a2"].detail == "it is the next; 2 agents run, and limits.max_agents is 2"
    assert first.memory["a3"].detail.startswith("1 wait before it")
    running = [replace(s, alive=n < 2, answer="idle" if n < 2 else None) for n, s in enumerate(sights(4))]
    second = decide(running, first.memory, limits=limits, free_mb=None, now=BEGUN + 1, begun=BEGUN)
    assert (second.launches, [c.name for c in second.changes if c.kind == "queued"]) == ((), [])
    running[0] = replace(running[0], wish=Wish(), alive=False)
    assert decide(running, second.memory, limits=limits, free_mb=None, now=BEGUN + 2, begun=BEGUN).launches == ("a2",)


def test_memory_is_kept_free_and_what_is_coming_is_reckoned_with() -> None:
    limits = Limits(min_free_mb=1000)
    decision = decide(sights(5), {}, limits=limits, free_mb=1700, now=BEGUN, begun=BEGUN)
    assert decision.launches == ("a0", "a1")
    assert "limits.min_free_mb is 1000" in decision.memory["a2"].detail
    router = Sight(name=ROUTER, wish=Wish(wanted=True, since=1.0), alive=False)
    assert decide([router], {}, limits=limits, free_mb=10, now=BEGUN, begun=BEGUN).launches == (ROUTER,)


# ---- at random

_reasons = st.sampled_from(sorted(REASONS))
_events = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.01, 400)),
    st.tuples(st.just("die"), st.one_of(st.none(), _reasons)),
    st.tuples(st.just("lock"), st.none()),
    st.tuples(st.just("answer"), st.sampled_from(["starting", "idle", "busy", "failed"])),
    st.tuples(st.just("silent"), st.none()),
    st.tuples(st.just("want"), st.booleans()),
    st.tuples(st.just("supervisor dies"), st.none()),
    st.tuples(st.just("started by hand"), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_events, max_size=60), st.booleans())
def test_no_phase_is_without_an_exit_and_nothing_runs_twice(events: list[tuple[str, object]], limited: bool) -> None:
    """Processes are counted: one that has the lock, and one that was launched and has it not yet."""
    now, begun, wishes = BEGUN, BEGUN, 1.0
    memory: dict[str, Past] = {}
    wish = Wish(wanted=True, since=wishes)
    locked, launched, known = False, False, False
    failure: Failure | None = None
    signature = 0

    def look(*, answer: str | None = None, silent: bool = False) -> Decision:
        nonlocal memory, locked, launched, known, failure
        sight = Sight(
            name="x",
            wish=wish,
            alive=locked,
            answer=answer if locked else None,
            silent=silent and locked,
            launching=(launched if known else None) if not locked else None,
            failure=failure,
            signature=str(signature),
        )
        before = memory.get("x", Past())
        limits = Limits(max_agents=1) if limited else Limits()
        decision = decide([sight], memory, limits=limits, free_mb=None, now=now, begun=begun)
        memory = decode_memory(encode_memory(decision.memory))
        assert memory == dict(decision.memory), "what is remembered survives being written down"
        if decision.launches:
            assert wish.wanted, "what is stopped is never started"
            assert not locked and not (launched and known), "one at a time"
            assert not (before.phase == "held" and before.wish == wish.since), "what is held is not started"
            launched, known, failure = True, True, None
        if decision.ends or decision.stops:
            locked = launched = False
        return decision

    for kind, value in events:
        match kind:
            case "wait":
                now += float(value)  # type: ignore[arg-type]
                signature += 1
            case "die":
                if locked or launched:
                    reason = as_reason(value)
                    failure = Failure(ts=now, reason=reason, detail="d") if reason else None
                    locked = launched = False
            case "lock":
                locked, launched = locked or launched, False
            case "started by hand":
                locked, launched = True, False
            case "want":
                wishes += 1
                wish = Wish(wanted=bool(value), since=wishes)
            case "supervisor dies":
                known, begun = False, now
        look(answer=str(value) if kind == "answer" else None, silent=kind == "silent")

    look()
    if wish.wanted and memory["x"].phase != "held":
        # Whatever happened: when the daemon is well from here on, it is up before long.
        for _ in range(3000):
            now += 1
            signature += 1
            if launched:
                locked, launched = True, False
            look(answer="idle")
            if memory["x"].phase == "up":
                break
        assert memory["x"].phase == "up"
    if not wish.wanted:
        for _ in range(100):
            now += 1
            look()
        assert (memory, locked) == ({}, False)


# ---- the names


def test_every_reason_has_an_answer_with_a_hint() -> None:
    for name in sorted(REASONS):
        reason = as_reason(name)
        assert reason is not None
        assert "{" not in hint_for(reason, "coder")
        assert (answer_to(reason).until is None) == (answer_to(reason).act != "wait")
    assert as_reason("of a later version") is None
    assert as_reason(7) is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": 2, "daemons": {}}', b'{"version": 1, "daemons": 3}'])
def test_a_memory_that_cannot_be_read_is_said(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_memory(data)


def test_an_entry_with_faults_is_left_out_and_the_others_stay() -> None:
    memory = {"a": Past(phase="held", reason="storm", starts=(1.0, 2.0)), "b": Past()}
    text = encode_memory(memory).decode().replace('"phase": "new"', '"phase": "odd"')
    assert decode_memory(text.encode()) == {"a": memory["a"]}

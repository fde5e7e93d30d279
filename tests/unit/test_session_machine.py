"""Whatever happens in whatever order, an entry is never lost, never doubled, never back from its end."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relayfleet.model.agent import InboxMode, InboxPolicy
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import DROPPABLE, ENDS, RETRIABLE
from relayfleet.runner import session as s

# Which receipt may follow which, per entry (see model/receipt.py).
LEGAL = {
    "queued": {"offered", "seen", "failed", "dead"},
    "offered": {"offered", "seen", "failed", "dead"},
    "seen": {"offered", "queued", "handled", "failed", "dead"},
    "handled": set(),
    "failed": set(),
    "dead": set(),
    "dropped": set(),
}


class SessionMachine(RuleBasedStateMachine):
    """Feeds anything at any time; what it did is kept as receipts per entry."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state = s.State(since=self.now)
        self.receipts: dict[EntryId, str] = {}
        self.sent: list[EntryId] = []
        self.prompts: list[str] = []
        self.full = False  # then no offer can be recorded, and its step is not taken

    @initialize(mode=st.sampled_from(["turn", "steer"]), batch=st.integers(1, 4))
    def configure(self, mode: InboxMode, batch: int) -> None:
        policy = InboxPolicy(mode=mode, batch=batch, seen_timeout_s=3.0, max_attempts=3, max_turn_chars=500)
        self.state = replace(self.state, policy=policy)

    def feed(self, given: s.Input) -> list[s.Effect]:
        return self._take(given) + self._take(s.Next())

    def _take(self, given: s.Input) -> list[s.Effect]:
        before = self.state
        state, effects = s.step(self.state, given, now=self.now)
        if self.full and any(isinstance(e, s.Record) and e.state == "offered" for e in effects):
            return []
        self.state = state
        self._check(effects)
        for effect in effects:
            if isinstance(effect, s.Send):
                assert before.offer is None, "a second offer while one is out"
                assert self.state.linked, "an offer that nobody can write"
                assert not self.state.holds, "an offer to a session that somebody holds"
                assert self.state.phase == ("busy" if effect.steer else "idle")
                assert not effect.steer or self.state.policy.mode == "steer"
                assert effect.steer or not before.turns, "an offer while a turn is not over"
                assert len(effect.entries) <= self.state.policy.batch
                assert len(effect.entries) == 1 or all(e.attempts == 1 for e in effect.entries)
                self.sent += [entry.id for entry in effect.entries]
        return effects

    def _check(self, effects: list[s.Effect]) -> None:
        sends = [entry.id for e in effects if isinstance(e, s.Send) for entry in e.entries]
        recorded = [e.entry for e in effects if isinstance(e, s.Record) and e.state == "offered"]
        assert sends == recorded, "what is offered is on record, and the other way round"
        for effect in effects:
            if isinstance(effect, s.Record):
                assert effect.state in LEGAL[self.receipts[effect.entry]], (effect, self.receipts[effect.entry])
                self.receipts[effect.entry] = effect.state
            if isinstance(effect, s.Refuse):
                known = {entry: self.receipts[entry] for entry in effect.entries}
                assert any(found in ENDS | {"seen", "queued"} for found in known.values()), known

    def any_entry(self, data: st.DataObject) -> EntryId:
        return data.draw(st.sampled_from(sorted(self.receipts)))

    @rule(
        count=st.integers(1, 3),
        size=st.sampled_from([0, 200, 1000]),
        ttl=st.one_of(st.just(math.inf), st.floats(-5, 60)),
    )
    def arrive(self, count: int, size: int, ttl: float) -> None:
        new = [EntryId(f"e{len(self.receipts) + n:03}") for n in range(count)]
        self.receipts |= dict.fromkeys(new, "queued")
        self.feed(s.Arrived(tuple(s.Pending(id=i, size=size, expires=self.now + ttl) for i in new)))

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        self.feed(s.Linked(up))

    @rule(phase=st.sampled_from(["idle", "busy", "waiting"]), age=st.floats(0, 5))
    def notice(self, phase: s.Phase, age: float) -> None:
        self.feed(s.Noticed(phase, self.now - age))

    @rule(by=st.sampled_from(["driver", "login"]), up=st.booleans())
    def hold(self, by: str, up: bool) -> None:
        self.feed(s.Held(by, up))

    @precondition(lambda self: any(state in RETRIABLE for state in self.receipts.values()))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(sorted(e for e, state in self.receipts.items() if state in RETRIABLE)))
        self.receipts[entry] = "queued"
        self.feed(s.Retried((s.Pending(id=entry, repeat="retried"),)))

    @precondition(lambda self: any(state in DROPPABLE for state in self.receipts.values()))
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(sorted(e for e, state in self.receipts.items() if state in DROPPABLE)))
        self.receipts[entry] = "dropped"
        self.feed(s.Dropped((entry,)))

    @rule(seconds=st.one_of(st.floats(0, 15), st.floats(-5000, 5000)))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.feed(s.Ticked())

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), absorbed=st.booleans())
    def see(self, data: st.DataObject, absorbed: bool) -> None:
        if not absorbed or not self.prompts:
            self.prompts.append(f"p{len(self.prompts)}")
        seen = data.draw(st.lists(st.sampled_from(self.sent), min_size=1, max_size=3))
        self.feed(s.Prompted(self.prompts[-1], tuple(seen)))

    @precondition(lambda self: self.state.offer)
    @rule(absorbed=st.booleans())
    def see_what_is_offered(self, absorbed: bool) -> None:
        if not absorbed or not self.prompts:
            self.prompts.append(f"p{len(self.prompts)}")
        assert self.state.offer is not None
        ids = tuple(entry.id for entry in self.state.offer.entries)
        self.feed(s.Prompted(self.prompts[-1], ids))
        assert {self.receipts[entry] for entry in ids} == {"seen"}

    @rule()
    def type_something(self) -> None:
        self.prompts.append(f"p{len(self.prompts)}")
        self.feed(s.Prompted(self.prompts[-1]))

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), error=st.sampled_from(["", "overloaded"]), passing=st.booleans())
    def stop(self, data: st.DataObject, error: str, passing: bool) -> None:
        self.feed(s.Stopped(data.draw(st.sampled_from(self.prompts)), error, passing))

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        entry = self.any_entry(data)
        done = self.feed(s.Failed(entry, "cannot"))
        assert self.receipts[entry] in ENDS
        assert not any(isinstance(e, s.Refuse) for e in done)

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.feed(s.OfferLost(self.any_entry(data), "no socket"))

    @rule(full=st.booleans())
    def disk(self, full: bool) -> None:
        self.full = full

    @rule()
    def die(self) -> None:
        self.feed(s.Died())

    @invariant()
    def every_entry_is_in_one_place(self) -> None:
        queued = [p.id for p in self.state.queue]
        offered = [e.id for e in self.state.offer.entries] if self.state.offer else []
        seen = [e.id for turn in self.state.turns for e in turn.entries]
        ended = list(self.state.ended)
        assert sorted(queued + offered + seen + ended) == sorted(self.receipts)
        assert {e for e, state in self.receipts.items() if state in ENDS} == set(ended)
        assert {self.receipts[e] for e in seen} <= {"seen"}
        assert {self.receipts[e] for e in offered} <= {"offered"}

    @invariant()
    def time_alone_goes_on(self) -> None:
        due = s.next_tick(self.state, now=self.now)
        assert due is None or 0 <= due < math.inf

    def teardown(self) -> None:
        """From any state whatsoever, a session that does its part brings every entry to its end: what waits for time
        alone says how long."""
        self.full = False
        self.feed(s.Linked(True))
        for holder in self.state.holds:
            self.feed(s.Held(holder, False))
        for turn in range(30 * len(self.receipts) + 20):
            self.now += 0.01
            self.feed(s.Noticed("idle", self.now))
            self.now += s.next_tick(self.state, now=self.now) or 0.0
            self.feed(s.Ticked())
            if self.state.offer is not None:
                self.feed(s.Prompted(f"last{turn}", tuple(e.id for e in self.state.offer.entries)))
                self.feed(s.Stopped(f"last{turn}"))
        assert not self.state.queue
        assert self.state.offer is None
        assert not self.state.turns
        assert set(self.receipts.values()) <= ENDS


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, database=None)

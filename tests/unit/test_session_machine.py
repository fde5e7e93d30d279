"""Whatever happens in whatever order, an entry is never lost, never doubled, never back from its end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relayfleet.model.agent import Delivery
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import ENDS
from relayfleet.runner import session as s

# Which receipt may follow which, per entry (see model/receipt.py).
LEGAL = {
    "queued": {"offered", "failed"},
    "offered": {"offered", "seen", "failed", "dead"},
    "seen": {"offered", "handled", "failed", "dead"},
    "handled": set(),
    "failed": set(),
    "dead": set(),
}


class SessionMachine(RuleBasedStateMachine):
    """Feeds anything at any time; what it did is kept as receipts per entry."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state = s.State(since=self.now, policy=Delivery(seen_timeout_s=3.0, max_attempts=3))
        self.receipts: dict[EntryId, str] = {}
        self.sent: list[EntryId] = []
        self.prompts: list[str] = []
        self.full = False  # then no offer can be recorded, and its step is not taken

    def feed(self, given: s.Input) -> list[s.Effect]:
        return self._take(given) + self._take(s.Next())

    def _take(self, given: s.Input) -> list[s.Effect]:
        before = self.state.offer
        state, effects = s.step(self.state, given, now=self.now)
        if self.full and any(isinstance(e, s.Record) and e.state == "offered" for e in effects):
            return []
        self.state = state
        self._check(effects)
        ended = {e.entry for e in effects if isinstance(e, s.Record) and e.state in ENDS}
        for effect in effects:
            if isinstance(effect, s.Send):
                free = before is None or before.id in ended or before.id == effect.entry
                assert free, "a second offer while one is out"
                assert self.state.linked, "an offer that nobody can write"
                assert self.state.phase == "idle", "an offer to a session that is at something"
                self.sent.append(effect.entry)
        return effects

    def _check(self, effects: list[s.Effect]) -> None:
        sends = [e.entry for e in effects if isinstance(e, s.Send)]
        recorded = [e.entry for e in effects if isinstance(e, s.Record) and e.state == "offered"]
        assert sends == recorded, "what is offered is on record, and the other way round"
        for effect in effects:
            if isinstance(effect, s.Record):
                assert effect.state in LEGAL[self.receipts[effect.entry]]
                self.receipts[effect.entry] = effect.state
            if isinstance(effect, s.Refuse):
                assert self.receipts[effect.entry] in ENDS | {"seen"}

    def any_entry(self, data: st.DataObject) -> EntryId:
        return data.draw(st.sampled_from(sorted(self.receipts)))

    @rule(count=st.integers(1, 3))
    def arrive(self, count: int) -> None:
        new = [EntryId(f"e{len(self.receipts) + n:03}") for n in range(count)]
        self.receipts |= dict.fromkeys(new, "queued")
        self.feed(s.Arrived(tuple(s.Pending(id=i) for i in new)))

    @rule(up=st.booleans())
    def link(self, up: bool) -> None:
        self.feed(s.Linked(up))

    @rule(phase=st.sampled_from(["idle", "busy", "waiting"]), age=st.floats(0, 5))
    def notice(self, phase: s.Phase, age: float) -> None:
        self.feed(s.Noticed(phase, self.now - age))

    @rule(seconds=st.floats(0, 15))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.feed(s.Ticked())

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def see(self, data: st.DataObject) -> None:
        self.prompts.append(f"p{len(self.prompts)}")
        self.feed(s.Prompted(self.prompts[-1], data.draw(st.sampled_from(self.sent))))

    @rule()
    def type_something(self) -> None:
        self.prompts.append(f"p{len(self.prompts)}")
        self.feed(s.Prompted(self.prompts[-1], None))

    @precondition(lambda self: self.prompts)
    @rule(data=st.data(), error=st.sampled_from(["", "overloaded"]))
    def stop(self, data: st.DataObject, error: str) -> None:
        self.feed(s.Stopped(data.draw(st.sampled_from(self.prompts)), error))

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
        offered = [self.state.offer.id] if self.state.offer else []
        ended = list(self.state.ended)
        assert sorted(queued + offered + ended) == sorted(self.receipts)
        assert {e for e, state in self.receipts.items() if state in ENDS} == set(ended)

    def teardown(self) -> None:
        """From any state whatsoever, a session that does its part brings every entry to its end."""
        self.now += 100
        self.full = False
        self.feed(s.Linked(True))
        for turn in range(20 * len(self.receipts) + 20):
            self.now += 1
            self.feed(s.Noticed("idle", self.now))
            self.now += 20
            self.feed(s.Ticked())
            offer = self.state.offer
            if offer is not None and offer.prompt_id is None:
                self.feed(s.Prompted(f"last{turn}", offer.id))
                self.feed(s.Stopped(f"last{turn}"))
        assert not self.state.queue
        assert self.state.offer is None
        assert set(self.receipts.values()) <= ENDS


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=200, stateful_step_count=30, deadline=None, database=None)

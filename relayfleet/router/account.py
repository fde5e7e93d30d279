"""An account at work: how GitHub is reached through it, what it may spend, and the lanes of what it looks at."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from relayfleet.model.fleet import GithubAccount
from relayfleet.model.watch import Lane as LaneName
from relayfleet.ports.source import Failure, Source
from relayfleet.router.govern import RESOURCE_OF, Governor
from relayfleet.router.lane import Lane
from relayfleet.router.schedule import BackOff, back_off

# A bad token and a secondary limit concern whatever an account would ask next; the others only the lane that met them.
_OF_ACCOUNT = frozenset({"auth", "secondary"})


class Account:
    """`hold` keeps all of it back: a bad token, or GitHub's secondary limit."""

    def __init__(self, spec: GithubAccount, source: Source, *, moment: float) -> None:
        self.spec = spec
        self.source = source
        self.governor = Governor(moment=moment)
        self.hold: BackOff | None = None
        self.lanes: Mapping[LaneName, Lane] = {name: Lane(spec.name, name) for name in RESOURCE_OF}

    def arrange(
        self, rhythms: Mapping[LaneName, Mapping[str, float]], *, fresh: Collection[str], now: float, moment: float
    ) -> None:
        """Goes over to these feeds: seconds between two looks, by lane and feed."""
        for name, lane in self.lanes.items():
            lane.arrange(rhythms.get(name, {}), fresh=fresh, moment=moment)
            self.governor.plan(name, lane.rhythms, now=now, moment=moment)

    def due_at(self, lane: Lane) -> float | None:
        """The moment of the lane's next round, None when there is nothing to look at."""
        due = lane.due_at(stretch=self.governor.stretch(lane.name))
        return None if due is None else max(due, self.held_until)

    @property
    def scope(self) -> str:
        return f"account {self.spec.name}"

    def hold_back(self, lane: Lane, failure: Failure, *, moment: float, jitter: float) -> tuple[str, BackOff]:
        """Takes in a failure that ended a round of the lane: what waits for it now, and until when."""
        of_account = failure.kind in _OF_ACCOUNT
        before = self.hold if of_account else lane.hold
        if before is not None and before.until > moment and before.kind == failure.kind:
            # Told to a round that was under way in the other lane: it is the same failure.
            again = back_off(None, failure, now=moment, jitter=jitter)
            hold = again if again.until > before.until else before
        else:
            hold = back_off(before, failure, now=moment, jitter=jitter)
        if of_account:
            self.hold = hold
            return self.scope, hold
        lane.hold = hold
        return lane.scope, hold

    @property
    def held_until(self) -> float:
        return self.hold.until if self.hold else 0.0

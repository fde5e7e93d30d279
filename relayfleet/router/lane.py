"""A lane: the feeds of one account that come by one way, looked at one round after another.

GitHub meters GraphQL and REST apart, so that an account has two lanes. Feeds of one rhythm keep one beat, and so share
their queries. Moments are of a clock that never goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from relayfleet.model.watch import Lane as LaneName
from relayfleet.ports.source import Failure
from relayfleet.router.govern import stretched
from relayfleet.router.schedule import BackOff, back_off, last_beat

# Of these, what was asked for may be the cause.
_OF_QUESTION = frozenset({"server", "transport"})


class Lane:
    """`waiting` are the feeds, by key, that are to be looked at as soon as possible, in this order; `rhythms` is how
    often each feed is, in seconds. While `lock` is held no round is under way; `changed` says that there may be
    something to do earlier than was thought."""

    def __init__(self, account: str, name: LaneName) -> None:
        self.account = account
        self.name = name
        self.rhythms: dict[str, float] = {}
        self.waiting: dict[str, None] = {}
        self.hold: BackOff | None = None
        self.feed_holds: dict[str, BackOff] = {}
        self.lock = asyncio.Lock()
        self.changed = asyncio.Event()
        self._beats: dict[float, float] = {}

    @property
    def scope(self) -> str:
        return f"lane {self.account}/{self.name}"

    def arrange(self, rhythms: Mapping[str, float], *, fresh: Collection[str], moment: float) -> None:
        """Goes over to these feeds. Those that are new here, or `fresh`, are to be looked at at once."""
        waiting = [feed for feed in rhythms if feed in self.waiting or feed not in self.rhythms or feed in fresh]
        self.waiting = dict.fromkeys(waiting)
        self.feed_holds = {feed: hold for feed, hold in self.feed_holds.items() if feed in rhythms}
        self.rhythms = dict(rhythms)
        self._beats = {rhythm: self._beats.get(rhythm, moment) for rhythm in rhythms.values()}
        self.changed.set()

    def fill(self, *, stretch: float, moment: float) -> None:
        """Notes who is to be looked at by now: at a beat those of its rhythm, and who failed and has waited."""
        struck = set()
        for rhythm, beat in self._beats.items():
            latest = last_beat(beat, stretched(rhythm, stretch), moment=moment)
            if latest > beat:
                struck.add(rhythm)
                self._beats[rhythm] = latest
        if struck:
            due = (feed for feed, rhythm in self.rhythms.items() if rhythm in struck and feed not in self.feed_holds)
            self.waiting.update(dict.fromkeys(due))
        self.waiting.update((feed, None) for feed, hold in self.feed_holds.items() if hold.until <= moment)

    def due_at(self, *, stretch: float) -> float | None:
        """The moment of the next round, apart from what the account waits for; None when there is nothing to look
        at."""
        if not self.rhythms:
            return None
        if self.waiting:
            moments = [0.0]
        else:
            moments = [beat + stretched(rhythm, stretch) for rhythm, beat in self._beats.items()]
            moments += [hold.until for hold in self.feed_holds.values()]
        return max(min(moments), self.hold.until if self.hold else 0.0)

    def feed_due_at(self, feed: str, *, stretch: float) -> float:
        """The moment of a feed's next look."""
        rhythm = self.rhythms[feed]
        if feed in self.feed_holds:
            due = self.feed_holds[feed].until
        else:
            due = 0.0 if feed in self.waiting else self._beats[rhythm] + stretched(rhythm, stretch)
        return max(due, self.hold.until if self.hold else 0.0)

    def seen(self, feeds: Iterable[str]) -> None:
        for feed in feeds:
            self.waiting.pop(feed, None)
            self.feed_holds.pop(feed, None)

    def failed(self, feed: str, failure: Failure, *, moment: float, jitter: float) -> None:
        """One feed failed by itself: it is left out until it has waited."""
        self.waiting.pop(feed, None)
        self.feed_holds[feed] = back_off(self.feed_holds.get(feed), failure, now=moment, jitter=jitter)

    def blame(self, asked: Sequence[str], failure: Failure, *, moment: float, jitter: float) -> None:
        """A request for these feeds ended a round. When that may be for what they hold, they come last the next time,
        and one that was alone waits: it must not keep back all others."""
        if failure.kind not in _OF_QUESTION:
            return
        if len(asked) == 1 and asked[0] in self.waiting:
            self.failed(asked[0], failure, moment=moment, jitter=jitter)
            return
        for feed in asked:
            if feed in self.waiting:
                del self.waiting[feed]
                self.waiting[feed] = None

"""One round: look at the watches that are due, see what happened, record it all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relayfleet.model.entry import new_entry_id
from relayfleet.model.event import Event
from relayfleet.model.filter import Filter, parse_filter
from relayfleet.model.gate import Verdict, judge
from relayfleet.model.route import Gate
from relayfleet.model.watch import Watch, fingerprint_of
from relayfleet.ports.cursor import Cursor, Held, Owed
from relayfleet.ports.log import Log
from relayfleet.ports.source import Failure, Look, Round, Sight, Source
from relayfleet.router.detect import Detection, detect
from relayfleet.router.entry import entry_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What a round came to. `seen` are the watches that were read and recorded; the others stay due."""

    seen: tuple[str, ...]
    failures: Mapping[str, Failure] = field(default_factory=dict)
    round: Round


class Poller:
    def __init__(self, *, gate: Gate, source: Source, cursor: Cursor, log: Log) -> None:
        """Raises ValueError when a watch's filter cannot be understood."""
        self._gate = gate
        self._source = source
        self._cursor = cursor
        self._log = log
        self._watches: dict[str, tuple[Watch, Filter]] = {
            watch.name: (watch, parse_filter(watch.filter, watch.kind)) for watch in gate.watches
        }

    async def poll(self, names: Sequence[str], *, now: float) -> Polled:
        """Looks at these watches, which are all of runs or none of them. Raises StorageFailed: nothing is recorded."""
        looks = {name: self._look(name) for name in names}
        found = await self._source.look(list(looks.values()))
        failures = dict(found.failures)
        detections: list[Detection] = []
        for sight in found.sights:
            look = looks[sight.watch]
            if look.filter.needs_viewer and not found.viewer:
                failures[sight.watch] = Failure(kind="server", message="GitHub did not say who @me is")
            else:
                detections.append(self._detect(look, sight, found.viewer))
        self._record(detections, now=now)
        return Polled(seen=tuple(detection.change.watch for detection in detections), failures=failures, round=found)

    def _look(self, name: str) -> Look:
        watch, chosen = self._watches[name]

        def known(node_ids: Sequence[str]) -> Mapping[str, str]:
            members = self._cursor.members(name, node_ids)
            return {node_id: member.updated_at for node_id, member in members.items()}

        progress = self._cursor.progress(name, fingerprint_of(watch))
        return Look(watch=watch, filter=chosen, progress=progress, known=known)

    def _detect(self, look: Look, sight: Sight, viewer: str) -> Detection:
        first = look.progress is None
        members = {} if first else self._cursor.members(sight.watch, [item.node_id for item in sight.items])
        return detect(look.watch, look.filter, sight, members, viewer=viewer, first=first)

    def _record(self, detections: Sequence[Detection], *, now: float) -> None:
        owed: list[Owed] = []
        held: list[Held] = []
        for detection in detections:
            if detection.change.fresh:
                count = len(detection.change.entered)
                self._log.info("router.snapshot", watch=detection.change.watch, items=count)
            for event in detection.events:
                verdict = judge(self._gate, event)
                owed += _owed(event, verdict, now=now)
                held += _held(event, verdict, now=now)
                self._tell(event, verdict)
        if detections:
            self._cursor.commit([detection.change for detection in detections], owed, held, now=now)

    def _tell(self, event: Event, verdict: Verdict) -> None:
        self._log.info(
            "router.event",
            watch=event.watch,
            event=event.name,
            repo=event.item.repo,
            kind=event.item.kind,
            number=event.item.number,
            key=event.key,
            to=[recipient.agent for recipient in verdict.recipients],
            held_for=[recipient.agent for recipient in verdict.held],
            why_held=verdict.reason,
        )


def _owed(event: Event, verdict: Verdict, *, now: float) -> list[Owed]:
    return [
        Owed(
            agent=recipient.agent,
            key=event.key,
            entry=entry_of(event, recipient, entry_id=new_entry_id(), now=now),
        )
        for recipient in verdict.recipients
    ]


def _held(event: Event, verdict: Verdict, *, now: float) -> list[Held]:
    if not verdict.held:
        return []
    item = event.item
    record = Held(
        key=event.key,
        watch=event.watch,
        repo=item.repo,
        kind=item.kind,
        number=item.number,
        author=item.author,
        association=item.association,
        agents=tuple(recipient.agent for recipient in verdict.held),
        url=item.url,
        reason=verdict.reason,
        at=now,
    )
    return [record]

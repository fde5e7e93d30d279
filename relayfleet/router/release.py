"""What it comes to when the operator lets something go that was held back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from relayfleet.model.event import Event, decode_event
from relayfleet.model.gate import Recipient
from relayfleet.model.names import EntryId
from relayfleet.ports.cursor import Held, HeldFor, Owed
from relayfleet.router.entry import entry_of


def released(held: Held, *, new_id: Callable[[], EntryId], now: float) -> tuple[Owed, ...]:
    """One delivery for each agent from which something was held back: those pieces and no others, as a new entry.

    Its key is the event's with `#released`, so that an agent gets it once however often it is released; its trust is
    still that of who wrote it. Raises ValueError when the event cannot be understood.
    """
    event = decode_event(held.event)
    holds: dict[str, list[HeldFor]] = {}
    for hold in held.holds:
        holds.setdefault(hold.agent, []).append(hold)
    key = f"{held.key}#released"
    return tuple(_owed(event, given, key=key, entry_id=new_id(), now=now) for given in holds.values())


def _owed(event: Event, holds: Sequence[HeldFor], *, key: str, entry_id: EntryId, now: float) -> Owed:
    whole = any(hold.item for hold in holds)
    wanted = {node_id for hold in holds for node_id in hold.notes}
    recipient = Recipient(
        agent=holds[0].agent,
        routes=tuple(dict.fromkeys(index for hold in holds for index in hold.routes)),
        item="full" if whole else "withheld",
        notes=tuple(note.node_id for note in event.changes.notes if note.node_id in wanted),
    )
    entry = entry_of(event, recipient, entry_id=entry_id, now=now)
    # What is not in this entry was not held back: nothing is kept from the agent any more.
    metadata = {name: value for name, value in entry.metadata.items() if name != "withheld"}
    metadata |= {"title": event.item.title, "key": key, "released_by": "operator"}
    return Owed(agent=recipient.agent, key=key, entry=replace(entry, metadata=metadata), item=event.item.node_id)

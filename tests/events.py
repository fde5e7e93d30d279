"""Events made up, and what a router would have written of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from relayfleet.model.change import Changes, EventName
from relayfleet.model.entry import new_entry_id
from relayfleet.model.event import Event, encode_event, key_of
from relayfleet.model.gate import Recipient
from relayfleet.model.item import Check, Item, Note, NoteKind, address_of
from relayfleet.ports.cursor import Batch, Decision, Held, HeldFor, Owed
from relayfleet.router.entry import entry_of
from relayfleet.store.router_db.cursor import SqliteCursor

STRANGER = "'mallory' is stranger (NONE); collaborators wanted, the default of a public repository"


def note_of(
    node_id: str, author: str = "eve", association: str = "NONE", *, body: str = "try this", kind: NoteKind = "comment"
) -> Note:
    return Note(
        kind=kind,
        node_id=node_id,
        url=f"https://github.com/acme/WMS/issues/41#issuecomment-{node_id}",
        author=author,
        association=association,
        body=body,
        created_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z",
        bot=author.endswith("[bot]"),
    )


def event_of(
    number: int = 41,
    *names: EventName,
    notes: Sequence[Note] = (),
    author: str = "mallory",
    association: str = "NONE",
    title: str = "The pump is loud",
    body: str = "It hums since Monday.",
    repo: str = "acme/WMS",
    host: str = "github.com",
    watch: str = "w",
    vouchers: tuple[str, ...] = (),
    checks: tuple[Check, ...] = (),
) -> Event:
    item = Item(
        host=host,
        repo=repo,
        private=False,
        kind="issues",
        node_id=f"I_{number}",
        number=number,
        title=title,
        body=body,
        url=f"https://{host}/{repo}/issues/{number}",
        author=author,
        association=association,
        state="open",
        labels=("bug",),
        checks=checks,
        created_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z",
    )
    happened = names or ("opened",)
    return Event(
        watch=watch,
        names=happened,
        item=item,
        key=key_of(item, f"content-{number}"),
        watched_repo=repo,
        changes=Changes(names=frozenset(happened), notes=tuple(notes)),
        vouchers=vouchers,
    )


def hold_of(
    agent: str = "coder",
    *,
    item: bool = True,
    notes: tuple[str, ...] = (),
    routes: tuple[int, ...] = (0,),
    reason: str = STRANGER,
) -> HeldFor:
    return HeldFor(agent=agent, routes=routes, item=item, notes=notes, reason=reason)


def held_of(event: Event, *holds: HeldFor, at: float = 1_000_000.0, held_id: int = 0) -> Held:
    return Held(
        id=held_id,
        key=event.key,
        watch=event.watch,
        event=json.loads(json.dumps(encode_event(event))),
        holds=holds or (hold_of(),),
        at=at,
    )


def owed_of(event: Event, agent: str = "coder", *, now: float = 1_000_000.0, not_before: float = 0.0) -> Owed:
    """What a trusted event brings to an agent."""
    recipient = Recipient(
        agent=agent, routes=(0,), item="full", notes=tuple(note.node_id for note in event.changes.notes)
    )
    entry = entry_of(event, recipient, entry_id=new_entry_id(), now=now)
    return Owed(agent=agent, key=event.key, entry=entry, item=event.item.node_id, not_before=not_before)


def decision_of(
    event: Event, *owed: Owed, held: Sequence[HeldFor] = (), note: str = "", at: float = 1_000_000.0
) -> Decision:
    item = event.item
    record = {
        "watch": event.watch,
        "events": list(event.names),
        "why": event.why,
        "to": [{"agent": one.agent, "routes": [0], "entry": one.entry.id} for one in owed],
        "held": [{"agent": one.agent, "reason": one.reason} for one in held],
        "note": note,
    }
    repo = address_of(item.host, item.repo)
    return Decision(at=at, repo=repo, kind=item.kind, number=item.number, key=event.key, record=record)


def write(path: Path, batch: Batch, *, now: float = 1_000_000.0, delivered: bool = False) -> None:
    """Commits a batch to the database at `path`; with `delivered`, what it owes was delivered."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    cursor = SqliteCursor(path)
    cursor.commit(batch, now=now)
    if delivered:
        cursor.settle([one.entry.id for one in cursor.owed(now=math.inf)], now=now)
    cursor.close()

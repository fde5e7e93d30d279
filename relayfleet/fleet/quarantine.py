"""What lies in the quarantine, told piece by piece: who wrote it and from whom it is held back. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from relayfleet.model.event import Event, decode_event
from relayfleet.model.item import Item, Note, NoteKind, address_of
from relayfleet.model.route import whole_address
from relayfleet.model.trust import TrustLabel, label_of
from relayfleet.ports.cursor import Held, HeldFor


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A text as its author wrote it, hostile until somebody has read it. `agents` are those that it is kept from.
    `facts` are further texts that count as the item's author's (labels, branch ...), each under what it is."""

    what: NoteKind | Literal["item"]
    author: str
    association: str
    trust: TrustLabel
    bot: bool
    url: str
    at: str
    text: str
    agents: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One event in the quarantine. `repo` is as `model.item.address_of` gives it."""

    held: Held
    event: Event
    repo: str
    pieces: tuple[Piece, ...]

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hold.agent for hold in self.held.holds))

    def is_about(self, *, agent: str | None, repo: str | None) -> bool:
        """Whether it is kept from the agent and is of the repository; None asks nothing."""
        if agent is not None and agent not in self.agents:
            return False
        return repo is None or whole_address(repo) == whole_address(self.repo)


def case_of(held: Held) -> Case:
    """Raises ValueError when the event cannot be understood."""
    event = decode_event(held.event)
    return Case(
        held=held,
        event=event,
        repo=address_of(event.item.host, event.item.repo),
        pieces=tuple(_pieces(event, held)),
    )


def pieces_in_words(hold: HeldFor) -> str:
    """`the item's text and 2 notes`."""
    count = len(hold.notes)
    notes = [f"{count} {'note' if count == 1 else 'notes'}"] if count else []
    return " and ".join((["the item's text"] if hold.item else []) + notes) or "nothing"


def _pieces(event: Event, held: Held) -> Iterator[Piece]:
    kept = tuple(dict.fromkeys(hold.agent for hold in held.holds if hold.item))
    if kept:
        yield _of_item(event.item, kept)
    for note in event.changes.notes:
        kept = tuple(dict.fromkeys(hold.agent for hold in held.holds if note.node_id in hold.notes))
        if kept:
            yield _of_note(note, kept)


def _of_item(item: Item, agents: tuple[str, ...]) -> Piece:
    facts = (
        ("labels", ", ".join(item.labels)),
        ("branch", item.branch),
        ("head commit", item.head_message),
        ("workflow", item.workflow),
        ("checks", ", ".join(check.name for check in item.checks)),
    )
    return Piece(
        what="item",
        author=item.author,
        association=item.association,
        trust=label_of(item.association),
        bot=item.bot,
        url=item.url,
        at=item.edited_at or item.created_at or item.updated_at,
        text=f"{item.title}\n\n{item.body}" if item.body else item.title,
        agents=agents,
        facts=tuple((name, value) for name, value in facts if value),
    )


def _of_note(note: Note, agents: tuple[str, ...]) -> Piece:
    place = f"{note.path}:{note.line}" if note.path else ""
    return Piece(
        what=note.kind,
        author=note.author,
        association=note.association,
        trust=label_of(note.association),
        bot=note.bot,
        url=note.url,
        at=note.updated_at or note.created_at,
        text=note.body,
        agents=agents,
        facts=(("on", place),) if place else (),
    )

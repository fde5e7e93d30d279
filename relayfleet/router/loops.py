"""What the fleet itself wrote: it does not come back to its author, and two agents do not answer each other for ever.

Pure, but for what Authorship knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from relayfleet.model.change import Changes, in_order
from relayfleet.model.event import Event
from relayfleet.ports.authorship import Authorship
from relayfleet.ports.cursor import Breaker

# So many events in a row about one item, all caused by agents, and within this time, are a loop.
MOST_IN_A_ROW = 6
ROW_S = 3600.0
# How long an agent's own change may take to show up, by both clocks.
TOUCH_S = 120.0
_OF_NOTES = frozenset({"commented", "reviewed"})
# They say how a watch sees the item, or that it is there: who did not make it can always be told of it.
_OF_VIEW = frozenset({"matched", "left"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Causes:
    """Who caused an event: the agents known to have, and whether anybody else did."""

    agents: frozenset[str]
    others: bool


def causes_of(event: Event, authorship: Authorship) -> Causes:
    agents: set[str] = set()
    others = False
    for note in event.changes.notes:
        author = authorship.author(note.url, note.author)
        agents |= {author} - {""}
        others |= not author
    if "opened" in event.names:
        author = authorship.author(event.item.url, event.item.author)
        agents |= {author} - {""}
        others |= not author
    for act in event.changes.acts:
        author = authorship.author("", act.actor)
        agents |= {author} - {""}
        others |= not author
    if not agents and not event.changes.notes and not event.changes.acts:
        others = True
    return Causes(agents=frozenset(agents), others=others)


def besides_own(event: Event, agent: str, authorship: Authorship, *, viewer: str, now: float) -> Event | None:
    """The event without what the agent did itself, None when nothing is left."""
    if not event.changes.notes and not event.changes.acts and "opened" not in event.names:
        return event
    touched = authorship.touched(agent, event.item.repo, event.item.number, since=now - TOUCH_S)
    notes = tuple(
        note
        for note in event.changes.notes
        if authorship.author(note.url, note.author) != agent
        # `gh pr review` does not print where the review is.
        and not (touched and note.kind != "comment" and note.author.casefold() == viewer.casefold())
    )
    names = set(event.names)
    if len(notes) < len(event.changes.notes):
        names -= _OF_NOTES
        names |= {"reviewed" if note.kind == "review" else "commented" for note in notes}
    if "opened" in names and authorship.author(event.item.url, event.item.author) == agent:
        # Its own item: that it is there, and as it made it, is no news to the agent.
        names -= {"opened", "matched"}
    if _did_all(event, agent, authorship, viewer=viewer, touched=touched):
        names = names & _OF_NOTES
    if not names:
        return None
    changes = Changes(
        **{
            **{name: getattr(event.changes, name) for name in Changes.__slots__},
            "notes": notes,
            "names": frozenset(names - _OF_VIEW),
        }
    )
    return replace(event, names=in_order(frozenset(names)), changes=changes)


def _did_all(event: Event, agent: str, authorship: Authorship, *, viewer: str, touched: bool) -> bool:
    """Whether all that was done to the item besides writing was the agent's own doing."""
    acts = event.changes.acts
    if not acts or event.changes.failing:
        return False
    if all(authorship.author("", act.actor) == agent for act in acts):
        return True
    # A login that it shares with the operator says nothing; that it just changed this item does.
    return touched and all(act.actor.casefold() == viewer.casefold() for act in acts)


def step_breaker(before: Breaker | None, causes: Causes, *, route: str, event: Event, now: float) -> Breaker | None:
    """The breaker of a route and item after an event about it. None when there is nothing to remember."""
    if before is not None and before.open:
        return before
    if causes.others or not causes.agents:
        # Somebody else spoke: whatever the agents say next answers that.
        return replace(before, count=0, since=now) if before is not None and before.count else None
    about = f"{event.item.repo}#{event.item.number}"
    # A clock that was set back makes no row longer.
    if before is None or not 0 <= now - before.since <= ROW_S:
        return Breaker(route=route, item=event.item.node_id, count=1, since=now, open=False, about=about)
    return replace(before, count=before.count + 1, open=before.count + 1 > MOST_IN_A_ROW)

"""`fleet quarantine`: what trust holds back. Only what is looked at is shown, and it is marked as what it is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from relayfleet.cli.confirm import confirmed
from relayfleet.cli.context import Context
from relayfleet.cli.delivering import WHEN, tell_of_deliveries
from relayfleet.cli.moment import shown
from relayfleet.cli.output import emit, emit_json, say, table
from relayfleet.errors import FleetError, UsageError
from relayfleet.fleet.quarantine import Case, Piece, case_of, pieces_in_words
from relayfleet.model.duration import in_words
from relayfleet.model.turn import clean
from relayfleet.ports.cursor import Held

if TYPE_CHECKING:
    from relayfleet.store.router_db.quarantine import Quarantine, Settled

_NUMBER = re.compile(r"[0-9]{1,18}")
_WORDS = {
    "item": "the item's own text",
    "comment": "a comment",
    "review": "a review",
    "review_comment": "a comment on a line",
}


def show_all(ctx: Context, *, agent: str | None, repo: str | None, limit: int) -> int:
    """What is held back, the newest first; none of its text.

    --json: {"version": 1, "count": all that match, "held": [{"id", "at", "repo", "kind", "number", "url", "events",
    "watch", "by": [{"author", "association", "trust"}], "for": [{"agent", "routes", "item", "notes", "reason"}]}],
    "unreadable": [ids]}; `item` says whether the item's own text is held back, `notes` are the node ids of the comments
    and reviews that are; `at` in seconds, UTC.
    """
    if limit < 1:
        raise UsageError(f"show {limit} of them", "--limit is at least 1", hint="leave it out for the newest 100")
    found: list[Case] = []
    unreadable: list[int] = []
    count = 0
    if ctx.layout.router_db.exists():
        with _opened(ctx) as quarantine:
            for held_id, held in quarantine.rows():
                case = _case(held)
                if case is None:
                    unreadable.append(held_id)
                elif case.is_about(agent=agent, repo=repo):
                    count += 1
                    if count <= limit:
                        found.append(case)
    if ctx.json:
        emit_json({"version": 1, "count": count, "held": [_in_short(case) for case in found], "unreadable": unreadable})
        return 0
    if found:
        now = time.time()
        table(
            ("ID", "HELD FOR", "ITEM", "HAPPENED", "BY", "KEPT FROM", "WHY"),
            [
                (
                    case.held.id,
                    in_words(now - case.held.at),
                    f"{case.repo}#{case.event.item.number}",
                    " ".join(case.event.names),
                    ", ".join(dict.fromkeys(f"{piece.author} ({piece.trust})" for piece in case.pieces)),
                    ", ".join(case.agents),
                    case.held.holds[0].reason if case.held.holds else "",
                )
                for case in found
            ],
        )
    else:
        say("nothing is held back" + (" that is like that" if agent or repo else ""))
    if count > len(found):
        say(f"older ones that are not shown: {count - len(found)}; see --limit")
    for held_id in unreadable:
        say(f"{held_id} cannot be read; `fleet quarantine drop {held_id}` takes it away")
    return 0


def show(ctx: Context, *, id: str) -> int:
    """All of one of them: who wrote what, and from whom it is kept and why. The texts are what strangers wrote.

    --json: {"version": 1, "held": what `fleet quarantine list` shows of it, and "key", "why", "vouchers", "pieces":
    [{"what": "item" | "comment" | "review" | "review_comment", "author", "association", "trust", "bot", "url", "at",
    "text", "facts": {name: text}, "agents"}], "event": the whole event, as `fleet route explain` takes it}}.
    """
    doing = f"show {id!r}"
    (held_id,) = _numbers((id,), doing=doing)
    with _opened(ctx, doing=doing) as quarantine:
        there, held = quarantine.get(held_id)
        if not there:
            raise _unknown(doing, quarantine, held_id)
    case = _case(held)
    if case is None:
        raise FleetError(doing, "it cannot be read", hint=f"`fleet quarantine drop {held_id}` takes it away")
    if ctx.json:
        emit_json({"version": 1, "held": _in_short(case) | _in_full(case)})
        return 0
    item, held = case.event.item, case.held
    emit(f"{held.id}  {case.repo}#{item.number} ({item.kind}) {' '.join(case.event.names)}, by watch {held.watch}")
    emit(f"    {_line(item.url)}")
    emit(f"    held back since {shown(held.at)}, for {in_words(time.time() - held.at)}")
    if case.event.vouchers:
        emit(f"    vouched for by {_line(', '.join(case.event.vouchers))}")
    for hold in held.holds:
        routes = ", ".join(map(str, hold.routes))
        emit(f"    from {hold.agent} (route {routes}): {pieces_in_words(hold)}")
        emit(f"        {_line(hold.reason)}")
    for piece in case.pieces:
        _emit_piece(piece)
    emit("")
    say(f"let it go to {', '.join(case.agents)}: `fleet quarantine release {held.id}`")
    say(f"throw it away: `fleet quarantine drop {held.id}`")
    return 0


def release(ctx: Context, *, ids: tuple[str, ...], all: bool, yes: bool) -> int:
    """Makes what was held back owed to the agents that it was kept from, as new entries that say who released them.
    What was released before is not delivered twice. 1 when something stays: it cannot be read, or nobody is there to
    get it.

    --json: {"version": 1, "results": [{"id", "outcome": "released" | "gone" | "unreadable" | "nobody", "to": [{"agent",
    "entry"}], "before": [agents that had it], "missing": [names that are no agent's]}], "router": "told" | "stopped" |
    "unresponsive" | null when there was nothing to tell}; `gone` was released, dropped or pushed out by newer ones
    before.
    """
    chosen = _settle(ctx, "release", ids, everything=all, yes=yes)
    if chosen is None:
        return 1
    heard = tell_of_deliveries(ctx) if any(one.to for one in chosen) else None
    if ctx.json:
        emit_json({"version": 1, "results": [_result(one) for one in chosen], "router": heard})
    else:
        for one in chosen:
            _emit_released(one)
        if heard is not None:
            say(WHEN[heard])
    return 1 if any(one.outcome in ("unreadable", "nobody") for one in chosen) else 0


def drop(ctx: Context, *, ids: tuple[str, ...], all: bool, yes: bool) -> int:
    """Throws away what was held back; no agent gets it.

    --json: {"version": 1, "results": [{"id", "outcome": "dropped" | "gone"}]}.
    """
    chosen = _settle(ctx, "drop", ids, everything=all, yes=yes)
    if chosen is None:
        return 1
    if ctx.json:
        emit_json({"version": 1, "results": [{"id": one.id, "outcome": one.outcome} for one in chosen]})
        return 0
    for one in chosen:
        emit(f"{one.id}: {'dropped' if one.outcome == 'dropped' else _GONE}")
    return 0


_GONE = "it is not held any more"


def _settle(
    ctx: Context, verb: Literal["release", "drop"], ids: Sequence[str], *, everything: bool, yes: bool
) -> tuple[Settled, ...] | None:
    """None when a person said no."""
    doing = f"{verb} " + ("what is held back" if everything or not ids else ", ".join(ids[:5]))
    if everything and ids:
        raise UsageError(doing, "both numbers and --all are given", hint="give one of them")
    if not everything and not ids:
        raise UsageError(doing, "no number is given", hint="`fleet quarantine list` shows them; or give --all")
    wanted: Sequence[int] = _numbers(ids, doing=doing)
    if everything and not ctx.layout.router_db.exists():
        say("nothing is held back")
        return ()
    with _opened(ctx, doing=doing) as quarantine:
        if everything:
            wanted = quarantine.ids()
            if not wanted:
                say("nothing is held back")
                return ()
            what = {"release": "let go, to the agents that it is kept from", "drop": "thrown away"}[verb]
            if not yes and not confirmed(f"All {len(wanted)} will be {what}?", doing=doing):
                say("nothing was changed")
                return None
        else:
            never = quarantine.never_given(wanted)
            if never:
                raise _unknown(doing, quarantine, never[0])
        return quarantine.release(wanted) if verb == "release" else quarantine.drop(wanted)


@contextmanager
def _opened(ctx: Context, *, doing: str = "") -> Iterator[Quarantine]:
    from relayfleet.bootstrap.router import quarantine

    if not ctx.layout.router_db.exists():
        hint = "it fills when the router runs and a route does not trust who wrote something"
        raise FleetError(doing, "nothing is held back: no router has run here yet", hint=hint)
    with closing(quarantine(ctx.layout)) as opened:
        yield opened


def _unknown(doing: str, quarantine: Quarantine, held_id: int) -> FleetError:
    if quarantine.never_given((held_id,)):
        return FleetError(
            doing, f"nothing ever had number {held_id}", hint="`fleet quarantine list` shows what has one"
        )
    return FleetError(
        doing, _GONE, hint="it was released, dropped, or pushed out by newer ones: see `fleet router log`"
    )


def _numbers(ids: Sequence[str], *, doing: str) -> tuple[int, ...]:
    for one in ids:
        if not _NUMBER.fullmatch(one):
            raise UsageError(doing, f"{one!r} is no number", hint="`fleet quarantine list` shows the numbers")
    return tuple(map(int, ids))


def _case(held: Held | None) -> Case | None:
    try:
        return case_of(held) if held is not None else None
    except (ValueError, TypeError):
        return None


def _in_short(case: Case) -> dict[str, Any]:
    item, held = case.event.item, case.held
    authors = dict.fromkeys((piece.author, piece.association, piece.trust) for piece in case.pieces)
    return {
        "id": held.id,
        "at": held.at,
        "repo": case.repo,
        "kind": item.kind,
        "number": item.number,
        "url": item.url,
        "events": list(case.event.names),
        "watch": held.watch,
        "by": [{"author": author, "association": word, "trust": trust} for author, word, trust in authors],
        "for": [
            {
                "agent": hold.agent,
                "routes": list(hold.routes),
                "item": hold.item,
                "notes": list(hold.notes),
                "reason": hold.reason,
            }
            for hold in held.holds
        ],
    }


def _in_full(case: Case) -> dict[str, Any]:
    return {
        "key": case.held.key,
        "why": case.event.why,
        "vouchers": list(case.event.vouchers),
        "pieces": [
            {
                "what": piece.what,
                "author": piece.author,
                "association": piece.association,
                "trust": piece.trust,
                "bot": piece.bot,
                "url": piece.url,
                "at": piece.at,
                "text": piece.text,
                "facts": dict(piece.facts),
                "agents": list(piece.agents),
            }
            for piece in case.pieces
        ],
        "event": case.held.event,
    }


def _emit_piece(piece: Piece) -> None:
    """Every line of theirs stands behind a bar, so that none can pass for one of ours."""
    bot = "bot, " if piece.bot else ""
    who = f"{_line(piece.author)} ({bot}{piece.trust}, {_line(piece.association or 'no association')})"
    emit("")
    emit(f"UNTRUSTED TEXT: {_WORDS[piece.what]}, by {who}, {_line(piece.at)}")
    if piece.what != "item":
        emit(f"    {_line(piece.url)}")
    for line in clean(piece.text).split("\n"):
        emit(f"  | {line}".rstrip())
    for name, text in piece.facts:
        emit(f"  | [{name}] {_line(text)}")


def _emit_released(one: Settled) -> None:
    for agent, entry in one.to:
        emit(f"{one.id}: {agent} gets it as {entry}")
    for agent in one.before:
        emit(f"{one.id}: {agent} has had it before")
    if one.outcome == "gone":
        emit(f"{one.id}: {_GONE}")
    for agent in one.missing:
        say(f"{one.id}: no agent is called {agent!r} any more" + (": it stays" if one.outcome == "nobody" else ""))
    if one.outcome == "unreadable":
        say(f"{one.id}: it cannot be read; `fleet quarantine drop {one.id}` takes it away")


def _result(one: Settled) -> dict[str, Any]:
    return {
        "id": one.id,
        "outcome": one.outcome,
        "to": [{"agent": agent, "entry": entry} for agent, entry in one.to],
        "before": list(one.before),
        "missing": list(one.missing),
    }


def _line(text: str) -> str:
    """What others wrote, on one line."""
    return " ".join(clean(text).split())

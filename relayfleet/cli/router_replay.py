"""`fleet router replay`: makes deliveries once more, on purpose."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from relayfleet.cli.context import Context
from relayfleet.cli.delivering import WHEN, tell_of_deliveries
from relayfleet.cli.moment import seconds_of, shown
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.cli.router_log import name_of
from relayfleet.cli.selection import select
from relayfleet.config.roster import read_roster
from relayfleet.errors import UsageError
from relayfleet.model.item_name import ItemName

if TYPE_CHECKING:
    from relayfleet.store.router_db.replay import Again, Found, Past


def run(ctx: Context, *, since: str | None, agent: str | None, item: str | None, dry_run: bool) -> int:
    """What was delivered since then is delivered again, as new entries that say which one they repeat. What was itself
    delivered again is not repeated. Texts are kept for 7 days; what has none any more is named.

    --json: {"version": 1, "dry_run", "replayed": [{"agent", "about", "replay_of", "entry", "at"}], "lost": [{"agent",
    "about", "entry", "at"}], "missing": [as lost: its agent is no more], "router": "told" | "stopped" | "unresponsive"
    | null}; `entry` of what is replayed is null with --dry-run, `at` is when it was delivered, in seconds, UTC.
    """
    doing = "deliver again"
    if since is None:
        raise UsageError(doing, "--since is missing", hint="say from when on: --since 2h")
    begin = time.time() - seconds_of(since, doing=doing)
    about = name_of(item, doing=doing) if item is not None else None
    if agent is not None:
        select(read_roster(ctx.layout), doing="deliver again to", names=(agent,), everyone=False, role=None)
    found, done = _replay(ctx, since=begin, agent=agent, about=about, dry_run=dry_run)
    heard = tell_of_deliveries(ctx) if done else None
    if ctx.json:
        entries = {one.past.id: one.entry for one in done}
        emit_json(
            {
                "version": 1,
                "dry_run": dry_run,
                "replayed": [
                    {
                        "agent": one.agent,
                        "about": one.about,
                        "replay_of": one.entry,
                        "entry": entries.get(one.id),
                        "at": one.at,
                    }
                    for one in found.past
                    if dry_run or one.id in entries
                ],
                "lost": [_as_json(one) for one in found.lost],
                "missing": [_as_json(one) for one in found.missing],
                "router": heard,
            }
        )
        return 0
    _tell(found, done, dry_run=dry_run)
    if heard is not None:
        say(WHEN[heard])
    return 0


def _replay(
    ctx: Context, *, since: float, agent: str | None, about: ItemName | None, dry_run: bool
) -> tuple[Found, Sequence[Again]]:
    from relayfleet.bootstrap.router import replayer
    from relayfleet.store.router_db.replay import Found

    if not ctx.layout.router_db.exists():
        return Found(past=(), lost=(), missing=()), ()
    with closing(replayer(ctx.layout)) as opened:
        found = opened.find(since=since, agent=agent, about=about)
        return found, () if dry_run else opened.replay(found.past)


def _tell(found: Found, done: Sequence[Again], *, dry_run: bool) -> None:
    if dry_run:
        for past in found.past:
            emit(f"{past.about} would go to {past.agent} again: {past.entry}, delivered {shown(past.at)}")
        say(f"{_count(len(found.past))} would be made again")
    else:
        for again in done:
            emit(f"{again.past.about} goes to {again.past.agent} again as {again.entry}: it was {again.past.entry}")
        say(f"{_count(len(done))} made again")
    for past in found.lost:
        say(f"{past.about} for {past.agent}: its text is not kept any more ({past.entry}, delivered {shown(past.at)})")
    if found.lost:
        say(f"{_count(len(found.lost))} cannot be made again: texts are kept for 7 days")
    for name in dict.fromkeys(past.agent for past in found.missing):
        count = sum(past.agent == name for past in found.missing)
        say(f"{_count(count)} left out: no agent is called {name!r} any more")


def _count(number: int) -> str:
    return f"{number} {'delivery' if number == 1 else 'deliveries'}"


def _as_json(past: Past) -> dict[str, Any]:
    return {"agent": past.agent, "about": past.about, "entry": past.entry, "at": past.at}

"""What is said when something became owed: the running router is told, and the person when it will arrive."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.client.tell_router import Heard, tell_router
from relayfleet.config.roster import read_roster

WHEN: dict[Heard, str] = {
    "told": "the router delivers it now",
    "stopped": "no router runs: it is delivered at the next `fleet router start`",
    "unresponsive": "the router does not answer: it is delivered at its next round, or after `fleet router restart`",
}


def tell_of_deliveries(ctx: Context) -> Heard:
    return tell_router(ctx.layout, read_roster(ctx.layout).fleet_id, "deliver")

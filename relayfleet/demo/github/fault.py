"""A failure that the stand-in is told to play."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Fault:
    """Strikes the requests that it fits, `times` of them (-1: all), but for the first `after`.

    `match` is a pattern that is looked for in the path and the body, `token` the token that the request must come with,
    `nodes_over` and `points_over` what a GraphQL query must ask for more than. `retry_after`, in seconds, is the header
    of a secondary limit, and how long `hang` and `slow` last. Two kinds let the request go on: `slow`, and `partial`,
    by which one repository or node of a query, `of`, comes as null with an error of `error_type` and `message`.
    """

    kind: str
    match: str = ""
    times: int = -1
    after: int = 0
    token: str = ""
    nodes_over: int = 0
    points_over: int = 0
    retry_after: float | None = None
    of: str = ""
    error_type: str = ""
    message: str = "Something went wrong while executing your query."

    def strikes(self, *, sent: str, token: str, nodes: int, points: int) -> bool:
        """Whether it strikes this request; counts it. `sent` is the path and the body."""
        if not self.times or (self.token and self.token != token):
            return False
        if nodes < self.nodes_over + bool(self.nodes_over) or points < self.points_over + bool(self.points_over):
            return False
        named = self.of.rpartition("/")[2].casefold() in sent.casefold()
        if not named or not re.search(self.match, sent):
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= self.times > 0
        return True

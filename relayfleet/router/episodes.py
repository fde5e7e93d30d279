"""What goes wrong for a while is said once when it begins and once when it is over."""

from __future__ import annotations

import time
from collections.abc import Collection

from relayfleet.ports.log import Log
from relayfleet.ports.source import Failure


class Episodes:
    """Failures that are going on, by scope: a watch, a feed, some of its items, a lane, an account. A failure of
    another kind begins another episode."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kinds: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def begin(self, scope: str, kind: str, message: str, **fields: object) -> None:
        self.errors[scope] = message
        if self._kinds.get(scope) != kind:
            self._kinds[scope] = kind
            self._log.warning("router.failing", message, scope=scope, kind=kind, **fields)

    def end(self, scope: str) -> None:
        self.errors.pop(scope, None)
        kind = self._kinds.pop(scope, None)
        if kind is not None:
            self._log.info("router.recovered", scope=scope, kind=kind)

    def keep(self, scopes: Collection[str]) -> None:
        """Forgets feeds and watches that are not among these."""
        for scope in [
            one for one in self._kinds if one.startswith(("feed ", "items ", "watch ")) and one not in scopes
        ]:
            del self._kinds[scope], self.errors[scope]


def words_of(failure: Failure, *, kind: str = "", account: str = "", until: float = 0.0) -> str:
    """What an operator is told of a failure. `kind` is given when it is none of GitHub's; `until` (seconds since the
    epoch) is when an account that waits goes on."""
    goes_on = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    return _WORDS.get(kind or failure.kind, "").format(account=account, until=goes_on) + failure.message


_WORDS = {
    "transport": "GitHub was not reached: ",
    "server": "GitHub failed: ",
    "secondary": "GitHub's secondary limit; all that goes by account {account!r} pauses until {until}: ",
    "primary": "the hourly allowance of account {account!r} is spent; it pauses until {until}: ",
    "auth": "GitHub does not accept the token of account {account!r}; all that goes by it pauses until {until} and is"
    " tried again then (run `gh auth login`, or mend the account's token in fleet.json): ",
    "not_found": "there is no such repository, or the token may not see it: ",
    "forbidden": "the token may not read it: ",
    "refused": "GitHub does not understand the request: ",
    "storage": "the cursor cannot be written: ",
}

"""`gh` with a token that is fetched for it: one that expires, as those of a GitHub App do after an hour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from relayfleet.errors import FleetError
from relayfleet.model.item import GITHUB
from relayfleet.ports.github import GhAnswer
from relayfleet.sources.github.answer import parse_answer
from relayfleet.sources.github.gh import GhProgram

KEEP_S = 300.0
# https://cli.github.com/manual/gh_help_environment; what the operator has in them is of another login.
_TOKENS = ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")


class TokenGh:
    """Implements ports.Gh. The token goes to `gh` in its environment, and nowhere else. It is fetched anew when it is
    five minutes old, and at once when GitHub refuses it."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        host: str,
        fetch: Callable[[], bytes],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` gives the token, and may take its time. It raises FleetError."""
        self._command = tuple(command)
        self._env = {name: value for name, value in env.items() if name not in _TOKENS}
        self._host = host
        self._fetch = fetch
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._token = ""
        self._fetched_at = 0.0

    async def run(self, args: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 15.0) -> GhAnswer:
        """Raises FleetError, also when there is no token."""
        token = await self._current(besides="")
        printed = await self._program(token).run(args, stdin=stdin, timeout_s=timeout_s)
        answer = parse_answer(printed.stdout)
        if answer is None or answer.status != 401:
            return printed
        newer = await self._current(besides=token)
        if newer == token:
            return printed
        return await self._program(newer).run(args, stdin=stdin, timeout_s=timeout_s)

    async def _current(self, *, besides: str) -> str:
        """The token; fetched anew when it is old, or is the one that was refused."""
        async with self._lock:
            if not self._token or self._token == besides or self._monotonic() - self._fetched_at >= KEEP_S:
                self._token = self._read(await asyncio.to_thread(self._fetch))
                self._fetched_at = self._monotonic()
            return self._token

    def _read(self, fetched: bytes) -> str:
        token = fetched.decode("ascii", "replace").strip()
        if not token or not token.isprintable() or " " in token or not token.isascii():
            raise FleetError(
                f"use the token for {self._host}",
                f"its source gave {len(fetched)} bytes that are no token",
                hint="the source must give the token alone: see github.accounts in fleet.json",
            )
        return token

    def _program(self, token: str) -> GhProgram:
        return GhProgram(self._command, {**self._env, **token_environment(self._host, token)})


def token_environment(host: str, token: str) -> dict[str, str]:
    """The variables by which `gh` takes a token for a host; the hosts of GitHub's own cloud share one."""
    if host == GITHUB or host.endswith(".ghe.com"):
        return {"GH_TOKEN": token, "GH_HOST": host}
    return {"GH_ENTERPRISE_TOKEN": token, "GH_HOST": host}

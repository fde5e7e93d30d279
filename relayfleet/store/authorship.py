"""What the fleet's agents wrote on GitHub: agents/<name>/state/authored.jsonl, and the logins that are theirs alone."""

from __future__ import annotations

import time
from pathlib import Path

from relayfleet.config.load import agent_names
from relayfleet.config.read import Unreadable, read_object
from relayfleet.model.layout import AgentLayout, FleetLayout
from relayfleet.model.writing import decode_writing
from relayfleet.store.lines import LineReader

# The files are looked at again when this much time has passed.
LOOK_S = 0.5


class FileAuthorship:
    """Implements ports.Authorship. Follows agents that come, go, write, and get another login."""

    def __init__(self, layout: FleetLayout, *, look_s: float = LOOK_S) -> None:
        self._layout = layout
        self._look_s = look_s
        self._agents: dict[str, _Writer] = {}
        self._looked_at = -look_s

    def author(self, url: str, login: str) -> str:
        self._look()
        for name, writer in self._agents.items():
            if (url and url.casefold() in writer.urls) or (login and writer.login == login.casefold()):
                return name
        return ""

    def touched(self, agent: str, repo: str, number: int, *, since: float) -> bool:
        self._look()
        writer = self._agents.get(agent)
        if writer is None:
            return False
        # Where the call did not name the repository, the number says enough.
        return any(writer.items.get((one, number), 0.0) > since for one in (repo.casefold(), ""))

    def _look(self) -> None:
        moment = time.monotonic()
        if moment - self._looked_at < self._look_s:
            return
        self._looked_at = moment
        names = agent_names(self._layout)
        self._agents = {name: self._agents.get(name) or _Writer(self._layout.agent(name)) for name in names}
        for writer in self._agents.values():
            writer.look()


class _Writer:
    """One agent: its login, empty when it has none of its own; the addresses of what it wrote; when it last changed an
    item, by repository and number."""

    def __init__(self, agent: AgentLayout) -> None:
        self._config = agent.config
        self._config_time = 0
        self._reader = LineReader(agent.state / "authored.jsonl")
        self._restarts = 0
        self.login = ""
        self.urls: set[str] = set()
        self.items: dict[tuple[str, int], float] = {}

    def look(self) -> None:
        """Raises StorageFailed."""
        changed = _time_of(self._config)
        if changed != self._config_time:
            self._config_time, self.login = changed, _login_in(self._config)
        while lines := self._reader.read_new():
            if self._reader.restarts != self._restarts:
                self._restarts = self._reader.restarts
                self.urls, self.items = set(), {}
            for writing in filter(None, map(decode_writing, lines)):
                if writing.url:
                    self.urls.add(writing.url.casefold())
                else:
                    self.items[writing.repo.casefold(), writing.number] = writing.at


def _time_of(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _login_in(path: Path) -> str:
    """Also of a file with other faults: what an agent wrote does not become news to it by a typing error."""
    try:
        config = read_object(path)
    except Unreadable as error:
        config = error.value or {}
    except OSError:
        return ""
    github = config.get("github")
    login = github.get("login") if isinstance(github, dict) else None
    return login.casefold() if isinstance(login, str) else ""

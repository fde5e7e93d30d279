"""The `file` transport: the inbox is on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relayfleet.errors import UnknownAgent
from relayfleet.model.entry import Entry, encode_entry
from relayfleet.model.layout import FleetLayout
from relayfleet.store.inbox import FileInbox


class FileTransport:
    """Appends to agents/<name>/state/inbox.jsonl, then wakes the runner: durable first, tell after."""

    def __init__(
        self, layout: FleetLayout, wake: Callable[[str], None], *, encode: Callable[[Entry], bytes] = encode_entry
    ) -> None:
        """`encode` gives an entry's line, newline included."""
        self._layout = layout
        self._wake = wake
        self._encode = encode
        self._inboxes: dict[str, FileInbox] = {}

    def deliver(self, agent: str, entries: Sequence[Entry]) -> None:
        """Raises UnknownAgent when there is no such agent, StorageFailed when the disk refuses."""
        folder = self._layout.agent(agent)
        if not folder.config.is_file():
            raise UnknownAgent(f"deliver to {agent!r}", agent)
        inbox = self._inboxes.get(agent)
        if inbox is None:
            inbox = self._inboxes[agent] = FileInbox(folder.inbox, encode=self._encode)
        inbox.append_all(entries)
        self._wake(agent)

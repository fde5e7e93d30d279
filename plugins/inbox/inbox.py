"""The agent's side of its inbox, as tools of its session."""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from relayfleet.client.control import ask
from relayfleet.client.wake import wake
from relayfleet.errors import FleetError
from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.model.layout import FleetLayout
from relayfleet.model.receipt import states_of
from relayfleet.store.inbox import read_entries
from relayfleet.store.receipts import read_receipts
from relayfleet.store.replies import add_reply
from relayfleet.store.sockets import sockets_of
from relayfleet.transports.file import FileTransport

State = Literal["queued", "offered", "seen", "handled", "failed", "dead", "dropped"]
_SHOWN = 400


async def setup(api: Any) -> None:
    agent_dir: Path = api.agent_dir
    me = agent_dir.name
    layout = FleetLayout(agent_dir.parent.parent)
    sockets = sockets_of(json.loads((api.state_dir / "launch.json").read_bytes())["agent"]["fleet_id"])
    transport = FileTransport(layout, lambda agent: wake(sockets.wake(agent)))

    def entry_of(entry_id: str) -> Entry:
        for entry in read_entries(api.state_dir / "inbox.jsonl"):
            if entry.id == entry_id:
                return entry
        raise FleetError(f"find entry {entry_id!r}", "your inbox has no such entry", hint="use list_inbox")

    def send(agent: str, message: str, **metadata: str) -> str:
        entry = Entry(
            id=new_entry_id(), ts=time.time(), source="agent", body=message, metadata={"from": me, **metadata}
        )
        transport.deliver(agent, [entry])
        return f"queued for {agent} as entry {entry.id}"

    @api.tool()
    def tell(agent: Annotated[str, "Name of the agent."], message: Annotated[str, "What to tell it."]) -> str:
        """Put a message into another agent's inbox. It is queued durably, whether or not that agent is running."""
        return send(agent, message)

    @api.tool()
    def reply(
        entry_id: Annotated[str, "The id in the frame of the turn that you answer."],
        text: Annotated[str, "Your answer."],
    ) -> str:
        """Answer whoever sent an entry: another agent gets it in its inbox, the operator sees it in `fleet inbox`.

        Answer what came from GitHub there, with `gh`.
        """
        entry = entry_of(entry_id)
        if entry.source == "agent":
            return send(str(entry.metadata.get("from", "")), text, reply_to=entry_id)
        if entry.source == "github":
            raise FleetError(f"reply to {entry_id!r}", "it came from GitHub", hint="comment there yourself, with `gh`")
        add_reply(api.state_dir / "replies.jsonl", entry.id, text, now=time.time())
        return "recorded; the operator sees it in `fleet inbox`"

    @api.tool()
    def list_inbox(
        state: Annotated[State | None, "Only entries in this state."] = None,
        limit: Annotated[int, "At most this many, the newest."] = 20,
    ) -> str:
        """List entries of your inbox with their states."""
        return shown(lambda entry, found: state in (None, found), limit)

    @api.tool()
    def search_inbox(
        text: Annotated[str, "What to look for, in any case."],
        limit: Annotated[int, "At most this many, the newest."] = 20,
    ) -> str:
        """Find entries of your inbox whose text or metadata contains something."""
        wanted = text.lower()
        return shown(
            lambda entry, _: wanted in entry.body.lower() or wanted in json.dumps(dict(entry.metadata)).lower(), limit
        )

    @api.tool()
    async def mark_failed(
        entry_id: Annotated[str, "The id in the frame of the turn."], reason: Annotated[str, "Why it cannot be done."]
    ) -> str:
        """Say that an entry cannot be handled. It ends as failed, and the operator sees why."""
        entry_of(entry_id)
        request = {"op": "fail", "id": entry_id, "detail": reason[:2000]}
        await asyncio.to_thread(ask, sockets.control(me), request, timeout_s=5.0)
        return f"entry {entry_id} is marked failed"

    def shown(wanted: Any, limit: int) -> str:
        states = states_of(read_receipts(api.state_dir / "receipts.jsonl"))
        found = [
            {
                "id": entry.id,
                "state": states.get(entry.id, "queued"),
                "source": entry.source,
                "metadata": dict(entry.metadata),
                "body": entry.body[:_SHOWN],
            }
            for entry in read_entries(api.state_dir / "inbox.jsonl")
            if wanted(entry, states.get(entry.id, "queued"))
        ]
        return json.dumps(found[-max(1, limit) :], ensure_ascii=False, indent=1)

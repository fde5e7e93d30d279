"""The conversation that the session goes on with: begun, resumed, given up; and what the session is told of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from relayfleet.errors import FleetError, StorageFailed
from relayfleet.model.conversation import Conversation, begun_anew, briefed, without_history
from relayfleet.model.entry import Entry
from relayfleet.model.names import EntryId, SessionId
from relayfleet.model.turn import ids_in_frames, quote
from relayfleet.ports.delivery import Inbox
from relayfleet.ports.log import Log
from relayfleet.ports.session import Cut, Harness, SessionFile
from relayfleet.runner.deliveries import Way

_PROMPT_SHOWN = 400


@dataclass(kw_only=True)
class History:
    """What it decides is in the session's file before a session is started by it."""

    agent: str
    file: SessionFile
    harness: Harness
    inbox: Inbox
    log: Log
    clock: Callable[[], float]
    _now: Conversation = field(default_factory=lambda: Conversation(session_id=SessionId("")))

    @property
    def session_id(self) -> SessionId:
        """Empty until `take_up`."""
        return self._now.session_id

    def take_up(self) -> bool:
        """Reads the file, or begins one; whether there was one. Raises FleetError when the conversation is another
        agent's, too, StorageFailed when it cannot be read or written."""
        asked = self.file.asked_anew()
        try:
            known = self.file.load()
        except StorageFailed:
            if not asked:
                raise
            self.file.set_aside()
            known = None
        if known is not None and asked and asked != known.fresh:
            new = SessionId(str(uuid.uuid4()))
            self.log.info("session.new_id", "asked for", session_id=new, before=known.session_id)
            fresh = begun_anew(known, new, agent=self.agent, now=self.clock(), why="fresh", fresh=asked)
            self._keep(fresh)
            self.file.forget_asked()
            return True
        if asked:
            self.file.forget_asked()
        if known is None:
            known = Conversation(session_id=SessionId(str(uuid.uuid4())), agent=self.agent, created=self.clock())
            self._keep(known)
            return False
        # Whose the conversation is, its file says; where it does not, nobody goes on with it.
        others = self.file.others_with(known.session_id) if known.agent != self.agent else ()
        if others:
            raise FleetError(
                f"start the session of {self.agent!r}",
                f"its folder is a copy: the conversation {known.session_id} is that of {' and '.join(others)}, too",
                hint=f"run `fleet restart --fresh {self.agent}` to give it one of its own",
                fault="session_held",
            )
        self._keep(replace(known, agent=self.agent))
        return True

    def begin(self) -> bool:
        """Before each start: whether there is a history to resume. Raises StorageFailed."""
        conversation, changed = briefed(self._now, self.harness.brief())
        if changed:
            self.log.info("session.brief_changed", ", ".join(changed))
        for former in conversation.former:
            for path in self.harness.make_way(former.session_id):
                self.log.info("session.archived", str(path), session_id=former.session_id, why=former.why)
        resume = self.harness.has_conversation(self.session_id)
        if not resume:
            kept = self.harness.make_way(self.session_id)
            if conversation.history:
                where = ", ".join(map(str, kept))
                self.log.error("session.history_lost", where, session_id=self.session_id)
                conversation = without_history(conversation, "its transcript holds none any more", kept_at=where)
        self._keep(replace(conversation, history=conversation.history or resume))
        if resume:
            self._tell_of_cut(self.harness.cut_off(self.session_id))
        return resume

    def lose(self, why: str) -> None:
        """Claude Code will not go on with the history: it is archived, and the same id begins anew."""
        kept = ", ".join(map(str, self.harness.make_way(self.session_id)))
        self.log.error("session.history_lost", f"{why}; {kept}", session_id=self.session_id)
        self._keep(without_history(self._now, why, kept_at=kept))

    def leave(self, why: str) -> None:
        """The id cannot be used any more: another one is."""
        new = SessionId(str(uuid.uuid4()))
        self.log.warning("session.new_id", why, session_id=new, before=self.session_id)
        self._keep(begun_anew(self._now, new, agent=self.agent, now=self.clock(), why="resume_refused"))

    def unsaid(self) -> str:
        """What the session's next turn is to be told."""
        return "\n".join(f"[relayfleet] {line}" for line in self._now.unsaid)

    def heard(self) -> None:
        """The session got `unsaid` with a turn. On a full disk it may be told once more, after a restart."""
        self._note(replace(self._now, unsaid=()))

    def note_turn(self) -> None:
        """A turn came to its end: there is a history now."""
        self._note(replace(self._now, history=True))

    def _tell_of_cut(self, cut: Cut | None) -> None:
        """A turn of an entry is offered again, and says so itself. Of any other the session gets word as an entry,
        once: its id follows from the prompt's, and an inbox takes an id once."""
        if cut is None or ids_in_frames(cut.prompt):
            return
        import hashlib  # most starts can do without what it loads

        secret = f"{self.session_id}/{cut.id or cut.prompt}".encode()
        shown = cut.prompt.strip()[:_PROMPT_SHOWN]
        body = (
            "Your last turn was interrupted: the session died in it and was resumed. See what of it is done, and go on."
        )
        if shown:
            body += f"\nYou were at:\n{quote(shown)}"
        note = Entry(
            id=EntryId(hashlib.sha256(secret).hexdigest()[:16]),
            ts=self.clock(),
            source="fleet",
            body=body,
            metadata={"kind": "interrupted", "priority": 100},
        )
        self.inbox.append_all([note])
        self.log.info("session.interrupted", shown[:80], entry=note.id)

    def _note(self, conversation: Conversation) -> None:
        try:
            self._keep(conversation)
        except StorageFailed as error:
            self.log.warning("session.unsaved", str(error), hint=error.hint)
            self._now = conversation

    def _keep(self, conversation: Conversation) -> None:
        if conversation != self._now:
            self.file.save(conversation)
            self._now = conversation


class Telling:
    """A way into a session that has no hook at its prompts: what it is to be told goes below the next entry's frame."""

    def __init__(self, way: Way, history: History) -> None:
        self.name = way.name
        self._way = way
        self._history = history

    def offer(self, entry_id: str, content: str, uuid: str, *, steer: bool = False) -> None:
        if lines := self._history.unsaid():
            frame, _, rest = content.partition("\n")
            content = f"{frame}\n{lines}\n{rest}"
            self._history.heard()
        self._way.offer(entry_id, content, uuid, steer=steer)

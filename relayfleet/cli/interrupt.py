"""`fleet interrupt`: stops a turn, and with --clear empties the line that a person left something in."""

from __future__ import annotations

import selectors

from relayfleet.cli.context import Context
from relayfleet.cli.mirror import Mirror
from relayfleet.cli.output import emit, emit_json
from relayfleet.cli.selection import select
from relayfleet.client.attach import Attachment, attach
from relayfleet.client.control import ask
from relayfleet.config.roster import read_roster
from relayfleet.errors import FleetError, NotAllowed, Unreachable
from relayfleet.harness.composer import composer_of
from relayfleet.store.sockets import sockets_of

_ANSWER_WITHIN_S = 5.0
# Ctrl-E ctrl-U deletes a line of the draft; where there is none, it does nothing. (Esc Esc would, on an empty line,
# open a dialog, and ctrl-C twice would end the session.)
_DELETE_LINE = b"\x05\x15"
_AT_ONCE, _MOST_ROUNDS, _QUIET_S = 4, 100, 0.4


def run(ctx: Context, *, agent: str, clear: bool) -> int:
    """--json: {"version": 1, "agent", "interrupted": true}, or with --clear {"version": 1, "agent", "cleared": true}.
    Raises FleetError when no turn is under way."""
    doing = f"clear the draft of {agent!r}" if clear else f"interrupt {agent!r}"
    roster = read_roster(ctx.layout)
    select(roster, doing="interrupt", names=(agent,), everyone=False, role=None)
    control = sockets_of(roster.fleet_id or "").control(agent)
    try:
        if clear:
            if ctx.caller is not None:
                raise NotAllowed(doing, "it is for the operator, not for agents", hint="ask the operator to run it")
            state = ask(control, {"op": "status"}, timeout_s=_ANSWER_WITHIN_S)["state"]
            if state == "waiting":
                raise FleetError(doing, "its session asks something", hint="answer it first, or interrupt it")
            _clear(doing, attach(control, doing=doing, drive=True, take=False))
        else:
            ask(control, {"op": "interrupt"}, timeout_s=_ANSWER_WITHIN_S)
    except Unreachable:
        raise FleetError(doing, "it is not running", hint=f"see `fleet status {agent}`") from None
    done = "cleared" if clear else "interrupted"
    if ctx.json:
        emit_json({"version": 1, "agent": agent, done: True})
    else:
        emit(f"{agent}: {done}")
    return 0


def _clear(doing: str, line: Attachment) -> None:
    """Deletes line by line until the screen shows an empty one. Keys go to nothing but such a line: where none is
    shown, the operator's word is all there is. Raises FleetError when it does not get empty."""
    mirror = Mirror(line)
    try:
        for _ in range(_MOST_ROUNDS):
            _watch(line, mirror)
            composer = composer_of(mirror.emulator.rows())
            if composer != "text":
                line.leave("empty")
                return
            line.type(_DELETE_LINE * _AT_ONCE)
        raise FleetError(doing, "it does not get empty", hint="see it with `fleet attach --drive`")
    finally:
        line.close()


def _watch(line: Attachment, mirror: Mirror) -> None:
    """Takes in what the session shows until it says nothing for _QUIET_S, or the line ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while came := line.receive() if line.has_more or selector.select(_QUIET_S) else None:
            for one in came:
                mirror.take(one)

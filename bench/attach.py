"""100 MB of terminal output through one runner with three viewers, one of which takes nothing in."""

from __future__ import annotations

import base64
import threading
import time

import psutil

from bench.figure import Figure
from bench.fleet import Fleet, fleet, scripted_defaults
from relayfleet.client.attach import attach
from relayfleet.config.roster import read_roster
from relayfleet.store.sockets import sockets_of
from relayfleet.wire.attach import State

_PIECE = b"\x1b[32m" + b"x" * 1000 + b"\x1b[0m\r\n"
_BYTES = 100_000_000
_END = b"that was all"


def run() -> list[Figure]:
    with fleet(1, defaults=scripted_defaults()) as made:
        made.run("start", "a0")
        alone = _flood(made, viewers=False)
        with_viewers = _flood(made, viewers=True)
    return [
        Figure(name="runner, most, no viewer", value=alone[1], unit="MB", bound=64, reference="64 MB"),
        Figure(
            name="runner, most, 3 viewers, 1 of them dead",
            value=with_viewers[1],
            unit="MB",
            bound=64,
            reference="64 MB",
        ),
        Figure(name="100 MB, no viewer", value=alone[0], unit="s", bound=60, reference="1 min"),
        Figure(
            name="100 MB, 3 viewers, 1 of them dead",
            value=with_viewers[0],
            unit="s",
            bound=2 * alone[0] + 5,
            reference="twice as long as without",
        ),
    ]


def _flood(made: Fleet, *, viewers: bool) -> tuple[float, float]:
    """Seconds until the session was through with it, and the most that the runner held (resident, MB)."""
    roster = read_roster(made.layout)
    path = sockets_of(roster.fleet_id or "").control("a0")
    lines = [attach(path, doing="look", drive=False, take=False) for _ in range(3 if viewers else 0)]
    for line in lines[1:]:  # the first one takes nothing in
        threading.Thread(target=_watch, args=(line,), daemon=True).start()
    (agent,) = made.json("status")["agents"]
    runner = psutil.Process(agent["pid"])
    done = len(made.json("inbox", "a0")["entries"])
    piece, end = base64.b64encode(_PIECE).decode(), base64.b64encode(_END).decode()
    begin, most = time.monotonic(), 0.0
    made.run("tell", "a0", f"[[print {_BYTES // len(_PIECE)} {piece}]] [[print 1 {end}]]")
    while sum(entry["state"] == "handled" for entry in made.json("inbox", "a0")["entries"]) <= done:
        most = max(most, runner.memory_info().rss / 1e6)
        time.sleep(0.05)
    took = time.monotonic() - begin
    most = max(most, runner.memory_info().rss / 1e6)
    for line in lines:
        line.close()
    return took, most


def _watch(line: object) -> None:
    from relayfleet.client.attach import Attachment

    assert isinstance(line, Attachment)
    seen = b""
    while _END not in seen:
        came = line.receive()
        if came is None:
            return
        seen = (seen + b"".join(one for one in came if not isinstance(one, State)))[-4096:]

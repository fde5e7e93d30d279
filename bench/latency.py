"""From the newline of an inbox entry to its arrival in the session's inbox socket, while the session is idle.

Twice: written through relayfleet (which wakes the runner), and by another program that only appends to the file.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from bench.figure import Figure, percentile
from bench.fleet import Fleet, fleet, scripted_defaults
from relayfleet.client.wake import wake
from relayfleet.model.entry import Entry, encode_entry, new_entry_id
from relayfleet.store.inbox import append_new
from relayfleet.store.sockets import sockets_of

# A session is offered no more than 25 entries at once, and then one every two seconds: so there are many of them.
_SESSIONS, _EACH = 20, 20


def run() -> list[Figure]:
    with fleet(_SESSIONS, defaults=scripted_defaults()) as made:
        made.run("start", "--all")
        names = [f"a{number}" for number in range(_SESSIONS)]
        told = [one for name in names[::2] for one in _measure(made, name, foreign=False)]
        appended = [one for name in names[1::2] for one in _measure(made, name, foreign=True)]
    figures = []
    for name, values in (("told", told), ("appended by another program", appended)):
        for share, bound in ((0.5, 5.0), (0.99, 25.0)):
            figures.append(
                Figure(
                    name=f"newline to socket, {name}, p{share * 100:g}",
                    value=percentile(values, share),
                    unit="ms",
                    bound=bound,
                    reference=f"{bound:g} ms",
                )
            )
    return figures


def _measure(made: Fleet, name: str, *, foreign: bool) -> list[float]:
    agent = made.layout.agent(name)
    path = sockets_of(json.loads(made.layout.fleet_json.read_bytes())["id"]).wake(name)
    (transcript,) = [*agent.claude_config.glob("projects/*/*.jsonl")] or [None]
    latencies = []
    for _ in range(_EACH):
        entry = Entry(id=new_entry_id(), ts=time.time(), source="operator", body="x")
        if foreign:
            with agent.inbox.open("ab", buffering=0) as file:
                file.write(encode_entry(entry))
            written = time.time()
        else:
            append_new(agent.inbox, entry)
            written = time.time()
            wake(path)
        while transcript is None:
            (transcript,) = [*agent.claude_config.glob("projects/*/*.jsonl")] or [None]
        latencies.append((_received(transcript, entry.id) - written) * 1000)
    return latencies


def _received(transcript: Path, entry_id: str) -> float:
    """When the session's socket had the entry; waits until the turn is in the transcript."""
    while True:
        for line in reversed(transcript.read_text().splitlines()):
            if f"id={entry_id}" in line:
                return float(json.loads(line)["received"])
        time.sleep(0.005)

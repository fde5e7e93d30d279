"""`fleet router log|replay|cursor`, `fleet route reset` and what `fleet doctor` says of router.db."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from relayfleet.config.load import load_gate
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.layout import FleetLayout
from relayfleet.model.watch import Feed, Progress
from relayfleet.ports.cursor import Batch, Breaker, FeedChange, FreshWatch
from relayfleet.store.lock import FileLock
from relayfleet.store.router_db.cursor import SqliteCursor
from tests.acceptance.conftest import Fleet
from tests.events import STRANGER, decision_of, event_of, held_of, hold_of, owed_of, write

FEED = Feed("github.com", "acme/wms", "items")


def db_of(fleet: Fleet) -> Path:
    return fleet.root / "state" / "router.db"


@pytest.fixture
def past(fleet: Fleet) -> Fleet:
    """A fleet whose router delivered something an hour ago and held something back just now."""
    fleet.run("new-agent", "coder", "--repo", "acme/WMS", "--role", "coder")
    now = time.time()
    issue, stranger, nobodys = event_of(41, "opened", author="ann", association="MEMBER"), event_of(42), event_of(43)
    owed = owed_of(issue)
    change = FeedChange(
        feed=FEED,
        progress={"issues": Progress(mark="2026-01-01T00:00:00Z")},
        fresh=(FreshWatch(name="wms-assigned", fingerprint="f", members=("I_41", "I_42")),),
    )
    before = Batch(feeds=[change], owed=[owed], decisions=[decision_of(issue, owed, at=now - 3600)])
    write(db_of(fleet), before, now=now - 3600, delivered=True)
    after = Batch(
        held=[held_of(stranger, at=now)],
        decisions=[
            decision_of(stranger, held=[hold_of()], at=now),
            decision_of(nobodys, note="no route matches", at=now),
        ],
    )
    write(db_of(fleet), after, now=now)
    return fleet


# ---------------------------------------------------------------------------------------------------------------- log


def test_the_log_says_why(past: Fleet) -> None:
    shown = past.run("router", "log").stdout
    (entry,) = re.findall(r"as ([0-9a-f]{16})", shown)
    assert re.sub(r"^\S+ \S+ ", "AT", shown, flags=re.M) == (
        "AT acme/WMS#41 (issues)  opened\n"
        "    seen by watch w\n"
        f"    to coder by route 0, as {entry}: delivered\n"
        "AT acme/WMS#42 (issues)  opened\n"
        "    seen by watch w\n"
        f"    held back from coder: {STRANGER}\n"
        "AT acme/WMS#43 (issues)  opened\n"
        "    seen by watch w: no route matches\n"
    )


def test_the_log_of_an_item(past: Fleet) -> None:
    (one,) = past.json("router", "log", "https://github.com/acme/WMS/issues/41")["decisions"]
    assert (one["repo"], one["kind"], one["number"], one["watch"]) == ("acme/WMS", "issues", 41, "w")
    assert [(to["agent"], to["routes"], to["state"], to["not_before"]) for to in one["to"]] == [
        ("coder", [0], "delivered", 0.0)
    ]
    assert [d["number"] for d in past.json("router", "log", "acme/wms", "--since", "10m")["decisions"]] == [42, 43]
    assert [d["number"] for d in past.json("router", "log", "--limit", "1")["decisions"]] == [43]
    nothing = past.run("router", "log", "acme/WMS#44")
    assert (nothing.stdout, nothing.stderr.splitlines()[0]) == ("", "nothing is known of that")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("41",), "'41' names no item"),
        (("acme/WMS#41", "--since", "yesterday"), "'yesterday' is no duration"),
        (("--limit", "0"), "--limit is at least 1"),
        (("\x1b[2J",), "names no item"),
    ],
)
def test_questions_that_make_no_sense(fleet: Fleet, words: tuple[str, ...], reason: str) -> None:
    done = fleet.run("router", "log", *words, code=2)
    assert reason in done.stderr
    assert "\x1b" not in done.stderr


def test_where_no_router_has_run(fleet: Fleet) -> None:
    assert fleet.json("router", "log") == {"version": 1, "decisions": []}
    assert fleet.run("router", "log").stderr == "nothing has happened yet\n"
    assert fleet.json("router", "replay", "--since", "2h")["replayed"] == []
    assert fleet.json("router", "cursor", "show")["watches"] == []
    assert fleet.run("router", "cursor", "show").stderr == "no router has run here yet\n"
    assert "no router has run here yet" in fleet.run("router", "cursor", "export", code=1).stderr
    assert fleet.run("route", "reset").stdout == "no breaker is open\n"
    assert not db_of(fleet).exists()


# ------------------------------------------------------------------------------------------------------------- replay


def test_replay(past: Fleet) -> None:
    wanted = past.run("router", "replay", "--since", "2h", "--dry-run")
    assert re.fullmatch(r"acme/WMS#41 would go to coder again: \w{16}, delivered .*\n", wanted.stdout)
    assert wanted.stderr == "1 delivery would be made again\n"
    done = past.json("router", "replay", "--since", "2h", "--agent", "coder", "--item", "acme/WMS#41")
    (one,) = done["replayed"]
    assert (one["agent"], one["about"], done["lost"], done["router"]) == ("coder", "acme/WMS#41", [], "stopped")
    with closing(SqliteCursor(db_of(past))) as cursor:
        (owed,) = cursor.owed(now=time.time())
    assert (owed.entry.id, owed.entry.metadata["replay_of"]) == (one["entry"], one["replay_of"])
    assert owed.key.endswith("#replay-1")
    again = past.run("router", "replay", "--since", "2h")
    assert again.stderr.startswith("1 delivery made again\nno router runs: ")
    with closing(SqliteCursor(db_of(past))) as cursor:
        assert [one.key.rpartition("#")[2] for one in cursor.owed(now=time.time())] == ["replay-1", "replay-2"]


def test_replay_of_nothing(past: Fleet) -> None:
    for words in (("--since", "10m"), ("--since", "2h", "--item", "acme/WMS#42")):
        done = past.run("router", "replay", *words)
        assert (done.stdout, done.stderr) == ("", "0 deliveries made again\n")
    assert "--since is missing" in past.run("router", "replay", code=2).stderr
    assert (
        "no agent is called 'codr'" in past.run("router", "replay", "--since", "2h", "--agent", "codr", code=1).stderr
    )


def test_replay_names_what_it_cannot(past: Fleet) -> None:
    with closing(SqliteCursor(db_of(past))) as cursor:
        cursor.prune(now=time.time() + 8 * 86_400)
    done = past.run("router", "replay", "--since", "2h")
    assert done.stdout == ""
    assert re.match(r"0 deliveries made again\n.* for coder: its text is not kept any more \(\w{16}, ", done.stderr)
    assert "1 delivery cannot be made again: texts are kept for 7 days" in done.stderr
    past.run("remove-agent", "coder", "--yes")
    write(db_of(past), Batch(owed=[owed_of(event_of(50))]), now=time.time(), delivered=True)
    assert "1 delivery left out: no agent is called 'coder'" in past.run("router", "replay", "--since", "1h").stderr


# ------------------------------------------------------------------------------------------------------------- cursor


def test_cursor_show_and_export(past: Fleet) -> None:
    shown = past.run("router", "cursor", "show").stdout
    assert re.search(r"^wms-assigned +\S+ \S+ +2$", shown, re.M)
    assert re.search(r"^items:acme/wms +issues +2026-01-01T00:00:00Z +", shown, re.M)
    assert "deliveries: 1, held: 1, decisions: 3" in shown
    known = past.json("router", "cursor", "show")
    assert (known["rows"]["deliveries"], known["owed"], known["bytes"] > 0) == (1, 0, True)
    exported = json.loads(past.run("router", "cursor", "export").stdout)
    assert exported["version"] == 1
    assert [one["name"] for one in exported["watches"]] == ["wms-assigned"]
    assert exported["held"][0]["record"]["event"]["item"]["author"] == "mallory"


def test_a_reader_of_the_export_may_go_away(past: Fleet) -> None:
    held = [held_of(event_of(number, body="x" * 5000)) for number in range(100, 400)]
    write(db_of(past), Batch(held=held))
    call = subprocess.Popen(
        [sys.executable, "-m", "relayfleet", "router", "cursor", "export"],
        env=past.env,
        cwd=past.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert call.stdout is not None
    assert call.stdout.readline().startswith(b'{"version": 1')
    call.stdout.close()
    assert call.stderr is not None
    assert call.stderr.read() == b""
    assert call.wait(timeout=60) == 0
    call.stderr.close()


def test_forget_a_watch(past: Fleet) -> None:
    assert past.json("router", "cursor", "forget", "wms-assigned") == {
        "version": 1,
        "watch": "wms-assigned",
        "forgotten": True,
        "items": 2,
    }
    assert past.run("router", "cursor", "forget", "wms-assigned").stdout == "wms-assigned: nothing was known of it\n"
    said = past.run("router", "cursor", "forget", "wms-asigned", code=1).stderr
    assert "there is no such watch, did you mean 'wms-assigned'?\nhint: there are: wms-assigned\n" in said


def test_nothing_is_forgotten_while_a_router_runs(past: Fleet) -> None:
    with FileLock(past.root / "state" / "router.lock"):
        done = past.run("router", "cursor", "forget", "wms-assigned", code=1)
    assert done.stderr == (
        "fleet: cannot forget watch 'wms-assigned': the router is running\n"
        "hint: `fleet router stop`, forget it, `fleet router start`\n"
    )
    assert past.json("router", "cursor", "show")["watches"] != []


# ------------------------------------------------------------------------------------------------ breakers and doctor


@pytest.fixture
def cut(past: Fleet) -> Fleet:
    """Of two routes each is cut off on an item, and one that is no more is, too."""
    past.edit("routes.json", lambda c: c["routes"].append({"match": {"kind": "pulls"}, "to": ["coder"]}))
    prints = [route_fingerprint(route) for route in load_gate(FleetLayout(past.root)).routes]
    breakers = [
        Breaker(route=route, item=f"I_{number}", count=7, since=1e9 + number, open=True, about=f"acme/WMS#{number}")
        for number, route in enumerate([*prints, "0123456789abcdef"])
    ]
    write(db_of(past), Batch(breakers=breakers))
    return past


def test_reset_a_route(cut: Fleet) -> None:
    done = cut.run("route", "reset", "1")
    assert done.stdout.startswith(
        "route 1 lets acme/WMS#1 through again: cut off after 7 entries in a row, since 2001-"
    )
    assert done.stderr == (
        "no router runs: it counts from the next `fleet router start` on\n"
        "what they held back is in `fleet quarantine list`\n"
    )
    assert cut.run("route", "reset", "1").stdout == "no breaker is open\n"
    value = cut.json("route", "reset")
    assert [(one["route"], one["about"], one["count"]) for one in value["reset"]] == [
        (0, "acme/WMS#0", 7),
        (None, "acme/WMS#2", 7),
    ]
    assert value["router"] == "stopped"
    assert cut.json("route", "reset") == {"version": 1, "reset": [], "router": None}


def test_reset_what_is_no_route(cut: Fleet) -> None:
    assert "there are routes 0 to 1" in cut.run("route", "reset", "2", code=2).stderr
    assert "it is no index of a route" in cut.run("route", "reset", "all", code=2).stderr
    (cut.root / "routes.json").write_text("{")
    assert "routes.json" in cut.run("route", "reset", "1", code=1).stderr
    assert [one["route"] for one in cut.json("route", "reset")["reset"]] == [None, None, None]


def test_it_is_not_for_agents_to_reset_a_breaker(cut: Fleet) -> None:
    cut.run("new-agent", "boss", "--role", "orchestrator")
    inside = {"RELAYFLEET_AGENT": "boss"}
    assert "it is for the operator" in cut.run("route", "reset", code=1, env=inside).stderr
    assert "it is for the operator" in cut.run("router", "cursor", "export", code=1, env=inside).stderr
    assert cut.run("router", "log", env=inside).stdout


def test_what_doctor_says(cut: Fleet) -> None:
    said = cut.run("doctor", code=None).stdout
    assert re.search(r"^ok       router.db: it takes 0.\d MB$", said, re.M)
    assert (
        "warning  breaker acme/WMS#1: agents answered each other 7 times there: route 1 is cut off\n"
        "         fix: look at the conversation, then `fleet route reset 1`\n"
    ) in said
    assert (
        "warning  quarantine: 1 event waits to be released or dropped, the oldest for 0 hours\n"
        "         fix: `fleet quarantine list`, then `fleet quarantine show`, `release` or `drop`\n"
    ) in said

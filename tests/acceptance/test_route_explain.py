"""`fleet route explain`: who would get an item, and for each route that does not match which key failed."""

from __future__ import annotations

import json
import time

import pytest

from relayfleet.config.load import load_gate
from relayfleet.model.event import encode_event
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.layout import FleetLayout
from relayfleet.ports.cursor import Batch, Breaker, Cooldown
from tests.acceptance.conftest import Fleet
from tests.events import event_of, owed_of, write
from tests.standins.github import github_standin

GATE = {
    "watches": [{"name": "bugs", "kind": "issues", "repo": "acme/WMS", "filter": "--state open --label bug"}],
    "routes": [
        {"match": {"watch": "bugs"}, "to": ["coder"], "trust": "anyone"},
        {"match": {"watch": "bugs", "author": "mallory"}, "to": ["reviewer"]},
        {"match": {"repo": "acme/WMS"}, "to": ["reviewer"], "trust": "owner"},
    ],
}


@pytest.mark.needs("gh", "github-schema")
def test_a_url(scripted: Fleet) -> None:
    scripted.edit("routes.json", lambda c: c.update(GATE))
    with github_standin() as github:
        seen = github.put("acme/WMS", "issues", title="It leaks", body="x", labels=["bug"], author="eve")
        unseen = github.put("acme/WMS", "issues", title="A wish", body="x")
        scripted.env.update(github.env)
        found = scripted.json("route", "explain", f"https://github.com/acme/WMS/issues/{seen.number}")
        missed = scripted.json("route", "explain", f"https://github.com/acme/WMS/issues/{unseen.number}")
        scripted.run("route", "explain", "https://github.com/acme/WMS/issues/999", code=1)
    assert found["item"]["title"] == "It leaks"
    assert found["recipients"] == [{"agent": "coder", "routes": [0], "item": "full", "notes": []}]
    assert [(one["agent"], one["item"]) for one in found["held"]] == [("reviewer", True)]
    first, second, third = found["routes"]
    assert first["delivers"]
    assert second["failed"] == ["author: wanted 'mallory', is 'eve'"]
    assert not third["delivers"]
    assert "owner" in third["trust"]
    assert missed["recipients"] == []
    assert [w["sees"] for w in missed["watches"]] == [False]


@pytest.mark.needs("gh", "github-schema")
def test_trust_is_told_text_by_text(scripted: Fleet) -> None:
    routes = [
        {"match": {"repo": "acme/*", "assignee": "coder-1"}, "to": ["coder"], "cooldown_s": 90},
        {"match": {"body_contains": "try this"}, "to": ["coder"], "bots": ["ci[bot]"], "trust": "owner"},
        {"match": {"label": "bug", "not": {"author": ["mallory", "eve"]}}, "to": ["coder"], "trust": "anyone"},
    ]
    scripted.edit("routes.json", lambda c: c.update({**GATE, "routes": routes}))
    with github_standin() as github:
        github.put("acme/WMS", "issues", 7, title="It leaks", body="x", labels=["bug"], author="mallory")
        for login, association in (("may", "MEMBER"), ("mallory", "NONE"), ("eve", "NONE")):
            github.associate("acme/WMS", login, association)
        github.assign("acme/WMS", 7, "coder-1", actor="may")
        for second, author in enumerate(("eve", "may", "ci[bot]")):
            github.comment("acme/WMS", 7, "Try this", author=author, at=1_900_000_000 + second)
        scripted.env.update(github.env)
        url = "https://github.com/acme/WMS/issues/7"
        found = scripted.json("route", "explain", url)
        told = scripted.run("route", "explain", url).stdout
    (getting,) = found["recipients"]
    (held,) = found["held"]
    vouched, by_bot, unmatched = found["routes"]
    eve, may, bot = (one["id"] for one in vouched["notes"])
    assert found["vouchers"] == ["may"]
    assert getting == {"agent": "coder", "routes": [0, 1], "item": "vouched", "notes": [may, bot]}
    assert (held["item"], held["notes"]) == (False, [eve])
    assert (vouched["delivers"], vouched["item"], vouched["trust"]) == (True, "vouched", "'may' vouched for it")
    assert (by_bot["delivers"], by_bot["item"]) == (True, "withheld")
    assert unmatched["failed"] == ["not.author: wanted anything but 'mallory', 'eve', is 'mallory'"]
    default = "collaborators wanted, the default of a public repository"
    assert told.splitlines()[1:] == [
        "vouched for by: may",
        "reaches: coder",
        "watch bugs: sees it",
        "route 0 (bugs) to coder: delivers",
        "  item: goes through, but for commit message and names of checks and workflows: 'may' vouched for it",
        f"  comment by eve: held back: 'eve' is stranger (NONE); {default}",
        f"  comment by may: goes through: 'may' is member (MEMBER); {default}",
        "  comment by ci[bot]: held back: 'ci[bot]' is a bot, and not named in bots",
        "  cooldown: 90 s per item",
        "route 1 (bugs) to coder: delivers",
        "  item: held back: 'mallory' is stranger (NONE); owner wanted;"
        " that 'may' vouched for it does not count on this route",
        "  comment by eve: held back: 'eve' is stranger (NONE); owner wanted",
        "  comment by may: held back: 'may' is member (MEMBER); owner wanted",
        "  comment by ci[bot]: goes through: 'ci[bot]' is a bot that is named",
        "route 2 (bugs) to coder: does not match: not.author: wanted anything but 'mallory', 'eve', is 'mallory'",
    ]


def test_show_prints_every_key(scripted: Fleet) -> None:
    route = {
        "match": {"watch": "bugs", "label": ["a", "b"], "draft": False, "not": {"author": "eve"}},
        "to": ["coder"],
        "trust": ["ann"],
        "bots": ["ci[bot]"],
        "priority": 7,
        "cooldown_s": 90,
    }
    scripted.edit("routes.json", lambda c: c.update({**GATE, "routes": [route]}))
    assert scripted.json("route", "show")["routes"] == [route]
    line = scripted.run("route").stdout.splitlines()[-1]
    assert line.split() == [
        "0", "watch=bugs", "label=a|b", "draft=false", "not.author=eve", "coder", "ann", "+ci[bot]", "7", "90s",
    ]  # fmt: skip


def test_a_saved_entry(scripted: Fleet) -> None:
    scripted.edit("routes.json", lambda c: c.update(GATE))
    metadata = {
        "repo": "acme/WMS",
        "kind": "issues",
        "number": 7,
        "event": "updated",
        "url": "https://github.com/acme/WMS/issues/7",
        "title": "It leaks",
        "author": "mallory",
        "association": "MEMBER",
        "state": "open",
        "labels": ["bug"],
        "updated_at": "2026-01-02T03:04:05Z",
        "watch": "bugs",
        "key": "issues/I_7/abc",
    }
    saved = scripted.root / "event.json"
    saved.write_text(json.dumps({"id": "0" * 16, "ts": 1, "source": "github", "body": "x", "metadata": metadata}))
    found = scripted.json("route", "explain", str(saved))
    assert [r["agent"] for r in found["recipients"]] == ["coder", "reviewer"]
    saved.write_text("{}")
    assert "cannot explain" in scripted.run("route", "explain", str(saved), code=1).stderr


def test_what_the_router_did_about_the_item_counts(scripted: Fleet) -> None:
    routes = [{"match": {"watch": "w"}, "to": ["coder"], "cooldown_s": 3600}, {"match": {}, "to": ["reviewer"]}]
    watches = [{"name": "w", "kind": "issues", "repo": "acme/WMS"}]
    scripted.edit("routes.json", lambda c: c.update({"watches": watches, "routes": routes}))
    saved = scripted.root / "event.json"
    saved.write_text(json.dumps(encode_event(event_of(41, "left"))))
    before = scripted.json("route", "explain", str(saved))
    assert (before["recipients"], before["told"]) == ([], [])
    assert [(one["quiet_until"], one["cut_off"]) for one in before["routes"]] == [(None, False), (None, False)]

    until = time.time() + 600
    quiet, other = map(route_fingerprint, load_gate(FleetLayout(scripted.root)).routes)
    cooldown = Cooldown(route=quiet, item="I_41", until=until)
    breaker = Breaker(route=other, item="I_41", count=7, since=time.time(), open=True, about="acme/WMS#41")
    batch = Batch(owed=[owed_of(event_of(41))], cooldowns=[cooldown], breakers=[breaker])
    write(FleetLayout(scripted.root).router_db, batch, now=time.time())
    found = scripted.json("route", "explain", str(saved))
    # It wrote nothing that the agents may read, and that it left is for those who had something of it.
    assert ([one["agent"] for one in found["recipients"]], found["told"]) == (["coder"], ["coder"])
    assert [(one["quiet_until"], one["cut_off"]) for one in found["routes"]] == [(until, False), (None, True)]
    told = scripted.run("route", "explain", str(saved)).stdout
    assert "reaches: coder\n" in told
    assert "cooldown: 3600 s per item; it is quiet about this one, and what comes now waits until " in told
    assert "breaker: open, what agents alone bring about here is cut off; `fleet route reset 1` closes it" in told

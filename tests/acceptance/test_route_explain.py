"""`fleet route explain`: who would get an item, and for each route that does not match which key failed."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Fleet
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
    assert found["recipients"] == [{"agent": "coder", "routes": [0]}]
    first, second, third = found["routes"]
    assert first["delivers"]
    assert second["failed"] == ["author: wanted 'mallory', is 'eve'"]
    assert not third["delivers"]
    assert "owner" in third["trust"]
    assert missed["recipients"] == []
    assert [w["sees"] for w in missed["watches"]] == [False]


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

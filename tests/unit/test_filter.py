"""A watch's filter: what is read, what is refused, what it decides."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.filter import Filter, Term, matches_filter, parse_filter
from relayfleet.model.item import Item, Kind


def item(**fields: object) -> Item:
    known: dict[str, object] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": "I_1",
        "number": 1,
        "title": "t",
        "body": "",
        "url": "",
        "author": "ann",
        "association": "MEMBER",
        "state": "open",
    }
    return Item(**{**known, **fields})  # type: ignore[arg-type]


def passes(text: str, kind: Kind = "issues", **fields: object) -> bool:
    return matches_filter(parse_filter(text, kind), item(kind=kind, **fields), viewer="Me")


def test_the_filters_of_the_contract() -> None:
    assert parse_filter("--search assignee:@me --state open", "issues") == Filter(
        kind="issues", states=frozenset({"open"}), terms=(Term(field="assignee", values=("@me",)),)
    )
    assert parse_filter("--state open", "pulls") == Filter(kind="pulls", states=frozenset({"open"}))
    assert parse_filter("", "runs") == Filter(kind="runs")


def test_without_a_state_only_open_items() -> None:
    assert passes("") and not passes("", state="closed")
    assert passes("--state all", state="closed") and passes("--search is:closed", state="closed")
    assert not passes("--search is:closed")
    assert passes("", "pulls") and not passes("", "pulls", state="merged")


@pytest.mark.parametrize(
    ("text", "kind", "fits", "does_not"),
    [
        ("--assignee @me", "issues", {"assignees": ("me",)}, {"assignees": ("you",)}),
        ("-a ann --label=bug", "issues", {"assignees": ("Ann",), "labels": ("BUG",)}, {"assignees": ("ann",)}),
        ("--label a,b", "issues", {"labels": ("a", "b")}, {"labels": ("a",)}),
        ("--search label:a,b", "issues", {"labels": ("b",)}, {"labels": ("c",)}),
        ("--search 'label:\"good first issue\"'", "issues", {"labels": ("good first issue",)}, {"labels": ("good",)}),
        ("--search '-label:wip -author:bot'", "issues", {}, {"labels": ("wip",)}),
        ("--search no:assignee", "issues", {}, {"assignees": ("ann",)}),
        ("--search -no:label", "issues", {"labels": ("x",)}, {}),
        ("--search assignee:*", "issues", {"assignees": ("x",)}, {}),
        ("--author ann", "issues", {}, {"author": "bob"}),
        ("--draft", "pulls", {"draft": True}, {}),
        ("--draft=false", "pulls", {}, {"draft": True}),
        ("--search -is:draft", "pulls", {}, {"draft": True}),
        ("--base main --head topic", "pulls", {"base": "main", "branch": "topic"}, {"base": "main"}),
        ("--state closed", "pulls", {"state": "merged"}, {}),
        ("--state merged", "pulls", {"state": "merged"}, {"state": "closed"}),
        ("--search is:unmerged", "pulls", {"state": "closed"}, {"state": "merged"}),
        ("--search '-is:merged state:closed'", "pulls", {"state": "closed"}, {"state": "merged"}),
        ("--status failure", "runs", {"state": "completed", "conclusion": "failure"}, {"state": "completed"}),
        ("-b main -w CI -e push -u ann", "runs", {"branch": "main", "workflow": "ci", "trigger": "push"}, {}),
        ("--workflow ci.yml", "runs", {"workflow": "CI", "workflow_file": "ci.yml"}, {"workflow": "CI"}),
        ("--commit abc", "runs", {"head": "abcdef"}, {"head": "def"}),
        ("-L 5 --state open", "issues", {}, {"state": "closed"}),
        ("--search user-review-requested:@me", "pulls", {"reviewers": ("me",)}, {"reviewers": ("you", "team/me")}),
        (
            "--search team-review-requested:acme/core",
            "pulls",
            {"repo": "Acme/WMS", "reviewers": ("team/core",)},
            {"repo": "other/WMS", "reviewers": ("team/core", "core")},
        ),
        ("--app dependabot", "pulls", {"author": "dependabot[bot]"}, {"author": "dependabot"}),
        ("--search -author:app/renovate", "pulls", {}, {"author": "renovate[bot]"}),
        (
            "--state closed --search 'reason:\"not planned\"'",
            "issues",
            {"state": "closed", "reason": "not_planned"},
            {"state": "closed", "reason": "completed"},
        ),
        ("--search 'reason:reopened'", "issues", {"reason": "reopened"}, {}),
        ("--search 'is:open draft:false'", "pulls", {}, {"draft": True}),
    ],
)
def test_what_is_decided_here(text: str, kind: Kind, fits: dict[str, object], does_not: dict[str, object]) -> None:
    assert parse_filter(text, kind).search == ()
    assert passes(text, kind, **fits)
    assert not passes(text, kind, **does_not)


@pytest.mark.parametrize(
    ("text", "kind", "search"),
    [
        ("--search mentions:@me", "issues", ("mentions:@me",)),
        ("--mention @me --state open", "issues", ("mentions:@me",)),
        ("--milestone 'next one'", "issues", ('milestone:"next one"',)),
        ("--search 'crash in:title'", "issues", ("crash", "in:title")),
        ("--search 'review-requested:@me is:pr'", "pulls", ("review-requested:@me",)),
        ("--search 'author:ann author:bob'", "issues", ("author:ann", "author:bob")),
        ("--search 'head:topic sha:1a2b3c4'", "pulls", ("head:topic", "sha:1a2b3c4")),
        ("--search 'type:Bug is:blocked'", "issues", ("type:Bug", "is:blocked")),
        (
            "--search 'comments:>10 created:2026-01-31..* -reactions:5..9'",
            "issues",
            ("comments:>10", "created:2026-01-31..*", "-reactions:5..9"),
        ),
        (
            "--search 'updated:>@today-7d no:milestone linked:pr'",
            "issues",
            ("updated:>@today-7d", "no:milestone", "linked:pr"),
        ),
        (
            "--search 'review:approved -status:failure merged:>2026-01-31T10:00:00Z' --state merged",
            "pulls",
            ("review:approved", "-status:failure", "merged:>2026-01-31T10:00:00Z"),
        ),
        ("--search '-mentions:bob sort:created-asc'", "issues", ("-mentions:bob",)),
    ],
)
def test_what_only_a_search_knows(text: str, kind: Kind, search: tuple[str, ...]) -> None:
    assert parse_filter(text, kind).search == search


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("--stat open", "issues", "did you mean '--state'?"),
        ("--state opn", "issues", "did you mean 'open'?"),
        ("--state merged", "issues", "state 'merged' is not known for issues"),
        ("--search 'asignee:@me'", "issues", "did you mean 'assignee'?"),
        ("open", "issues", "not a flag"),
        ("--state", "issues", "needs a value"),
        ("--search 'a OR b'", "issues", "make several watches"),
        ("--search '(a b)'", "issues", "make several watches"),
        ("--search repo:acme/WMS", "issues", "the watch's own `repo`"),
        ("--search is:pr", "issues", "contradicts the watch's kind"),
        ("--search is:closed --state open", "issues", "nothing can ever match"),
        ("--label 'x", "issues", "quotes do not match up"),
        ("--status failed", "runs", "did you mean 'failure'?"),
        ("--state open", "runs", "flag '--state' is not known for runs"),
        ("--draft=perhaps", "pulls", "true or false"),
        ("--json number", "issues", "flag '--json' is not known"),
        ("--search review-requested:@me", "issues", "finds only pulls, and the watch is of issues"),
        ("--search is:merged", "issues", "state 'merged' is not known for issues"),
        ("--search is:queued", "issues", "is:queued is not known for issues"),
        ("--search linked:pr", "pulls", "finds only issues, and the watch is of pulls"),
        ("--search type:Bug", "pulls", "type:Bug finds only issues"),
        ("--search reason:completed", "issues", "finds only items that are closed"),
        ("--search 'merged:>2026-01-31'", "pulls", "finds only items that are merged"),
        ("--state closed --search 'reason:donne'", "issues", "known: completed"),
        ("--search review:aproved", "pulls", "did you mean 'approved'?"),
        ("--search in:titel", "issues", "did you mean 'title'?"),
        ("--search no:asignee", "issues", "did you mean 'assignee'?"),
        ("--search -no:milestone", "issues", "does not negate no:"),
        ("--search created:yesterday", "issues", "takes dates such as"),
        ("--search 'comments:>many'", "issues", "takes numbers such as"),
        ("--search app:dependabot", "pulls", "search qualifier 'app' is not known"),
    ],
)
def test_what_is_refused(text: str, kind: Kind, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_filter(text, kind)


@given(st.text(max_size=60), st.sampled_from(["issues", "pulls", "runs"]))
def test_any_text_is_read_or_refused(text: str, kind: Kind) -> None:
    try:
        parse_filter(text, kind)
    except ValueError as error:
        assert str(error)


@given(st.lists(st.sampled_from(["bug", "wip", "x"]), unique=True), st.sampled_from(["bug", "wip", "x"]))
def test_a_negation_is_the_opposite(labels: list[str], label: str) -> None:
    here = tuple(labels)
    assert passes(f"--search label:{label}", labels=here) != passes(f"--search -label:{label}", labels=here)

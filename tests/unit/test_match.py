"""Routes: what each key of a match means, and what is said of one that failed."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.change import Changes
from relayfleet.model.event import Event, decode_event, encode_event
from relayfleet.model.gate import explain_event, seen_by
from relayfleet.model.item import Check, Item, Note, Report
from relayfleet.model.route import KEYS, Gate, Keys, Match, Pattern, Route, explain, matches
from relayfleet.model.watch import Watch

NOTE = Note(
    kind="comment",
    node_id="IC_1",
    url="u",
    author="bob",
    association="NONE",
    body="It CRASHES here, too",
    created_at="2026-01-02T03:04:05Z",
    updated_at="2026-01-02T03:04:05Z",
)


def event(watch: str = "w", watched_repo: str = "acme/WMS", notes: tuple[Note, ...] = (), **about: Any) -> Event:
    known: dict[str, Any] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": "I_1",
        "number": 41,
        "title": "The Label printer burns",
        "body": "Since Monday",
        "url": "",
        "author": "Ann",
        "association": "MEMBER",
        "state": "open",
        "labels": ("Bug", "needs-human"),
        "assignees": ("Hub",),
    }
    names = about.pop("names", ("commented", "labeled") if notes else ("labeled",))
    return Event(
        watch=watch,
        names=names,
        item=Item(**{**known, **about}),
        key="k",
        watched_repo=watched_repo,
        changes=Changes(names=frozenset(names), notes=notes),
    )


def pull(**about: Any) -> Event:
    return event(**{"kind": "pulls", "base": "main", "branch": "release/1.2", **about})


def run(**about: Any) -> Event:
    known = {"kind": "runs", "state": "completed", "conclusion": "failure", "branch": "main"}
    return event(**{**known, "workflow": "Nightly Build", "workflow_file": "nightly.yml", **about})


def holds(one: Event, **match: Any) -> bool:
    return matches(Route(match=Match(**match), to=("a",)), one)


def test_every_key_must_match_and_an_absent_one_is_a_wildcard() -> None:
    whole = Route(
        match=Match(
            watch="w",
            repo="ACME/wms",
            kind="issues",
            label="bug",
            author="ann",
            association="member",
            assignee="HUB",
            state="open",
            event="commented",
            title_contains="label PRINTER",
            body_contains="crashes",
        ),
        to=("coder",),
    )
    assert matches(whole, event(notes=(NOTE,)))
    assert explain(whole, event(notes=(NOTE,))) == ()
    assert not matches(whole, event(notes=(NOTE,), labels=()))
    assert matches(Route(match=Match(), to=("coder",)), event())


def test_explain_names_every_key_that_failed() -> None:
    wrong = Match(
        watch="v",
        repo="acme/Shop",
        kind="pulls",
        label="x",
        author=("bob", "eve"),
        association="owner",
        assignee="ann",
        state="closed",
        event="merged",
        draft=True,
        base="main",
        branch="release/*",
        workflow="ci.yml",
        conclusion="failure",
        title_contains="y",
        body_contains=("q", "z"),
        not_=Keys(label=("bug", "wip"), kind="issues"),
    )
    assert explain(Route(match=wrong, to=("a",)), event(notes=(NOTE,))) == (
        "watch: wanted 'v', is 'w'",
        "repo: wanted 'acme/Shop', is 'acme/WMS'",
        "kind: wanted 'pulls', is 'issues'",
        "label: wanted 'x', is ['Bug', 'needs-human']",
        "author: wanted any of 'bob', 'eve', is 'Ann'",
        "association: wanted 'owner', is 'MEMBER'",
        "assignee: wanted 'ann', is ['Hub']",
        "state: wanted 'closed', is 'open'",
        "event: wanted 'merged', is ['commented', 'labeled']",
        "draft: wanted 'true', is nothing",
        "base: wanted 'main', is nothing",
        "branch: wanted 'release/*', is nothing",
        "workflow: wanted 'ci.yml', is nothing",
        "conclusion: wanted 'failure', is nothing",
        "title_contains: wanted 'y', is 'The Label printer burns'",
        "body_contains: wanted any of 'q', 'z', is a body of 12 characters and new notes: 1",
        "not.kind: wanted anything but 'issues', is 'issues'",
        "not.label: wanted anything but 'bug', 'wip', is ['Bug', 'needs-human']",
    )


def test_there_is_a_meaning_for_every_key() -> None:
    assert tuple(field.name for field in fields(Keys)) == KEYS
    for key in KEYS:
        wanted: Any = True if key == "draft" else "zzz"
        assert not holds(event(), **{key: wanted})
        assert holds(event(), not_=Keys(**{key: wanted}))


@pytest.mark.parametrize("one", [event(notes=(NOTE,)), pull(draft=True), run()])
@pytest.mark.parametrize("key", [key for key in KEYS if key != "draft"])
def test_a_list_means_any_of_and_not_turns_it_round(one: Event, key: str) -> None:
    for wanted in (
        "w",
        "acme/WMS",
        "pulls",
        "bug",
        "ann",
        "stranger",
        "hub",
        "completed",
        "labeled",
        "main",
        "nightly.yml",
    ):
        several: dict[str, Any] = {key: ("zzz", wanted)}
        alone = holds(one, **{key: wanted})
        assert holds(one, **{key: (wanted,)}) == alone
        assert holds(one, **several) == alone
        assert holds(one, not_=Keys(**several)) != alone


def test_each_key_of_not_leaves_out_on_its_own() -> None:
    left_out = Keys(label="wip", author="renovate[bot]")
    assert holds(event(), kind="issues", not_=left_out)
    assert not holds(event(labels=("WIP",)), kind="issues", not_=left_out)
    assert not holds(event(author="renovate[bot]"), kind="issues", not_=left_out)


def test_a_renamed_repository_answers_to_both_names() -> None:
    moved = event(repo="acme/Warehouse", watched_repo="acme/WMS")
    assert holds(moved, repo="acme/WMS")
    assert holds(moved, repo="acme/warehouse")


def test_repositories_of_other_hosts() -> None:
    there = event(host="ghe.acme.com", watched_repo="GHE.acme.com/acme/WMS")
    assert holds(there, repo="ghe.acme.com/ACME/wms")
    assert not holds(there, repo="acme/WMS")
    assert not holds(event(), repo="ghe.acme.com/acme/WMS")
    assert holds(event(), repo="github.com/acme/WMS")


def test_a_star_in_a_repository_stands_for_any_name_of_that_owner() -> None:
    assert holds(event(), repo="acme/*") and holds(event(), repo="ACME/w*s")
    assert not holds(event(), repo="acm/*") and not holds(event(), repo="acme/x*")
    assert not holds(event(host="ghe.acme.com", watched_repo=""), repo="acme/*")


def test_branches_are_told_apart_by_case_and_take_a_star() -> None:
    assert holds(pull(), branch="release/1.2", base="main")
    assert holds(pull(), branch="release/*") and holds(pull(), branch="*/1.*") and holds(pull(), branch="*")
    assert not holds(pull(), branch="Release/1.2") and not holds(pull(), branch="rel") and not holds(pull(), base="m")
    assert not holds(event(), branch="*"), "an issue has no branch"
    assert not holds(event(labels=("bug",)), label="b*"), "a star is a star elsewhere"


@given(st.text("ab/", max_size=8), st.lists(st.text("ab/", max_size=3), min_size=2, max_size=4))
def test_a_star_is_any_run_of_characters(value: str, parts: list[str]) -> None:
    def fits(value: str, parts: list[str]) -> bool:
        if len(parts) == 1:
            return value == parts[0]
        return value.startswith(parts[0]) and any(
            fits(value[len(parts[0]) + skip :], parts[1:]) for skip in range(len(value) - len(parts[0]) + 1)
        )

    assert Pattern(parts[0], tuple(parts[1:-1]), parts[-1]).fits(value) == fits(value, parts)


def test_states_of_runs_and_of_merged_pulls() -> None:
    assert holds(run(), state="failure") and holds(run(), state="completed") and holds(run(), conclusion="FAILURE")
    merged = pull(state="merged")
    assert holds(merged, state="closed") and holds(merged, state="merged")
    assert not holds(pull(state="closed"), state="merged")
    assert not holds(merged, state="closed", not_=Keys(state="merged"))


def test_only_pull_requests_are_drafts_or_are_none() -> None:
    assert holds(pull(draft=True), draft=True) and not holds(pull(draft=True), draft=False)
    assert holds(pull(), draft=False) and not holds(event(), draft=False)
    assert holds(event(), not_=Keys(draft=True)) and not holds(pull(draft=True), not_=Keys(draft=True))


def test_a_workflow_answers_to_its_name_and_its_file() -> None:
    assert holds(run(), workflow="nightly build") and holds(run(), workflow="nightly.yml")
    assert not holds(run(), workflow="nightly")


def test_associations_in_github_s_words_and_in_ours() -> None:
    newcomer = event(association="FIRST_TIME_CONTRIBUTOR")
    assert holds(newcomer, association="first_time_contributor") and holds(newcomer, association="stranger")
    assert not holds(newcomer, association="contributor")
    assert holds(event(association="OWNER"), association="Owner")
    assert not holds(event(association="OWNER"), association="member"), "it says which, not at least which"


def test_bodies_of_notes_count_and_only_new_ones_are_there() -> None:
    assert holds(event(notes=(NOTE,)), body_contains="crashes HERE")
    assert not holds(event(), body_contains="crashes here")
    assert holds(event(notes=(NOTE,)), body_contains="since monday")


WORDS = st.none() | st.sampled_from(["w", "v", ("v", "w"), "ann", "bug", "open"])


@given(st.fixed_dictionaries({key: WORDS for key in KEYS if key != "draft"}), st.sampled_from(["w", "v"]))
def test_matching_is_having_nothing_to_explain(match: dict[str, Any], watch: str) -> None:
    one = Route(match=Match(**match), to=("a",))
    seen = event(watch, author="ANN", notes=(NOTE,))
    assert matches(one, seen) == (explain(one, seen) == ())
    if one.match.is_catch_all():
        assert matches(one, seen)


def test_a_saved_event_is_the_event_again() -> None:
    one = replace(pull(notes=(NOTE,), private=True, checks=(Check(name="ci", state="failure"),)), vouchers=("bob",))
    assert decode_event(json.loads(json.dumps(encode_event(one)))) == one
    with pytest.raises(ValueError, match="neither an `item` nor `metadata`"):
        decode_event({})
    with pytest.raises(ValueError, match="a part is missing"):
        decode_event({"item": {"repo": "a/b"}, "watch": "w"})


def test_which_watches_see_an_item() -> None:
    gate = Gate(
        watches=(
            Watch(name="p", kind="pulls", repo="acme/WMS"),
            Watch(name="s", kind="issues", repo="acme/Shop"),
            Watch(name="h", kind="issues", repo="ghe.acme.com/acme/WMS"),
            Watch(name="c", kind="issues", repo="ACME/wms", filter="--state closed"),
            Watch(name="m", kind="issues", repo="acme/old", filter="--mention @me --author @me"),
        ),
        routes=(Route(match=Match(body_contains="crashes"), to=("a",), trust="anyone"),),
    )
    found = seen_by(gate, Report(item=event().item, notes=(NOTE,)), repo="acme/Old", viewer="ann")
    assert [one.event.watch if one.event else None for one in found] == [None, None, None, None, "m"]
    assert [one.reason for one in found] == [
        "it watches pulls, and this is one of issues",
        "it watches 'acme/Shop', and this is in 'acme/WMS'",
        "it watches 'ghe.acme.com/acme/WMS', and this is in 'acme/WMS'",
        "its filter '--state closed' leaves it out",
        "if GitHub's search finds it by 'mentions:@me'",
    ]
    seen = found[-1].event
    assert seen is not None
    assert (seen.names, seen.changes.notes, seen.watched_repo) == (("updated",), (NOTE,), "acme/old")
    assert explain_event(gate, seen)[0].delivers

"""What happened between two looks, told from what is remembered and from what GitHub shows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from relayfleet.model.change import EVENT_NAMES, Changes, EventName, in_order
from relayfleet.model.change import compare as compare_content
from relayfleet.model.event import key_of
from relayfleet.model.item import Act, ActKind, Check, Item, Note, Report
from relayfleet.model.snapshot import Snapshot, content_of, glimpse_of, is_new, note_id, rewound, snapshot_of
from relayfleet.model.vouch import vouchers_of


def at(second: int) -> str:
    return f"2026-01-02T03:{second // 60:02}:{second % 60:02}Z"


MARK = at(100)


def item(**about: Any) -> Item:
    known: dict[str, Any] = {
        "repo": "acme/WMS",
        "private": False,
        "kind": "issues",
        "node_id": "I_1",
        "number": 41,
        "title": "The pump is loud",
        "body": "It hums",
        "url": "",
        "author": "mallory",
        "association": "NONE",
        "state": "open",
        "created_at": at(10),
        "updated_at": at(50),
    }
    return Item(**{**known, **about})


def pull(**about: Any) -> Item:
    return item(**{"kind": "pulls", "head": "c1", "base": "main", "branch": "topic", **about})


def run(**about: Any) -> Item:
    return item(**{"kind": "runs", "state": "in_progress", "attempt": 1, "workflow": "CI", **about})


def note(name: str, second: int, body: str = "x", **about: Any) -> Note:
    known: dict[str, Any] = {"kind": "comment", "url": "", "author": "eve", "association": "NONE"}
    return Note(**{**known, "node_id": name, "body": body, "created_at": at(second), "updated_at": at(second), **about})


def act(kind: ActKind, second: int, subject: str = "", actor: str = "may", **about: Any) -> Act:
    return Act(kind=kind, node_id=f"{kind}-{second}-{subject}", actor=actor, at=at(second), subject=subject, **about)


def report(of: Item, *notes: Note, acts: tuple[Act, ...] = ()) -> Report:
    return Report(item=of, notes=notes, acts=acts)


def names_of(changes: Changes | None) -> set[EventName]:
    return set() if changes is None else set(changes.names)


def compare(now: Report, before: Snapshot | None, *, since: str) -> Changes | None:
    content = content_of(now.item, now.notes, before)
    return compare_content(now, before, content=content, since=since)


def between(before: Report, now: Report) -> Changes | None:
    """Both looks saw the item whole."""
    return compare(now, snapshot_of(before), since=MARK)


def test_the_same_is_no_news() -> None:
    one = report(pull(labels=("a",), checks=(Check(name="ci", state="success", at=at(40)),)), note("n", 30))
    assert between(one, one) is None
    assert between(one, replace(one, item=replace(one.item, updated_at=at(60)))) is None, "touched, and nothing is new"
    renamed = replace(one.item, repo="acme/Warehouse", url="elsewhere")
    assert between(one, replace(one, item=renamed)) is None, "a repository's new name is not news of every item"


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"title": "x"}, {"updated"}),
        ({"body": "x"}, {"updated"}),
        ({"state": "closed"}, {"closed"}),
        ({"labels": ("a", "c")}, {"labeled", "unlabeled"}),
        ({"assignees": ("ann",)}, {"assigned"}),
        ({"reviewers": ("team/core",)}, {"review_requested"}),
        ({"comments": 3}, {"updated"}),
        ({"draft": True}, {"drafted"}),
        ({"head": "c2"}, {"pushed"}),
        ({"base": "dev"}, {"updated"}),
        ({"state": "merged", "title": "x"}, {"merged", "updated"}),
        ({"repo": "acme/Other", "number": 7}, {"transferred"}),
    ],
)
def test_what_became_another(changed: dict[str, Any], names: set[EventName]) -> None:
    before = pull(labels=("a", "b"), comments=4)
    assert names_of(between(report(before), report(replace(before, updated_at=at(120), **changed)))) == names


def test_the_labels_and_people_by_name() -> None:
    before = pull(labels=("a", "b"), assignees=("ann",), reviewers=("bob",))
    now = replace(before, updated_at=at(120), labels=("c", "a"), assignees=("bob", "cay"), reviewers=("bob", "team/x"))
    found = between(report(before), report(now))
    assert found is not None
    assert (found.labels_added, found.labels_removed) == (("c",), ("b",))
    assert (found.assigned, found.unassigned) == (("bob", "cay"), ("ann",))
    assert found.review_requested == ("team/x",)


def test_two_edits_within_one_second_are_two() -> None:
    first, second = item(body="one"), item(body="two")
    assert names_of(between(report(first), report(second))) == {"updated"}
    assert key_of(first, content_of(first)) != key_of(second, content_of(second))


def test_notes_of_the_second_up_to_which_notes_were_read() -> None:
    heard = report(item(), note("a", 120), note("b", 120))
    late = report(item(), note("a", 120), note("b", 120), note("c", 120))
    found = between(heard, late)
    assert found is not None and [one.node_id for one in found.notes] == ["c"]
    edited = report(item(), note("a", 120, "another"), note("b", 120))
    found = between(heard, edited)
    assert found is not None and [one.body for one in found.notes] == ["another"]


def test_what_was_heard_stays_heard() -> None:
    first = snapshot_of(report(item(), note("a", 120), note("b", 120)))
    second = snapshot_of(report(item(), note("c", 120)), first)
    assert {one.partition(".")[0] for one in second.heard_ids} == {"a", "b", "c"}
    older = snapshot_of(report(item(), note("z", 60)), second)
    assert (older.heard, older.heard_ids) == (second.heard, second.heard_ids)
    assert snapshot_of(report(item(), note("d", 121)), second).heard_ids == (note_id(note("d", 121)),)


def test_reviews_and_comments_have_names_of_their_own() -> None:
    now = report(pull(), note("r", 120, kind="review", state="approved"), note("l", 120, kind="review_comment"))
    assert names_of(between(report(pull()), now)) == {"reviewed", "commented"}
    dismissed = report(pull(), note("r", 120, kind="review", state="dismissed"), *now.notes[1:])
    assert names_of(between(now, dismissed)) == {"reviewed"}


def test_a_comment_that_is_gone_is_an_update() -> None:
    before = report(item(comments=1), note("a", 40))
    assert names_of(between(before, report(item(comments=0)))) == {"updated"}


def test_closed_and_open_again_is_told_by_what_was_done() -> None:
    acts = (act("closed", 110), act("reopened", 112))
    found = between(report(item()), report(item(updated_at=at(112)), acts=acts))
    assert found is not None and (names_of(found), found.acts) == ({"updated"}, acts)
    assert names_of(between(report(item(state="closed")), report(item(updated_at=at(112))))) == {"reopened"}


def test_who_is_asked_again_for_a_review() -> None:
    before = report(pull(reviewers=("bob",)))
    again = report(pull(reviewers=("bob",), updated_at=at(120)), acts=(act("review_requested", 120, "bob"),))
    assert names_of(between(before, again)) == {"review_requested"}


# ------------------------------------------------------------------------------------------------------------- checks


def checked(*checks: tuple[str, str, int], head: str = "c1") -> Report:
    return report(pull(head=head, checks=tuple(Check(name=n, state=s, at=at(t)) for n, s, t in checks)))


@pytest.mark.parametrize(
    ("before", "now", "names"),
    [
        ((("ci", "in_progress", 40),), (("ci", "failure", 110),), {"check_failed"}),
        ((("ci", "in_progress", 40),), (("ci", "success", 110),), {"checks_passed"}),
        ((("ci", "success", 40),), (("ci", "failure", 110),), {"check_failed"}),
        ((("ci", "failure", 40),), (("ci", "success", 110),), {"checks_passed"}),
        ((("ci", "failure", 40),), (("ci", "failure", 110),), {"check_failed"}),
        ((("ci", "failure", 40),), (("ci", "failure", 40), ("lint", "success", 110)), set()),
        ((("ci", "queued", 40), ("lint", "queued", 40)), (("ci", "success", 110), ("lint", "in_progress", 110)), set()),
        ((), (("ci", "error", 110),), {"check_failed"}),
        ((("ci", "failure", 40),), (), set()),
    ],
)
def test_checks_flip_without_the_item_s_being_touched(
    before: tuple[tuple[str, str, int], ...], now: tuple[tuple[str, str, int], ...], names: set[EventName]
) -> None:
    assert names_of(between(checked(*before), checked(*now))) == names


def test_only_the_checks_that_fail_anew_are_named() -> None:
    found = between(
        checked(("a", "failure", 40), ("b", "success", 40), ("c", "timed_out", 40)),
        checked(("a", "failure", 40), ("b", "startup_failure", 110), ("c", "timed_out", 111)),
    )
    assert found is not None and [one.name for one in found.failing] == ["b", "c"]


def test_the_checks_of_a_new_commit_are_news() -> None:
    found = between(checked(("ci", "failure", 40)), checked(("ci", "failure", 110), head="c2"))
    assert names_of(found) == {"pushed", "check_failed"}


def test_each_flip_of_a_check_has_a_key_of_its_own() -> None:
    states = [
        checked(("ci", state, second)).item for state, second in (("success", 40), ("failure", 50), ("success", 60))
    ]
    assert len({key_of(one, content_of(one)) for one in states}) == 3


# --------------------------------------------------------------------------------------------------------------- runs


def test_a_run_from_its_beginning_to_its_re_run() -> None:
    looks = [
        run(),
        run(state="completed", conclusion="failure"),
        run(state="in_progress", attempt=2),
        run(state="completed", conclusion="failure", attempt=2),
        run(state="in_progress", attempt=3),
        run(state="completed", conclusion="success", attempt=3),
    ]
    told = [names_of(between(report(one), report(after))) for one, after in pairwise(looks)]
    assert told == [
        {"completed", "check_failed"},
        {"updated"},
        {"completed", "check_failed"},
        {"updated"},
        {"completed"},
    ]
    assert names_of(between(report(looks[1]), report(looks[3]))) == {"completed", "check_failed"}


def test_a_run_that_is_over_when_it_is_first_seen() -> None:
    made = {"created_at": at(110), "updated_at": at(120)}
    failed = run(state="completed", conclusion="failure", **made)
    assert names_of(compare(report(failed), None, since=MARK)) == {"opened", "completed", "check_failed"}
    fine = run(state="completed", conclusion="success", **made)
    assert names_of(compare(report(fine), None, since=MARK)) == {"opened", "completed"}
    assert names_of(compare(report(run(**made)), None, since=MARK)) == {"opened"}


def test_an_old_run_that_was_never_seen() -> None:
    again = run(state="completed", conclusion="failure", attempt=2, created_at=at(10), updated_at=at(120))
    assert names_of(compare(report(again), None, since=MARK)) == {"completed", "check_failed"}
    untouched = run(state="completed", conclusion="failure", created_at=at(10), updated_at=at(90))
    assert compare(report(untouched), None, since=MARK) is None


# ------------------------------------------------------------------------------------- what was glimpsed, or never seen


def test_what_is_new_and_what_happened_to_it_at_once() -> None:
    acts = (act("labeled", 110, "bug", actor="mallory"), act("closed", 115))
    new = item(created_at=at(110), updated_at=at(115), labels=("bug",), state="closed")
    found = compare(report(new, note("a", 112), acts=acts), None, since=MARK)
    assert found is not None
    assert found.names == {"opened", "closed", "commented"}
    assert found.labels_added == (), "it was made with its labels"


def test_what_was_never_seen_is_told_since_the_mark() -> None:
    acts = (
        act("labeled", 90, "old"),
        act("unlabeled", 100, "gone"),
        act("labeled", 110, "new"),
        act("unlabeled", 111, "lost"),
        act("labeled", 112, "brief"),
        act("unlabeled", 113, "brief"),
        act("assigned", 114, "ann"),
    )
    of = item(updated_at=at(114), labels=("old", "new"), assignees=("ann",))
    found = compare(report(of, note("a", 100), note("b", 101), acts=acts), None, since=MARK)
    assert found is not None
    assert found.names == {"labeled", "unlabeled", "assigned", "commented"}
    assert (found.labels_added, found.labels_removed, found.assigned) == (("new",), ("lost",), ("ann",))
    assert [one.node_id for one in found.notes] == ["b"], "what was said up to the mark is no news"
    assert found.acts == acts[2:]


def test_a_label_added_and_removed_in_between_is_an_update() -> None:
    acts = (act("labeled", 110, "brief"), act("unlabeled", 111, "brief"))
    of = item(updated_at=at(111))
    for before in (None, glimpse_of(item(), since=MARK), snapshot_of(report(item()))):
        found = compare(report(of, acts=acts), before, since=MARK)
        assert found is not None
        assert (names_of(found), found.labels_added, found.labels_removed) == ({"updated"}, (), ())


def test_a_glimpse_is_compared_by_what_was_done_since() -> None:
    glimpse = glimpse_of(pull(labels=("a",), state="open"), since=MARK)
    assert compare(report(pull(labels=("a",)), note("a", 100)), glimpse, since=at(140)) is None
    acts = (act("labeled", 120, "b"), act("readied", 121), act("merged", 122), act("closed", 122))
    now = pull(labels=("a", "b"), state="merged", updated_at=at(122))
    found = compare(report(now, acts=acts), structs.replace(glimpse, draft=True), since=at(110))
    assert found is not None
    assert found.names == {"labeled", "merged", "readied"} and found.labels_added == ("b",)


def test_the_checks_of_a_glimpse_are_news_when_they_ended_later() -> None:
    glimpse = glimpse_of(pull(), since=MARK)
    old, new = Check(name="old", state="failure", at=at(90)), Check(name="new", state="failure", at=at(105))
    found = compare(report(pull(checks=(old, new))), glimpse, since=at(140))
    assert found is not None and (names_of(found), found.failing) == ({"check_failed"}, (new,))
    assert compare(report(pull(checks=(old,))), glimpse, since=at(140)) is None


def test_an_edit_of_what_was_glimpsed_is_seen_by_its_time() -> None:
    glimpse = glimpse_of(item(), since=MARK)
    edited = item(body="another", edited_at=at(120), updated_at=at(120))
    found = compare(report(edited), glimpse, since=MARK)
    assert found is not None and (names_of(found), found.edited) == ({"updated"}, True)


UNDOABLE: tuple[tuple[ActKind, ActKind, str], ...] = (
    ("labeled", "unlabeled", "labels"),
    ("assigned", "unassigned", "assignees"),
    ("review_requested", "review_unrequested", "reviewers"),
)
STEPS = st.lists(st.tuples(st.sampled_from(range(3)), st.sampled_from("abc")), max_size=12)


@given(st.sets(st.sampled_from("abc")), STEPS, STEPS, st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_rewinding_finds_what_was_there(
    first: set[str],
    earlier: list[tuple[int, str]],
    later: list[tuple[int, str]],
    draft: bool,
    closings: int,
    drafts: int,
) -> None:
    """Toggles things up to the mark and after it, one a second, and undoes what came after."""
    held: dict[str, set[str]] = {field: set(first) for _, _, field in UNDOABLE}
    acts: list[Act] = []

    def play(steps: list[tuple[int, str]], second: int) -> None:
        for place, subject in steps:
            added, removed, field = UNDOABLE[place]
            kind = removed if subject in held[field] else added
            held[field] ^= {subject}
            acts.append(act(kind, second, subject))
            second += 1

    play(earlier, 80)
    then = {field: tuple(sorted(values)) for field, values in held.items()}
    play(later, 101)
    state, now_draft = "open", draft
    for turn in range(closings):
        acts.append(act("reopened" if turn % 2 else "closed", 130 + turn))
        state = "open" if turn % 2 else "closed"
    for turn in range(drafts):
        acts.append(act("readied" if now_draft else "drafted", 140 + turn))
        now_draft = not now_draft
    now = pull(state=state, draft=now_draft, **{field: tuple(sorted(values)) for field, values in held.items()})
    found = rewound(report(now, acts=tuple(acts)), since=MARK)
    assert {"labels": found.labels, "assignees": found.assignees, "reviewers": found.reviewers} == then
    assert (found.state, found.draft, found.whole) == ("open", draft, False)


def test_rewinding_knows_the_former_base() -> None:
    acts = (act("retargeted", 110, "dev"), act("retargeted", 120, "stable"))
    assert rewound(report(pull(base="main"), acts=acts), since=MARK).base == "dev"


@pytest.mark.parametrize("second", range(98, 104))
def test_what_is_said_is_news_once(second: int) -> None:
    """A note of any second around the mark is new on the look that first shows it after the mark, and never again."""
    first = glimpse_of(item(), since=MARK)
    one = note("n", second)
    assert is_new(one, first) == (second > 100)
    for known in (snapshot_of(report(item(), one), first), snapshot_of(report(item(), one))):
        assert not is_new(one, known)
        assert is_new(note("n", second, "edited"), known) == (at(second) >= known.heard)


def test_names_come_in_the_order_of_their_weight() -> None:
    assert in_order(frozenset({"updated", "commented", "closed"})) == ("closed", "commented", "updated")
    assert in_order(frozenset(EVENT_NAMES)) == EVENT_NAMES


def test_content_changes_with_what_is_news_and_with_nothing_else() -> None:
    plain = pull(labels=("b", "a"))
    for change in (
        {"title": "x"},
        {"body": "x"},
        {"labels": ("x",)},
        {"comments": 9},
        {"head": "x"},
        {"edited_at": at(1)},
    ):
        assert content_of(replace(plain, **change)) != content_of(plain)
    for same in ({"labels": ("a", "b")}, {"repo": "acme/New"}, {"url": "x"}, {"association": "NONE"}):
        assert content_of(replace(plain, **same)) == content_of(plain)
    assert content_of(plain, [note("a", 1)]) != content_of(plain)
    assert content_of(run(attempt=2)) != content_of(run())


# ------------------------------------------------------------------------------------------------------------ vouching


@pytest.mark.parametrize("kind", ["assigned", "labeled", "review_requested"])
def test_who_takes_an_item_up_vouches_for_it(kind: ActKind) -> None:
    assert vouchers_of(report(item(), acts=(act(kind, 60, "x"),))) == ("may",)


@pytest.mark.parametrize("kind", ["unlabeled", "unassigned", "closed", "reopened", "renamed", "milestoned"])
def test_other_acts_vouch_for_nothing(kind: ActKind) -> None:
    assert vouchers_of(report(item(), acts=(act(kind, 60, "x"),))) == ()


def test_the_author_does_not_vouch_for_himself() -> None:
    assert vouchers_of(report(item(), acts=(act("labeled", 60, "x", actor="Mallory"),))) == ()


def test_nobody_knows_whose_a_lost_account_was() -> None:
    assert vouchers_of(report(item(), acts=(act("labeled", 60, "x", actor="ghost"),))) == ()


def test_a_code_owner_is_asked_by_whoever_pushes() -> None:
    asked = act("review_requested", 60, "ann", actor="stranger")
    assert vouchers_of(report(item(code_owners=("ann",)), acts=(asked,))) == ()
    assert vouchers_of(report(item(reviewers=("ann",)), acts=(asked,))) == ("stranger",)


def test_each_voucher_once_and_bots_among_them() -> None:
    acts = (act("labeled", 60, "a"), act("assigned", 61, "b", actor="ci[bot]", bot=True), act("labeled", 62, "c"))
    assert vouchers_of(report(item(), acts=acts)) == ("may", "ci[bot]")


@pytest.mark.parametrize(("edited", "vouches"), [(59, True), (60, False), (61, False)])
def test_an_edit_in_the_second_of_the_vouching_or_later_undoes_it(edited: int, vouches: bool) -> None:
    vouching = act("assigned", 60, "ann")
    body = report(item(edited_at=at(edited)), acts=(vouching,))
    title = report(item(), acts=(act("renamed", edited, "old", actor="mallory"), vouching))
    assert bool(vouchers_of(body)) == bool(vouchers_of(title)) == vouches


def test_who_vouches_again_after_an_edit_counts_again() -> None:
    acts = (act("assigned", 60, "ann"), act("labeled", 80, "ok", actor="alice"))
    assert vouchers_of(report(item(edited_at=at(70)), acts=acts)) == ("alice",)

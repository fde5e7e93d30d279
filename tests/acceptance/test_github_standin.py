"""What the stand-in knows and does, asked by the real `gh`: as GitHub's published schema and documents have it."""

from __future__ import annotations

import functools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema, execute, parse

from relayfleet.demo.github.fields import RESOLVERS, Context
from relayfleet.demo.github.graphql import Asked, Endpoint, Refused
from relayfleet.demo.github.limits import Limits
from relayfleet.demo.github.payload import play
from relayfleet.demo.github.server import read_schema
from relayfleet.demo.github.state import State
from tests.conftest import TOOLS
from tests.standins.github import ENTERPRISE_TOKEN, TOKEN, GitHubStandin, github_standin, official_schema

pytestmark = pytest.mark.needs("gh", "github-schema")
REPO = "acme/WMS"
OLD = 1_700_000_000.0
GHE = "ghe.acme.org"

ACTOR = "{ __typename login }"
WRITTEN = f"id url body createdAt updatedAt lastEditedAt author {ACTOR} authorAssociation"
REVIEWER = "requestedReviewer { ... on User { login } ... on Bot { login } ... on Team { slug } }"
DONE = f"id createdAt actor {ACTOR}"
BOTH = f"""
    __typename ... on LabeledEvent {{ {DONE} label {{ name }} }} ... on UnlabeledEvent {{ {DONE} label {{ name }} }}
    ... on AssignedEvent {{ {DONE} assignee {{ ... on User {{ login }} ... on Bot {{ login }} }} }}
    ... on UnassignedEvent {{ {DONE} assignee {{ ... on User {{ login }} ... on Bot {{ login }} }} }}
    ... on ClosedEvent {{ {DONE} stateReason }} ... on ReopenedEvent {{ {DONE} }}
    ... on RenamedTitleEvent {{ {DONE} previousTitle currentTitle }}"""
ITEM = f"""
    id number title url body createdAt updatedAt lastEditedAt author {ACTOR} authorAssociation
    repository {{ nameWithOwner isPrivate }}
    labels(first: 100) {{ nodes {{ name }} }} assignees(first: 20) {{ nodes {{ login }} }}
    comments(first: 50, orderBy: {{field: UPDATED_AT, direction: DESC}}) {{
        totalCount nodes {{ {WRITTEN} }} pageInfo {{ hasNextPage endCursor }} }}"""
DETAILS = f"""
    fragment issue on Issue {{ {ITEM} issueState: state stateReason
        issueActs: timelineItems(last: 50) {{ nodes {{
            {BOTH} ... on TransferredEvent {{ {DONE} fromRepository {{ nameWithOwner }} }} }} }} }}
    fragment pull on PullRequest {{ {ITEM} pullState: state
        isDraft baseRefName headRefName headRefOid isCrossRepository merged mergedAt
        reviewRequests(first: 50) {{ nodes {{ {REVIEWER} }} }}
        reviews(last: 20) {{ nodes {{ {WRITTEN} state submittedAt
            comments(first: 20) {{ nodes {{ {WRITTEN} path line }} }} }} pageInfo {{ hasPreviousPage startCursor }} }}
        commits(last: 1) {{ nodes {{ commit {{ oid message messageHeadline statusCheckRollup {{ state
            contexts(first: 50) {{ totalCount nodes {{ __typename
                ... on CheckRun {{ name status conclusion startedAt completedAt detailsUrl
                    checkSuite {{ workflowRun {{ workflow {{ name }} }} }} }}
                ... on StatusContext {{ context state createdAt targetUrl }} }}
            pageInfo {{ hasNextPage }} }} }} }} }} }}
        pullActs: timelineItems(last: 50) {{ nodes {{ {BOTH}
            ... on MergedEvent {{ {DONE} }} ... on ReadyForReviewEvent {{ {DONE} }}
            ... on ConvertToDraftEvent {{ {DONE} }}
            ... on ReviewRequestedEvent {{ {DONE} {REVIEWER} }} ... on ReviewRequestRemovedEvent {{ {DONE} {REVIEWER} }}
            ... on HeadRefForcePushedEvent {{ {DONE} beforeCommit {{ oid }} afterCommit {{ oid }} }}
            ... on BaseRefChangedEvent {{ {DONE} previousRefName currentRefName }} }} }} }}"""
BY_NUMBER = (
    "query($owner: String!, $name: String!, $number: Int!) { repository(owner: $owner, name: $name) {"
    f" issueOrPullRequest(number: $number) {{ __typename ...issue ...pull }} }} }} {DETAILS}"
)
BY_IDS = f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ __typename ...issue ...pull }} }} {DETAILS}"
PROBED = (
    "(first: 2, orderBy: {field: UPDATED_AT, direction: DESC}%s)"
    " { totalCount nodes { id updatedAt number } pageInfo { hasNextPage endCursor } }"
)


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as running:
        yield running


def gh(github: GitHubStandin, *args: str, sent: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    host = () if github.state.host == "github.com" else ("--hostname", github.state.host)
    argv = ["gh", "api", *host, *args]
    return subprocess.run(argv, input=sent, env={**github.env, **env}, capture_output=True, text=True, timeout=20)


def ask(github: GitHubStandin, query: str, **variables: Any) -> dict[str, Any]:
    """The body of the answer."""
    done = gh(github, "graphql", "--input", "-", sent=json.dumps({"query": query, "variables": variables}))
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def shown(github: GitHubStandin, number: int, repo: str = REPO) -> dict[str, Any]:
    owner, _, name = repo.partition("/")
    item: dict[str, Any] = ask(github, BY_NUMBER, owner=owner, name=name, number=number)["data"]["repository"][
        "issueOrPullRequest"
    ]
    return item


def acts(item: dict[str, Any]) -> list[tuple[str, str]]:
    """What was done, by whom; without what is said, and the commits."""
    nodes = item["issueActs" if "issueActs" in item else "pullActs"]["nodes"]
    return [(one["__typename"], one["actor"]["login"]) for one in nodes if "actor" in one]


def test_a_pull_request_with_all_that_is_said_and_done(github: GitHubStandin) -> None:
    opened = github.put(
        REPO, "pulls", title="Pump", body="It hums.", author="bob", association="MEMBER", labels=["bug"], at=OLD
    )
    comment = github.comment(REPO, 1, "Loud.", author="eve", at=OLD + 1)
    review = github.review(
        REPO, 1, author="ann", state="CHANGES_REQUESTED", body="No.", comments=[("a.py", 7, "Why?")], at=OLD + 2
    )
    github.associate(REPO, "ann", "COLLABORATOR")
    github.request_review(REPO, 1, "acme/core", "carl", "lint[bot]", actor="ann", at=OLD + 3)
    github.check(REPO, 1, "build", conclusion="FAILURE", at=OLD + 4)
    github.check(REPO, 1, "scan", status="IN_PROGRESS", workflow="", at=OLD + 5)
    github.status(REPO, 1, "ci/old", state="PENDING", url="https://ci.example/1", at=OLD + 6)
    item = shown(github, 1)
    url = f"https://github.com/{REPO}/pull/1"
    said = {"createdAt": "2023-11-14T22:13:22Z", "updatedAt": "2023-11-14T22:13:22Z", "lastEditedAt": None}
    ann = {"author": {"__typename": "User", "login": "ann"}, "authorAssociation": "COLLABORATOR"}
    assert item["comments"] == {
        "totalCount": 1,
        "nodes": [
            {
                "id": comment.node_id,
                "url": f"{url}#issuecomment-{comment.id}",
                "body": "Loud.",
                "createdAt": "2023-11-14T22:13:21Z",
                "updatedAt": "2023-11-14T22:13:21Z",
                "lastEditedAt": None,
                "author": {"__typename": "User", "login": "eve"},
                "authorAssociation": "NONE",
            }
        ],
        "pageInfo": {"hasNextPage": False, "endCursor": item["comments"]["pageInfo"]["endCursor"]},
    }
    [inline] = review.comments
    assert item["reviews"]["nodes"] == [
        {
            "id": review.node_id,
            "url": f"{url}#pullrequestreview-{review.id}",
            "body": "No.",
            "state": "CHANGES_REQUESTED",
            "submittedAt": said["createdAt"],
            **said,
            **ann,
            "comments": {
                "nodes": [
                    {
                        "id": inline.node_id,
                        "url": f"{url}#discussion_r{inline.id}",
                        "body": "Why?",
                        "path": "a.py",
                        "line": 7,
                        **said,
                        **ann,
                    }
                ]
            },
        }
    ]
    assert [one["requestedReviewer"] for one in item["reviewRequests"]["nodes"]] == [
        {"slug": "core"},
        {"login": "carl"},
        {"login": "lint"},
    ]
    commit = item["commits"]["nodes"][0]["commit"]
    assert (commit["oid"], commit["messageHeadline"]) == (opened.head, "Pump")
    assert (item["headRefOid"], item["pullState"], item["authorAssociation"]) == (opened.head, "OPEN", "MEMBER")
    rollup = commit["statusCheckRollup"]
    assert (rollup["state"], rollup["contexts"]["totalCount"]) == ("FAILURE", 3)
    build, scan, old = rollup["contexts"]["nodes"]
    assert (build["name"], build["status"], build["conclusion"]) == ("build", "COMPLETED", "FAILURE")
    assert build["checkSuite"]["workflowRun"]["workflow"]["name"] == "CI"
    assert (scan["status"], scan["conclusion"], scan["completedAt"]) == ("IN_PROGRESS", None, None)
    assert scan["checkSuite"]["workflowRun"] is None
    assert old == {
        "__typename": "StatusContext",
        "context": "ci/old",
        "state": "PENDING",
        "createdAt": "2023-11-14T22:13:26Z",
        "targetUrl": "https://ci.example/1",
    }
    assert acts(item) == [("LabeledEvent", "bob"), *[("ReviewRequestedEvent", "ann")] * 3]
    assert item["updatedAt"] == "2023-11-14T22:13:23Z", "checks do not move it"


def test_who_did_what_stands_in_the_timeline(github: GitHubStandin) -> None:
    github.put(REPO, "issues", author="bob", labels=["new"], assignees=["bob"], at=OLD)
    github.label(REPO, 1, "bug", actor="ann")
    github.unlabel(REPO, 1, "new", actor="ann")
    github.assign(REPO, 1, "relaybot", actor="ann")
    github.unassign(REPO, 1, "bob")
    github.rename_title(REPO, 1, "Pump", actor="bob")
    github.close(REPO, 1, reason="NOT_PLANNED", actor="dependabot[bot]")
    closed = shown(github, 1)
    assert (closed["issueState"], closed["stateReason"]) == ("CLOSED", "NOT_PLANNED")
    github.reopen(REPO, 1, actor="bob")
    item = shown(github, 1)
    assert (item["issueState"], item["stateReason"]) == ("OPEN", "REOPENED")
    assert acts(item) == [
        ("LabeledEvent", "bob"),
        ("AssignedEvent", "bob"),
        ("LabeledEvent", "ann"),
        ("UnlabeledEvent", "ann"),
        ("AssignedEvent", "ann"),
        ("UnassignedEvent", "acme"),
        ("RenamedTitleEvent", "bob"),
        ("ClosedEvent", "dependabot"),
        ("ReopenedEvent", "bob"),
    ]
    renamed = item["issueActs"]["nodes"][6]
    assert (renamed["previousTitle"], renamed["currentTitle"]) == ("issues 1", "Pump")
    assert item["issueActs"]["nodes"][7]["stateReason"] == "NOT_PLANNED"


def test_a_pull_request_is_pushed_to_drafted_and_merged(github: GitHubStandin) -> None:
    first = github.put(REPO, "pulls", author="bob", draft=True).head
    github.change(REPO, 1, draft=False, actor="bob")
    github.change(REPO, 1, draft=True, base="next", actor="bob")
    github.check(REPO, 1, "build")
    second = github.push(REPO, 1, message="Quieter\n\nMuch.").oid
    pushed = shown(github, 1)
    head = pushed["commits"]["nodes"][0]["commit"]
    assert (head["oid"], head["messageHeadline"], head["statusCheckRollup"]) == (second, "Quieter", None)
    third = github.push(REPO, 1, forced=True).oid
    github.merge(REPO, 1, actor="ann")
    item = shown(github, 1)
    assert (item["pullState"], item["merged"], item["headRefOid"]) == ("MERGED", True, third)
    assert item["mergedAt"] and item["baseRefName"] == "next"
    assert acts(item) == [
        ("ReadyForReviewEvent", "bob"),
        ("BaseRefChangedEvent", "bob"),
        ("ConvertToDraftEvent", "bob"),
        ("HeadRefForcePushedEvent", "bob"),
        ("MergedEvent", "ann"),
        ("ClosedEvent", "ann"),
    ]
    forced = next(one for one in item["pullActs"]["nodes"] if one["__typename"] == "HeadRefForcePushedEvent")
    assert (forced["beforeCommit"]["oid"], forced["afterCommit"]["oid"]) == (second, third)
    assert first not in (second, third)


def test_a_timeline_is_cut_by_time_and_type(github: GitHubStandin) -> None:
    github.put(REPO, "issues", author="bob", at=OLD)
    for index in range(5):
        github.label(REPO, 1, f"label {index}", at=OLD + index)
        github.comment(REPO, 1, "and", author="bob", at=OLD + index)
    query = """query($since: DateTime) { repository(owner: "acme", name: "WMS") { issue(number: 1) {
        timelineItems(last: 2, since: $since, itemTypes: [LABELED_EVENT, RENAMED_TITLE_EVENT]) {
            filteredCount nodes { ... on LabeledEvent { label { name } } } pageInfo { hasPreviousPage } } } } }"""
    found = ask(github, query, since="2023-11-14T22:13:22Z")["data"]["repository"]["issue"]["timelineItems"]
    assert [one["label"]["name"] for one in found["nodes"]] == ["label 3", "label 4"]
    assert (found["filteredCount"], found["pageInfo"]["hasPreviousPage"]) == (3, True)


MOVES: dict[str, tuple[Callable[[GitHubStandin], object], bool]] = {
    "comment": (lambda github: github.comment(REPO, 1, "more", author="eve"), True),
    "comment edited": (lambda github: github.edit_comment(REPO, 1, 9001, "other"), True),
    "comment deleted": (lambda github: github.delete_comment(REPO, 1, 9001), True),
    "review": (lambda github: github.review(REPO, 1, author="eve"), True),
    "review edited": (lambda github: github.edit_comment(REPO, 1, 9002, "other"), True),
    "review dismissed": (lambda github: github.dismiss_review(REPO, 1, 9002), True),
    "line commented": (lambda github: github.review_comment(REPO, 1, "hm", author="eve", path="a.py", line=1), True),
    "body": (lambda github: github.edit_body(REPO, 1, "other"), True),
    "title": (lambda github: github.rename_title(REPO, 1, "other"), True),
    "label": (lambda github: github.label(REPO, 1, "bug"), True),
    "assignee": (lambda github: github.assign(REPO, 1, "ann"), True),
    "push": (lambda github: github.push(REPO, 1), True),
    "merge": (lambda github: github.merge(REPO, 1), True),
    "nothing to be seen": (lambda github: github.touch(REPO, 1), True),
    "check": (lambda github: github.check(REPO, 1, "build"), False),
    "status": (lambda github: github.status(REPO, 1, "ci"), False),
    "renamed repository": (lambda github: github.rename(REPO, "acme/Warehouse"), False),
}


@pytest.mark.parametrize("move", MOVES)
def test_what_moves_updated_at(github: GitHubStandin, move: str) -> None:
    github.put(REPO, "pulls", author="bob", at=OLD)
    github.comment(REPO, 1, "first", author="ann", id=9001, at=OLD)
    github.review(REPO, 1, author="ann", body="words", id=9002, at=OLD)
    act, moves = MOVES[move]
    before = github.state.now()
    act(github)
    updated = shown(github, 1)["updatedAt"]
    assert (updated >= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(before))) == moves


def test_edits_say_when(github: GitHubStandin) -> None:
    github.put(REPO, "issues", body="one", author="bob", at=OLD)
    comment = github.comment(REPO, 1, "first", author="ann", at=OLD)
    github.comment(REPO, 1, "second", author="ann", at=OLD + 1)
    github.rename_title(REPO, 1, "Only a title", at=OLD + 2)
    assert shown(github, 1)["lastEditedAt"] is None
    github.edit_body(REPO, 1, "two", at=OLD + 3)
    github.edit_comment(REPO, 1, comment.id, "edited", at=OLD + 4)
    item = shown(github, 1)
    assert (item["body"], item["lastEditedAt"], item["updatedAt"]) == (
        "two",
        "2023-11-14T22:13:23Z",
        "2023-11-14T22:13:24Z",
    )
    edited, second = item["comments"]["nodes"]
    assert (edited["body"], edited["lastEditedAt"], second["body"]) == ("edited", "2023-11-14T22:13:24Z", "second")


def test_bots_and_deleted_accounts(github: GitHubStandin) -> None:
    github.put(REPO, "issues", 1, author="dependabot[bot]", association="CONTRIBUTOR")
    github.put(REPO, "issues", 2, author="")
    github.comment(REPO, 2, "boo", author="")
    github.do(lambda: github.state.viewers.update(ghs_app="relay[bot]"))
    bot, gone = shown(github, 1), shown(github, 2)
    assert (bot["author"], bot["authorAssociation"]) == ({"__typename": "Bot", "login": "dependabot"}, "CONTRIBUTOR")
    assert (gone["author"], gone["comments"]["nodes"][0]["author"]) == (None, None)
    rest = [json.loads(gh(github, f"repos/{REPO}/issues/{number}").stdout)["user"] for number in (1, 2)]
    assert [(user["login"], user["type"]) for user in rest] == [("dependabot[bot]", "Bot"), ("ghost", "User")]
    viewer = json.loads(gh(github, "graphql", "-f", "query={ viewer { login } }", GH_TOKEN="ghs_app").stdout)
    assert viewer["data"]["viewer"]["login"] == "relay[bot]"
    assert gh(github, "user", GH_TOKEN="ghs_app").stderr.strip() == (
        "gh: Resource not accessible by integration (HTTP 403)"
    )


def test_a_probe_of_several_repositories(github: GitHubStandin) -> None:
    for number in range(1, 4):
        github.put(REPO, "issues", number, at=OLD + number)
        github.put("acme/Shop", "pulls", number, at=OLD + number)
    probe = f"nameWithOwner isPrivate issues{PROBED % ''} pullRequests{PROBED % ''}"
    query = "{ " + " ".join(
        f'a{index}: repository(owner: "acme", name: "{name}") {{ {probe} }}'
        for index, name in enumerate(["WMS", "Shop"])
    )
    found = ask(github, query + " rateLimit { cost remaining limit nodeCount resetAt } }")["data"]
    assert found["a0"]["issues"]["totalCount"] == found["a1"]["pullRequests"]["totalCount"] == 3
    assert [one["number"] for one in found["a0"]["issues"]["nodes"]] == [3, 2]
    assert found["a0"]["pullRequests"] == {
        "totalCount": 0,
        "nodes": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }
    limit = found["rateLimit"]
    assert (limit["cost"], limit["limit"], limit["remaining"], limit["nodeCount"]) == (1, 5000, 4999, 8)


def test_a_cursor_is_a_place_and_not_a_count(github: GitHubStandin) -> None:
    for number in range(1, 6):
        github.put(REPO, "issues", number, at=OLD + number)
    probe = PROBED % ", after: $after"
    query = f'query($after: String) {{ repository(owner: "acme", name: "WMS") {{ issues{probe} }} }}'
    first = ask(github, query)["data"]["repository"]["issues"]
    github.put(REPO, "issues", 1, at=OLD + 100)
    second = ask(github, query, after=first["pageInfo"]["endCursor"])["data"]["repository"]["issues"]
    assert [one["number"] for page in (first, second) for one in page["nodes"]] == [5, 4, 3, 2]
    assert not second["pageInfo"]["hasNextPage"]
    refused = ask(github, query, after="nonsense")
    assert refused["errors"][0]["type"] == "INVALID_CURSOR_ARGUMENTS"


def test_reviews_are_paged_backwards(github: GitHubStandin) -> None:
    github.put(REPO, "pulls")
    for number in range(5):
        github.review(REPO, 1, author="ann", body=str(number))
    query = """query($before: String) { repository(owner: "acme", name: "WMS") { pullRequest(number: 1) {
        reviews(last: 2, before: $before) { nodes { body } pageInfo { hasPreviousPage startCursor } } } } }"""
    bodies, before, more = [], None, True
    while more:
        found = ask(github, query, before=before)["data"]["repository"]["pullRequest"]["reviews"]
        bodies.append([one["body"] for one in found["nodes"]])
        before, more = found["pageInfo"]["startCursor"], found["pageInfo"]["hasPreviousPage"]
    assert bodies == [["3", "4"], ["1", "2"], ["0"]]


def test_a_deleted_item_and_a_deleted_comment(github: GitHubStandin) -> None:
    kept, gone = github.put(REPO, "issues", 1), github.put(REPO, "issues", 2)
    comment = github.comment(REPO, 1, "oops", author="eve")
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    ids = [kept.node_id, gone.node_id, comment.node_id]
    assert [one["id"] for one in ask(github, query, ids=ids)["data"]["nodes"]] == ids
    github.remove(REPO, "issues", 2)
    github.delete_comment(REPO, 1, comment.id, actor="ann")
    body = ask(github, query, ids=ids)
    assert body["data"]["nodes"] == [{"id": kept.node_id}, None, None]
    assert [(one["type"], one["path"]) for one in body["errors"]] == [
        ("NOT_FOUND", ["nodes", 1]),
        ("NOT_FOUND", ["nodes", 2]),
    ]
    assert body["errors"][0]["message"] == f"Could not resolve to a node with the global id of '{gone.node_id}'"
    item = shown(github, 1)
    assert (item["comments"]["totalCount"], item["issueActs"]["nodes"]) == (0, [{"__typename": "CommentDeletedEvent"}])
    assert gh(github, f"repos/{REPO}/issues/2").stderr.strip() == "gh: This issue was deleted (HTTP 410)"


def test_a_review_goes_with_its_only_comment(github: GitHubStandin) -> None:
    github.put(REPO, "pulls", 1)
    alone = github.review_comment(REPO, 1, "hm", author="eve", path="a.py", line=3)
    kept = github.review(REPO, 1, author="ann", body="words", comments=[("a.py", 4, "so")])
    [review, _] = shown(github, 1)["reviews"]["nodes"]
    for comment in (alone, kept.comments[0]):
        github.delete_comment(REPO, 1, comment.id)
    [left] = shown(github, 1)["reviews"]["nodes"]
    assert (left["id"], left["comments"]["nodes"]) == (kept.node_id, [])
    body = ask(github, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[review["id"], alone.node_id])
    assert [one["type"] for one in body["errors"]] == ["NOT_FOUND", "NOT_FOUND"]


def test_a_renamed_repository_is_found_until_its_name_is_taken(github: GitHubStandin) -> None:
    first = github.put(REPO, "issues").repository.id
    github.rename(REPO, "acme/Two")
    github.rename("acme/Two", "acme/Three")
    query = '{ repository(owner: "acme", name: "WMS") { nameWithOwner databaseId } }'
    assert ask(github, query)["data"]["repository"] == {"nameWithOwner": "acme/Three", "databaseId": first}
    assert json.loads(gh(github, f"repos/{REPO}").stdout)["full_name"] == "acme/Three"
    second = github.do(lambda: github.state.add_repository(REPO)).id
    assert ask(github, query)["data"]["repository"] == {"nameWithOwner": REPO, "databaseId": second}
    github.rename("acme/Three", "acme/Two")
    assert ask(github, query.replace("WMS", "Three"))["data"]["repository"]["nameWithOwner"] == "acme/Two"


def test_a_transferred_issue(github: GitHubStandin) -> None:
    github.put("acme/Shop", "issues", 7)
    issue = github.put(REPO, "issues", 1, title="Pump", milestone="v1", labels=["bug"], author="bob")
    comment = github.comment(REPO, 1, "here", author="eve")
    github.transfer(REPO, 1, "acme/Shop", actor="ann")
    [item] = ask(github, BY_IDS, ids=[issue.node_id])["data"]["nodes"]
    assert (item["number"], item["repository"]["nameWithOwner"]) == (8, "acme/Shop")
    assert item["url"] == "https://github.com/acme/Shop/issues/8"
    assert (item["labels"]["nodes"], item["comments"]["nodes"][0]["body"]) == ([{"name": "bug"}], "here")
    assert item["issueActs"]["nodes"][-1]["fromRepository"] == {"nameWithOwner": REPO}
    there = json.loads(gh(github, f"repos/{REPO}/issues/1").stdout)
    assert (there["number"], there["milestone"]) == (8, None)
    query = '{ repository(owner: "acme", name: "WMS") { issues(first: 9) { totalCount } issue(number: 1) { id } } }'
    body = ask(github, query)
    assert body["data"]["repository"] == {"issues": {"totalCount": 0}, "issue": None}
    assert body["errors"][0]["message"] == "Could not resolve to an Issue with the number of 1."

    again = github.transfer("acme/Shop", 8, REPO, keeps_id=False)
    assert again.number == 2, "a number is given once"
    assert not {again.node_id, again.comments[0].node_id} & {item["id"], comment.node_id}
    assert ask(github, BY_IDS, ids=[item["id"]])["errors"][0]["type"] == "NOT_FOUND"


def test_every_host_has_a_state_and_every_token_an_allowance(github: GitHubStandin) -> None:
    ghe = github.on(GHE)
    github.put(REPO, "issues", title="ours")
    for number in range(3):
        ghe.put(REPO, "issues", title=f"theirs {number}")
        ghe.put(REPO, "runs", 70 + number)
    titles = '{ repository(owner: "acme", name: "WMS") { issues(first: 1) { nodes { title url } } } }'
    found = [ask(one, titles)["data"]["repository"]["issues"]["nodes"][0] for one in (ghe, github)]
    assert found == [
        {"title": "theirs 0", "url": f"https://{GHE}/acme/WMS/issues/1"},
        {"title": "ours", "url": "https://github.com/acme/WMS/issues/1"},
    ]
    paged = gh(ghe, "-i", f"repos/{REPO}/actions/runs?per_page=2")
    assert f'<https://{GHE}/api/v3/repos/{REPO}/actions/runs?per_page=2&page=2>; rel="next"' in paged.stdout
    assert len(json.loads(gh(ghe, "--paginate", f"repos/{REPO}/issues?per_page=2").stdout.replace("][", ","))) == 3
    ghe.rename(REPO, "acme/Old")
    assert json.loads(gh(ghe, f"repos/{REPO}").stdout)["full_name"] == "acme/Old"
    used = [(one.limits().used["graphql"], one.limits().used["core"]) for one in (github, ghe)]
    assert used == [(1, 0), (1, 5)]
    github.do(lambda: github.standin.limits("gho_other").used.update({"graphql": 5000}))
    refused = gh(github, "graphql", "-f", f"query={titles}", GH_TOKEN="gho_other")
    assert (refused.returncode, refused.stderr.strip()) == (1, "gh: API rate limit exceeded for user ID 42.")
    assert {one["token"] for one in github.requests()} == {TOKEN, "gho_other"}
    assert {one["token"] for one in ghe.requests()} == {ENTERPRISE_TOKEN}
    assert "no such host" in gh(github, "--hostname", "ghe.none.org", "user", GH_ENTERPRISE_TOKEN="x").stdout


def test_a_spent_allowance_comes_back(github: GitHubStandin) -> None:
    limits = github.limits()
    github.do(lambda: limits.used.update({"graphql": 5000}))
    assert "rate limit exceeded" in ask(github, "{ viewer { login } }")["errors"][0]["message"]
    github.do(lambda: setattr(github.state, "clock_skew", 3601.0))
    assert ask(github, "{ viewer { login } rateLimit { remaining } }")["data"]["rateLimit"]["remaining"] == 4999
    resources = json.loads(gh(github, "rate_limit").stdout)["resources"]
    assert (resources["graphql"]["used"], resources["core"]["used"]) == (1, 0)


def test_changes_can_be_sent(github: GitHubStandin) -> None:
    ghe = github.on(GHE)

    def control(verb: str, **sent: Any) -> Any:
        return json.loads(gh(github, "--input", "-", f"_control/{verb}", sent=json.dumps({"host": GHE, **sent})).stdout)

    control("repository", repo=REPO, private=True, associations={"Ann": "MEMBER"})
    opened = control("put", repo=REPO, kind="pulls", author="bob", title="Pump")
    made = control("comment", repo=REPO, args=[1, "Loud."], author="ann")
    control("check", repo=REPO, args=[1, "build"], conclusion="FAILURE")
    control("fault", kind="500", match="none")
    [item] = ask(ghe, BY_IDS, ids=[opened["node_id"]])["data"]["nodes"]
    [comment] = item["comments"]["nodes"]
    assert (comment["id"], comment["authorAssociation"]) == (made["node_id"], "MEMBER")
    assert item["commits"]["nodes"][0]["commit"]["statusCheckRollup"]["state"] == "FAILURE"
    assert item["repository"]["isPrivate"]
    assert "error" in control("explode")


VIEWER = "{ viewer { login } }"


def test_a_fault_strikes_the_nth_request_of_a_token(github: GitHubStandin) -> None:
    github.fault("500", match="viewer", after=1, times=1, token=TOKEN)
    assert [gh(github, "graphql", "-f", f"query={VIEWER}", GH_TOKEN="gho_other").returncode for _ in range(2)] == [0, 0]
    assert [gh(github, "graphql", "-f", f"query={VIEWER}").returncode for _ in range(3)] == [0, 1, 0]
    assert [one.get("fault") for one in github.requests()] == [None, None, None, "500", None]


def test_a_part_of_an_answer_fails(github: GitHubStandin) -> None:
    issues = [github.put(REPO, "issues") for _ in range(2)]
    github.put("acme/Shop", "issues")
    github.fault("partial", of=REPO, error_type="FORBIDDEN", message="Resource not accessible by integration")
    github.fault("partial", of=issues[1].node_id, also=True)
    query = """query($ids: [ID!]!) { a0: repository(owner: "acme", name: "wms") { id }
        a1: repository(owner: "acme", name: "Shop") { name } nodes(ids: $ids) { id } }"""
    body = ask(github, query, ids=[one.node_id for one in issues])
    assert body["data"] == {"a0": None, "a1": {"name": "Shop"}, "nodes": [{"id": issues[0].node_id}, None]}
    assert [(one.get("type"), one["path"]) for one in body["errors"]] == [
        ("FORBIDDEN", ["a0"]),
        (None, ["nodes", 1]),
    ]


def test_a_query_can_be_too_large_for_the_server(github: GitHubStandin) -> None:
    github.do(lambda: github.state.seed(8, issues=1, pulls=0, runs=0))
    github.fault("504", nodes_over=40)

    def probe(count: int) -> int:
        aliases = " ".join(
            f'a{index}: repository(owner: "acme", name: "repo{index}") {{ issues(first: 10) {{ nodes {{ id }} }} }}'
            for index in range(count)
        )
        return gh(github, "graphql", "-f", f"query={{ {aliases} }}").returncode

    assert [probe(count) for count in (8, 4)] == [1, 0]
    assert github.limits().used["graphql"] == 2, "a query that takes too long is paid for, too"
    github.fault("502html", points_over=1)
    labels = "issues(first: 100) { nodes { labels(first: 1) { nodes { id } } } }"
    once, twice = (f'repository(owner: "acme", name: "repo0") {{ {labels} {more} }}' for more in ("", f"b: {labels}"))
    assert [gh(github, "graphql", "-f", f"query={{ {one} }}").returncode for one in (once, twice)] == [0, 1]


def test_a_slow_request_is_answered(github: GitHubStandin) -> None:
    github.fault("slow", retry_after=0.2, times=1)
    assert ask(github, VIEWER)["data"]["viewer"]["login"] == "relaybot"
    assert [one["fault"] for one in github.requests()] == ["slow"]


def test_githubs_limit_of_nodes(github: GitHubStandin) -> None:
    query = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on PullRequest {
        reviews(first: 100) { nodes { comments(first: 100) { nodes { id } } } } } } }"""
    ids = [github.put(REPO, "pulls").node_id for _ in range(50)]
    body = ask(github, query, ids=ids)
    assert body["errors"][0]["type"] == "MAX_NODE_LIMIT_EXCEEDED"
    assert "505,050 possible nodes which exceeds the maximum limit of 500,000" in body["errors"][0]["message"]
    assert "data" in ask(github, query, ids=ids[:49])
    github.do(github.state.log.clear)


def test_the_points_of_githubs_own_example() -> None:
    query = """{ viewer { repositories(first: 100) { nodes { issues(first: 50) { nodes {
        labels(first: 60) { nodes { id name } } } } } } } }"""
    asked = Endpoint(official_schema()).read(query, {})
    assert isinstance(asked, Asked)
    assert (asked.cost.points, asked.cost.nodes) == (51, 100 + 5_000 + 300_000)


SEARCHES = {
    "state:open": [1, 2, 4, 5],
    "is:closed": [3],
    "label:bug": [1],
    "label:bug,wip": [1, 2],
    "-label:bug": [2, 3, 4, 5],
    "author:ann": [2],
    "author:app/lint": [5],
    "assignee:@me": [1],
    "no:assignee": [2, 3, 4, 5],
    "milestone:v1": [3],
    "mentions:@me": [2, 4, 5],
    "commenter:eve": [2],
    "involves:relaybot": [1, 2, 4, 5],
    "review-requested:ann": [4],
    "team-review-requested:acme/core": [5],
    "reviewed-by:eve": [5],
    "draft:true": [4],
    "base:next": [5],
    "is:pr": [4, 5],
    "is:issue is:open": [1, 2],
    "reason:completed": [3],
    '"loud pump"': [1],
    "created:>=2023-11-14T22:13:23Z": [3, 4, 5],
}


def test_search(github: GitHubStandin) -> None:
    github.put(REPO, "issues", 1, title="A loud pump", labels=["Bug"], assignees=["relaybot"], at=OLD + 1)
    github.put(REPO, "issues", 2, author="ann", labels=["wip"], at=OLD + 2)
    github.comment(REPO, 2, "look, @RelayBot: not @relaybot-2", author="eve", at=OLD + 2)
    github.put(REPO, "issues", 3, state="closed", milestone="v1", body="mail@relaybot.org", at=OLD + 3)
    github.put(REPO, "pulls", 4, body="@relaybot", reviewers=["ann"], draft=True, at=OLD + 4)
    github.put(REPO, "pulls", 5, author="lint[bot]", base="next", reviewers=["acme/core"], at=OLD + 5)
    github.review(REPO, 5, author="eve", comments=[("a.py", 1, "@relaybot?")], at=OLD + 5)
    query = """query($q: String!) { search(query: $q, type: ISSUE, first: 50) { issueCount nodes {
        ... on Issue { number } ... on PullRequest { number } } } }"""

    def numbers(text: str) -> list[int]:
        found = ask(github, query, q=f"repo:{REPO} {text} sort:created-asc")["data"]["search"]
        assert found["issueCount"] == len(found["nodes"])
        return [one["number"] for one in found["nodes"]]

    assert {text: numbers(text) for text in SEARCHES} == SEARCHES
    github.do(lambda: setattr(github.state, "search_lag", 3600.0))
    assert numbers("state:open") == []


@functools.cache
def examples() -> list[tuple[str, dict[str, Any]]]:
    known = ("issues", "pull_request", "issue_comment", "pull_request_review", "pull_request_review_comment")
    listed = json.loads((TOOLS / "@octokit/webhooks-examples/api.github.com/index.json").read_bytes())
    found = [(one["name"], example) for one in listed for example in one["examples"]]
    return [(name, example) for name, example in found if name in (*known, "check_run", "status")]


@pytest.mark.needs("webhooks-examples")
def test_every_recorded_payload_is_played_and_asked_back(github: GitHubStandin) -> None:
    github.play(next(example for name, example in examples() if name == "pull_request"))
    untold = []
    for name, example in examples():
        try:
            thing = github.play(example)
        except ValueError:
            untold.append(name)
            continue
        gone = example.get("action") == "deleted" and name == "issues"
        [item] = ask(github, BY_IDS, ids=[thing.node_id])["data"]["nodes"]
        assert (item is None) == gone, (name, example.get("action"))
        if gone:
            continue
        told = example.get("pull_request") or example.get("issue")
        if told is not None:
            assert (item["title"], item["body"]) == (told["title"], told.get("body") or "")
            assert item["url"] == thing.url
        if "comment" in example:
            texts = [*item["comments"]["nodes"]]
            for review in item.get("reviews", {"nodes": []})["nodes"]:
                texts += review["comments"]["nodes"]
            recorded = example["comment"]
            assert (recorded["body"] in [one["body"] for one in texts]) == (example["action"] != "deleted")
        if "review" in example:
            states = [one["state"] for one in item["reviews"]["nodes"]]
            assert states == ["DISMISSED"] if example["action"] == "dismissed" else states
    assert untold == ["check_run", "check_run", "status"], "they name no pull request"


@pytest.mark.needs("webhooks-examples")
@pytest.mark.parametrize(
    ("action", "done"),
    [
        ("labeled", "LabeledEvent"),
        ("unlabeled", "UnlabeledEvent"),
        ("assigned", "AssignedEvent"),
        ("unassigned", "UnassignedEvent"),
        ("closed", "ClosedEvent"),
        ("reopened", "ReopenedEvent"),
        ("milestoned", "MilestonedEvent"),
        ("demilestoned", "DemilestonedEvent"),
        ("transferred", "TransferredEvent"),
        ("converted_to_draft", "ConvertToDraftEvent"),
        ("ready_for_review", "ReadyForReviewEvent"),
        ("review_requested", "ReviewRequestedEvent"),
        ("review_request_removed", "ReviewRequestRemovedEvent"),
        ("dismissed", "ReviewDismissedEvent"),
    ],
)
def test_a_recorded_action_is_done_by_its_sender(action: str, done: str) -> None:
    told = [example for _, example in examples() if example.get("action") == action]
    assert told
    for example in told:
        thing = play(State(), example)
        assert (thing.timeline[-1].type, thing.timeline[-1].actor) == (done, example["sender"]["login"])


def _shape(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """Where ours has a key or a type that theirs has not; null fits everything."""
    if ours is None or theirs is None:
        return []
    if isinstance(ours, dict) and isinstance(theirs, dict):
        unknown = [f"{at}.{key}" for key in ours if key not in theirs]
        return unknown + [one for key in ours if key in theirs for one in _shape(ours[key], theirs[key], f"{at}.{key}")]
    if isinstance(ours, list) and isinstance(theirs, list):
        return [one for mine in ours for other in theirs[:1] for one in _shape(mine, other, f"{at}[]")]
    return [] if type(ours) is type(theirs) else [f"{at}: {type(ours).__name__}, not {type(theirs).__name__}"]


def _recorded(scenario: str) -> list[dict[str, Any]]:
    path: Path = TOOLS / "@octokit/fixtures/scenarios/api.github.com" / scenario / "normalized-fixture.json"
    found: list[dict[str, Any]] = json.loads(path.read_bytes())
    return [one for one in found if one["method"] == "get" and one["status"] == 200]


@pytest.mark.needs("octokit-fixtures")
@pytest.mark.parametrize(
    ("scenario", "path"),
    [
        ("paginate-issues", f"repos/{REPO}/issues?per_page=3"),
        ("search-issues", "search/issues?q=pump"),
        ("rename-repository", f"repos/{REPO}"),
    ],
)
def test_rest_has_the_shapes_that_were_recorded(github: GitHubStandin, scenario: str, path: str) -> None:
    github.put(REPO, "issues", title="pump", labels=["bug"], assignees=["ann"], milestone="v1")
    ours = json.loads(gh(github, path).stdout)
    assert _shape(ours, _recorded(scenario)[0]["response"]) == []


@pytest.mark.needs("webhooks-examples")
def test_rest_shows_items_as_the_payloads_do(github: GitHubStandin) -> None:
    for name, key in (("issues", "issue"), ("pull_request", "pull_request")):
        told = next(one for kind, one in examples() if kind == name and one["action"] == "opened")
        thing = github.play(told)
        path = f"repos/{thing.repository.full}/{'pulls' if key == 'pull_request' else 'issues'}/{thing.number}"
        ours = json.loads(gh(github, path).stdout)
        theirs = told[key]
        assert _shape({name: value for name, value in ours.items() if name != "state_reason"}, theirs) == []
        for field in ("number", "title", "body", "state", "author_association"):
            assert ours[field] == theirs[field]


EQUAL: dict[str, tuple[str, dict[str, Any]]] = {
    "details": (BY_IDS, {"ids": ["PR_1005", "I_1004", "I_none"]}),
    "a missing repository": ('{ a: repository(owner: "x", name: "y") { id } viewer { login } }', {}),
    "a value outside the schema": (
        '{ repository(owner: "acme", name: "WMS") { issues(first: 5) { nodes { authorAssociation } } } }',
        {},
    ),
    "no page size": (
        '{ repository(owner: "acme", name: "WMS") { issues { totalCount } pullRequests { nodes { id } } } }',
        {},
    ),
    "a variable that does not fit": ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": None}),
    "directives": (
        "query($no: Boolean!) { viewer { login @skip(if: $no) id @include(if: $no) ... @skip(if: $no) { url } } }",
        {"no": True},
    ),
    "fragments that overlap": (
        """{ repository(owner: "acme", name: "WMS") { pullRequests(first: 1) { ...a ...b } } }
        fragment a on PullRequestConnection { nodes { author { login } } }
        fragment b on PullRequestConnection { nodes { author { ... on User { id } ... on Actor { url } } number } }""",
        {},
    ),
}


@pytest.mark.parametrize("case", EQUAL)
def test_a_query_is_run_as_graphql_core_runs_it(case: str) -> None:
    state = State()
    state.put(REPO, "issues", author="eve", association="BROKEN", labels=["bug"])
    state.put(REPO, "pulls", author="lint[bot]", reviewers=["acme/core", "ann"])
    state.comment(REPO, 2, "hm", author="ann")
    state.review(REPO, 2, author="ann", comments=[("a.py", 1, "hm")])
    state.check(REPO, 2, "build")
    text, variables = EQUAL[case]
    schema, endpoint = official_schema(), Endpoint(official_schema())
    asked = endpoint.read(text, variables)
    assert isinstance(asked, Asked)
    context = Context(state, "relaybot", Limits(state.now), asked.cost)
    ours = endpoint.answer(asked, context)

    def resolve(source: Any, info: Any, **arguments: Any) -> Any:
        return RESOLVERS.fields[info.parent_type.name][info.field_name](source, arguments, context)

    theirs: Any = execute(
        schema,
        parse(text),
        context,
        variable_values=variables,
        field_resolver=resolve,
        type_resolver=lambda value, info, kind: RESOLVERS.type_of(value),
    )
    assert ours["data"] == theirs.data
    errors = [(one.message, one.path, one.locations) for one in theirs.errors or ()]
    assert [(one["message"], one.get("path"), len(one["locations"])) for one in ours.get("errors", ())] == [
        (message, path, len(locations or ())) for message, path, locations in errors
    ]


@pytest.mark.parametrize("schema", [read_schema, official_schema], ids=["the part", "the whole"])
def test_the_schema_that_ships_is_enough_for_the_same_questions(schema: Callable[[], GraphQLSchema]) -> None:
    for text in (BY_IDS, BY_NUMBER):
        read = Endpoint(schema()).read(text, {"ids": []})
        assert not isinstance(read, Refused), read

"""Texts and pages that GitHub recorded, all the way from its answer to what a session is given."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import re
import shutil
import socketserver
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.model.filter import parse_filter
from relayfleet.model.gate import Recipient
from relayfleet.model.item import GITHUB
from relayfleet.model.route import Gate, Match, Route
from relayfleet.model.snapshot import glimpse_of
from relayfleet.model.turn import Part, frame, ids_in_frames, render
from relayfleet.model.watch import Progress, Watch, feed_of
from relayfleet.ports.source import Failure, Sight
from relayfleet.router.detect import View, detect
from relayfleet.router.entry import entry_of
from relayfleet.router.poll import Poller
from relayfleet.sources.github.answer import Answer
from relayfleet.sources.github.call import Caller
from relayfleet.sources.github.decode import decode_report
from relayfleet.sources.github.gh import GhProgram
from relayfleet.sources.github.source import GitHubSource
from relayfleet.store.router_db.cursor import SqliteCursor
from relayfleet.testing import MemoryAuthorship, MemoryLog
from tests.conftest import TOOLS
from tests.standins.github import TOKEN, GitHubStandin, github_standin

PLACES = ("api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35")
ITEMS = frozenset(
    {
        "issues", "pull_request", "issue_comment", "pull_request_review", "pull_request_review_comment", "check_run",
        "status", "workflow_run",
    }
)  # fmt: skip
TEXTS = frozenset(
    {
        "title", "body", "name", "ref", "message", "description", "display_title", "context", "summary", "text", "from",
        "path", "head_branch", "login", "note", "content", "short_description", "conclusion",
    }
)  # fmt: skip
BEFORE, NOW = "2012-01-01T00:00:00Z", "2030-01-01T00:00:00Z"
# Far more than any recorded text has.
LIMIT = 10_000_000
# Invisible, and put where a text could do something; and what is no text at all.
NEUTRAL = "\u2060"
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@functools.cache
def examples(place: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and payload."""
    listed = json.loads((TOOLS / "@octokit/webhooks-examples" / place / "index.json").read_bytes())
    return [(one["name"], example) for one in listed for example in one["examples"]]


def texts_of(value: Any, key: str = "") -> Iterator[str]:
    """Every text that a payload holds, wherever it stands."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from texts_of(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner, key)
    elif isinstance(value, str) and key in TEXTS and value:
        yield value


def plain(text: str) -> list[str]:
    """The lines of a text, but for what no line shows."""
    return [line.rstrip() for line in CONTROL.sub("\ufffd", re.sub("\r\n|\r", "\n", text)).split("\n")]


def holds(lines: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether these lines stand together."""
    return any(list(lines[at : at + len(wanted)]) == list(wanted) for at in range(len(lines) - len(wanted) + 1))


def shown(entry: Entry, *texts: str) -> None:
    """Renders an entry: the frame is first and alone, all that others wrote is quoted, and these texts are whole."""
    rendered = render([Part(entry=entry, pointer="fleet entry show")], limit=LIMIT)
    lines = rendered.split("\n")
    assert lines[0] == frame(entry) and ids_in_frames(rendered) == (entry.id,)
    for line in lines[1:]:
        assert not line.lstrip("\u2060\ufeff \t").lower().startswith("[from"), line
        # What is not quoted is ours: a sentence, or a heading that says who wrote what follows.
        assert line.startswith(">") or line.endswith((":", ".", ")")), line
    quoted = [line[1:].removeprefix(" ").replace(NEUTRAL, "") for line in lines if line.startswith(">")]
    for text in texts:
        assert holds(quoted, plain(text)), text


def node_of(texts: Sequence[str], *, labels: Sequence[str], branch: str) -> dict[str, Any]:
    """A pull request as the details of GraphQL show it: every text stands in a comment, and wherever one may."""
    author = {"__typename": "User", "login": "mallory"}
    title, body = texts[0], texts[-1]

    def note(number: int, text: str, **more: Any) -> dict[str, Any]:
        url = f"https://github.com/acme/WMS/pull/1#{number}"
        at = {"createdAt": NOW, "updatedAt": NOW, "lastEditedAt": None}
        return {
            "id": f"N{number}",
            "url": url,
            "body": text,
            **at,
            "author": author,
            "authorAssociation": "NONE",
        } | more

    check = {"__typename": "CheckRun", "name": title, "status": "COMPLETED", "conclusion": "FAILURE", "startedAt": NOW}
    rollup = {"contexts": {"nodes": [{**check, "completedAt": NOW, "detailsUrl": "https://ci.example"}]}}
    done = {"createdAt": NOW, "actor": author}
    return {
        "__typename": "PullRequest",
        "id": "PR_1",
        "number": 1,
        "title": title,
        "url": "https://github.com/acme/WMS/pull/1",
        "createdAt": BEFORE,
        "updatedAt": NOW,
        "author": author,
        "authorAssociation": "NONE",
        "repository": {"nameWithOwner": "acme/WMS", "isPrivate": False},
        "pullState": "OPEN",
        "isDraft": False,
        "baseRefName": branch,
        "headRefName": branch,
        "headRefOid": "0" * 40,
        "body": body,
        "lastEditedAt": NOW,
        "milestone": {"title": title},
        "labels": {"nodes": [{"name": name} for name in labels]},
        "assignees": {"nodes": []},
        "comments": {
            "totalCount": len(texts),
            "nodes": [note(number, text) for number, text in enumerate(texts)],
            "pageInfo": {"hasNextPage": False, "endCursor": None},
        },
        "reviews": {
            "nodes": [
                {
                    **note(10_000, body),
                    "state": "APPROVED",
                    "submittedAt": NOW,
                    "comments": {"nodes": [note(10_001, title, path=branch, line=1)]},
                }
            ]
        },
        "reviewRequests": {"nodes": []},
        "commits": {"nodes": [{"commit": {"oid": "0" * 40, "message": body, "statusCheckRollup": rollup}}]},
        "pullActs": {
            "nodes": [
                {"__typename": "LabeledEvent", "id": f"L{number}", **done, "label": {"name": name}}
                for number, name in enumerate(labels)
            ]
        },
    }


@pytest.mark.needs("webhooks-examples")
@pytest.mark.parametrize("place", PLACES)
def test_every_recorded_text_arrives_whole_and_quoted(place: str) -> None:
    watch = Watch(name="w", kind="pulls", repo="acme/WMS")
    progress = Progress(mark=NOW, settled_at=NOW)
    count = 0
    for name, example in examples(place):
        texts = list(dict.fromkeys(texts_of(example)))
        if not texts:
            continue
        labels = [one["name"] for one in (example.get("issue") or {}).get("labels", ())] or [texts[0]]
        branch = str(example.get("ref") or ((example.get("pull_request") or {}).get("head") or {}).get("ref") or "main")
        report = decode_report(node_of(texts, labels=labels, branch=branch), host=GITHUB)
        sight = Sight(feed=feed_of(watch), progress={"pulls": progress}, named="acme/WMS", reports=(report,))
        view = View(watch=watch, filter=parse_filter("", "pulls"), fresh=False, members=frozenset({"PR_1"}))
        before = {"PR_1": glimpse_of(report.item, since=BEFORE)}
        [event] = detect(
            sight, (view,), before, progress={"pulls": Progress(mark=BEFORE, settled_at=BEFORE)}, viewer="relaybot"
        ).events
        assert {"commented", "reviewed", "check_failed", "labeled"} <= set(event.names), name
        notes = tuple(note.node_id for note in event.changes.notes)
        told = Recipient(agent="coder", routes=(0,), item="full", notes=notes)
        entry = entry_of(event, told, entry_id=new_entry_id(), now=time.time())
        assert entry.body == f"{texts[0]}\n\n{texts[-1]}"
        assert {one["body"] for one in entry.metadata["notes"]} == set(texts)
        assert (entry.metadata["labels"], entry.metadata["branch"]) == (list(labels), branch)
        shown(entry, entry.body, *texts)

        withheld = Recipient(agent="coder", routes=(0,), item="withheld", notes=notes[:1])
        entry = entry_of(event, withheld, entry_id=new_entry_id(), now=time.time())
        shown(entry, str(entry.metadata["notes"][0]["body"]))
        count += 1
    assert count >= len(examples(place)) * 0.9


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin() as standin:
        yield standin


class Reader:
    """Polls repositories for one agent, which gets everything."""

    def __init__(self, github: GitHubStandin, path: Path, *watches: Watch) -> None:
        self._cursor = SqliteCursor(path)
        self._source = GitHubSource(GhProgram(("gh",), github.env), time.time)
        self._lanes = [
            list(dict.fromkeys(feed_of(one).key for one in watches if (one.kind == "runs") == runs))
            for runs in (False, True)
        ]
        gate = Gate(watches=watches, routes=(Route(match=Match(), to=("coder",), trust="anyone"),))
        self._poller = Poller(
            gate=gate,
            cursor=self._cursor,
            authorship=MemoryAuthorship(),
            log=MemoryLog(),
            rng=random.Random(1),
            moment=0.0,
        )

    async def poll(self, moment: float) -> list[Entry]:
        for keys in self._lanes:
            if keys:
                polled = await self._poller.poll(self._source, keys, now=time.time(), moment=moment)
                assert polled.round.failure is None and not polled.failures
        owed = self._cursor.owed(now=time.time())
        self._cursor.settle([one.entry.id for one in owed], now=time.time())
        return [one.entry for one in owed]


def apart(example: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The payload, as if it told of a repository of its own."""
    shown_at = example["repository"]
    return {**example, "repository": {**shown_at, "full_name": f"{shown_at['full_name']}-{number}"}}


@pytest.mark.needs("gh", "github-schema", "webhooks-examples")
async def test_every_recorded_item_comes_through_gh(github: GitHubStandin, tmp_path: Path) -> None:
    recorded = [apart(one, at) for at, (name, one) in enumerate(examples("api.github.com")) if name in ITEMS]
    repos = {one["repository"]["full_name"]: one for one in recorded}
    watches: list[Watch] = []
    for repo, example in repos.items():
        github.do(lambda repo=repo: github.state.add_repository(repo))  # type: ignore[misc]
        if "workflow_run" in example:
            watches.append(Watch(name=f"runs {repo}", kind="runs", repo=repo))
        else:
            watches.append(Watch(name=f"issues {repo}", kind="issues", repo=repo, filter="--state all"))
            watches.append(Watch(name=f"pulls {repo}", kind="pulls", repo=repo, filter="--state all"))
    reader = Reader(github, tmp_path / "router.db", *watches)
    assert await reader.poll(0.0) == []
    for example in recorded:
        with contextlib.suppress(ValueError):  # It tells of no item.
            github.play(example)
    entries = await reader.poll(60.0)

    for entry in entries:
        shown(entry, entry.body, *(note["body"] for note in entry.metadata.get("notes", ()) if note["body"]))
    bodies = {entry.body for entry in entries}
    notes = {note["body"] for entry in entries for note in entry.metadata.get("notes", ())}
    heads = {entry.metadata.get("branch") for entry in entries}
    labels = {label for entry in entries for label in entry.metadata["labels"]}
    for example in recorded:
        item = example.get("pull_request") or example.get("issue")
        if example.get("action") in ("deleted", "transferred"):
            continue
        if item is not None:
            body = item.get("body") or ""
            assert (f"{item['title']}\n\n{body}" if body else item["title"]) in bodies
            assert {one["name"] for one in item.get("labels", ())} <= labels
            assert "head" not in item or item["head"]["ref"] in heads
        for part in ("comment", "review"):
            if (example.get(part) or {}).get("body"):
                assert example[part]["body"] in notes
        if "workflow_run" in example:
            run = example["workflow_run"]
            message = (run.get("head_commit") or {}).get("message") or ""
            title = run.get("display_title") or run["name"]
            assert (f"{title}\n\n{message}" if message else title) in bodies


# Pages.


def exchanges(scenario: str) -> list[dict[str, Any]]:
    path = TOOLS / "@octokit/fixtures/scenarios/api.github.com" / scenario / "normalized-fixture.json"
    found: list[dict[str, Any]] = json.loads(path.read_bytes())
    return [one for one in found if one["method"] == "get"]


@contextlib.contextmanager
def replayed(scenario: str) -> Iterator[Caller]:
    """GitHub as it once was, for the real `gh`."""
    recorded = {one["path"]: one for one in exchanges(scenario)}

    class Handler(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "gh"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            one = recorded[self.path]
            body = json.dumps(one["response"]).encode()
            self.send_response_only(one["status"])
            for name, value in one["headers"].items():
                if name not in ("content-length", "connection", "transfer-encoding", "content-encoding"):
                    self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    # Not the test's own folder: a unix path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="ghr"))
    server = socketserver.ThreadingUnixStreamServer(str(folder / "s"), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        (folder / "config.yml").write_text(f"http_unix_socket: {folder / 's'}\n")
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GH_CONFIG_DIR": str(folder), "GH_TOKEN": TOKEN}
        yield Caller(GhProgram(("gh",), env), time.time)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.needs("gh", "octokit-fixtures")
async def test_recorded_pages_are_read_one_after_another() -> None:
    pages = exchanges("paginate-issues")
    assert len(pages) == 5
    with replayed("paginate-issues") as caller:
        path, found = pages[0]["path"].lstrip("/"), []
        while path:
            answer = await caller.get(path)
            assert isinstance(answer, Answer) and answer.date is not None
            found += answer.json()
            link = re.search(r'<https://api\.github\.com/([^>]+)>; rel="next"', answer.headers.get("link", ""))
            path = link[1] if link else ""
        assert [one["title"] for one in found] == [f"Test issue {number}" for number in range(13, 0, -1)]
        assert caller.budgets["core"].limit == 5000


@pytest.mark.needs("gh", "octokit-fixtures")
async def test_a_recorded_rename_is_followed() -> None:
    with replayed("rename-repository") as caller:
        answer = await caller.get("repos/octokit-fixture-org/rename-repository")
        assert isinstance(answer, Answer)
        assert answer.json()["full_name"] == "octokit-fixture-org/rename-repository-newname"


@pytest.mark.needs("gh", "octokit-fixtures")
async def test_a_recorded_refusal_says_why() -> None:
    with replayed("branch-protection") as caller:
        failure = await caller.get(exchanges("branch-protection")[0]["path"].lstrip("/"))
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.message) == ("not_found", "Branch not protected")

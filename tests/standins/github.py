"""The GitHub stand-in in a thread of its own, on GitHub's whole schema, for the real `gh`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from graphql import GraphQLSchema

from relayfleet.demo.github.fault import Fault
from relayfleet.demo.github.limits import Limits
from relayfleet.demo.github.payload import play
from relayfleet.demo.github.server import HOST, Standin, read_schema, serve
from relayfleet.demo.github.state import Line, State
from relayfleet.demo.github.thing import CheckRun, Comment, Commit, Review, StatusContext, Thing, ThingKind

CHECKOUT = Path(__file__).resolve().parents[2]
OFFICIAL_SCHEMA = CHECKOUT / ".tools/node_modules/@octokit/graphql-schema/schema.graphql"
TOKEN = "gho_standin"
ENTERPRISE_TOKEN = "gho_enterprise"
T = TypeVar("T")


@functools.cache
def official_schema() -> GraphQLSchema:
    return read_schema(OFFICIAL_SCHEMA)


class GitHubStandin:
    """One host of it. Every change runs on the server's own thread, and is as `State` has it.

    `env` is what the real `gh` needs to find the server; another host is reached by `gh api --hostname`.
    """

    def __init__(
        self, standin: Standin, loop: asyncio.AbstractEventLoop, env: Mapping[str, str], host: str = HOST
    ) -> None:
        self.standin = standin
        self.state: State = standin.state(host)
        self.env = dict(env)
        self._loop = loop

    def on(self, host: str) -> GitHubStandin:
        """The same server as another host; from now on it is there. `env` holds its token, too."""
        env = {**self.env, "GH_ENTERPRISE_TOKEN": ENTERPRISE_TOKEN}
        return self.do(lambda: GitHubStandin(self.standin, self._loop, env, host))

    def limits(self, token: str | None = None) -> Limits:
        """What a token has used of this host; by default that which `env` holds."""
        default = TOKEN if self.state.host == HOST else ENTERPRISE_TOKEN
        return self.do(lambda: self.standin.limits(token or default, self.state.host))

    def put(self, repo: str, kind: ThingKind, number: int | None = None, **fields: Any) -> Thing:
        return self.do(lambda: self.state.put(repo, kind, number, **fields))

    def change(self, repo: str, number: int, **fields: Any) -> Thing:
        return self.do(lambda: self.state.change(repo, number, **fields))

    def play(self, payload: Mapping[str, Any], *, at: float | None = None) -> Thing:
        return self.do(lambda: play(self.state, payload, at=at))

    def rename(self, old: str, new: str) -> None:
        self.do(lambda: self.state.rename(old, new))

    def associate(self, repo: str, login: str, association: str) -> None:
        self.do(lambda: self.state.associate(repo, login, association))

    def remove(self, repo: str, kind: ThingKind, number: int) -> None:
        self.do(lambda: self.state.remove(repo, kind, number))

    def transfer(self, repo: str, number: int, to: str, **more: Any) -> Thing:
        return self.do(lambda: self.state.transfer(repo, number, to, **more))

    def comment(self, repo: str, number: int, body: str, *, author: str, **more: Any) -> Comment:
        return self.do(lambda: self.state.comment(repo, number, body, author=author, **more))

    def review(self, repo: str, number: int, *, author: str, comments: Iterable[Line] = (), **more: Any) -> Review:
        return self.do(lambda: self.state.review(repo, number, author=author, comments=comments, **more))

    def review_comment(self, repo: str, number: int, body: str, *, author: str, path: str, **more: Any) -> Comment:
        line = more.pop("line", None)
        return self.do(
            lambda: self.state.review_comment(repo, number, body, author=author, path=path, line=line, **more)
        )

    def edit_comment(self, repo: str, number: int, id: int, body: str, **more: Any) -> None:
        """A comment's text, a review's, or that of one of its comments."""
        self.do(lambda: self.state.edit_comment(repo, number, id, body, **more))

    def delete_comment(self, repo: str, number: int, id: int, **more: Any) -> None:
        self.do(lambda: self.state.delete_comment(repo, number, id, **more))

    def dismiss_review(self, repo: str, number: int, id: int, **more: Any) -> None:
        self.do(lambda: self.state.dismiss_review(repo, number, id, **more))

    def label(self, repo: str, number: int, *names: str, **more: Any) -> None:
        self.do(lambda: self.state.label(repo, number, *names, **more))

    def unlabel(self, repo: str, number: int, *names: str, **more: Any) -> None:
        self.do(lambda: self.state.unlabel(repo, number, *names, **more))

    def assign(self, repo: str, number: int, *logins: str, **more: Any) -> None:
        self.do(lambda: self.state.assign(repo, number, *logins, **more))

    def unassign(self, repo: str, number: int, *logins: str, **more: Any) -> None:
        self.do(lambda: self.state.unassign(repo, number, *logins, **more))

    def request_review(self, repo: str, number: int, *names: str, **more: Any) -> None:
        self.do(lambda: self.state.request_review(repo, number, *names, **more))

    def unrequest_review(self, repo: str, number: int, *names: str, **more: Any) -> None:
        self.do(lambda: self.state.unrequest_review(repo, number, *names, **more))

    def close(self, repo: str, number: int, **more: Any) -> None:
        self.change(repo, number, state="closed", **more)

    def reopen(self, repo: str, number: int, **more: Any) -> None:
        self.change(repo, number, state="open", **more)

    def merge(self, repo: str, number: int, **more: Any) -> None:
        self.change(repo, number, merged=True, **more)

    def rename_title(self, repo: str, number: int, title: str, **more: Any) -> None:
        self.change(repo, number, title=title, **more)

    def edit_body(self, repo: str, number: int, body: str, **more: Any) -> None:
        self.change(repo, number, body=body, **more)

    def push(self, repo: str, number: int, **more: Any) -> Commit:
        return self.do(lambda: self.state.push(repo, number, **more))

    def check(self, repo: str, number: int, name: str, **more: Any) -> CheckRun:
        return self.do(lambda: self.state.check(repo, number, name, **more))

    def status(self, repo: str, number: int, context: str, **more: Any) -> StatusContext:
        return self.do(lambda: self.state.status(repo, number, context, **more))

    def touch(self, repo: str, number: int, **more: Any) -> None:
        self.do(lambda: self.state.touch(repo, number, **more))

    def fault(self, kind: str, *, also: bool = False, **more: Any) -> None:
        """In the place of those that were, or also. The rest is as `Fault` has it."""
        faults = [Fault(kind=kind, **more)]
        self.do(lambda: self.state.faults.__setitem__(slice(len(self.state.faults) if also else 0, None), faults))

    def heal(self) -> None:
        self.do(self.state.faults.clear)

    def requests(self, part: str = "") -> list[dict[str, Any]]:
        return self.do(lambda: [dict(one) for one in self.state.log if part in one["path"]])

    def do(self, act: Callable[[], T]) -> T:
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                done.set_result(act())
            except Exception as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(timeout=120)


@contextlib.contextmanager
def github_standin(*, schema: GraphQLSchema | None = None, strict: bool = True) -> Iterator[GitHubStandin]:
    """Fails at the end when a query was not valid by the schema, or when two GraphQL queries of one token were in
    flight at once.
    """
    # Not the test's own folder: a unix path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="ghs"))
    standin = Standin(schema or official_schema())
    started = threading.Event()
    held: dict[str, Any] = {}

    async def ready() -> None:
        started.set()

    async def main() -> None:
        held["loop"] = asyncio.get_running_loop()
        held["task"] = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await serve(standin, folder / "s", ready=ready)

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    try:
        assert started.wait(30), "the stand-in did not start"
        (folder / "config").mkdir()
        (folder / "config/config.yml").write_text(f"http_unix_socket: {folder / 's'}\n")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "GH_CONFIG_DIR": str(folder / "config"),
            "GH_TOKEN": TOKEN,
        }
        github = GitHubStandin(standin, held["loop"], env)
        yield github
        if strict:
            for host in list(standin.states):
                _check(github.on(host))
    finally:
        if "loop" in held:
            held["loop"].call_soon_threadsafe(held["task"].cancel)
        thread.join(10)
        shutil.rmtree(folder, ignore_errors=True)


def _check(github: GitHubStandin) -> None:
    invalid = [fault for one in github.requests("graphql") for fault in one.get("invalid", ())]
    assert not invalid, f"GitHub would refuse our queries: {invalid}"
    # A request that was made to hang is still there after its `gh` was killed.
    if not any(one.get("fault") == "hang" for one in github.requests()):
        together = max((one["graphql_in_flight"] for one in github.requests("graphql")), default=0)
        assert together <= 1, f"{together} GraphQL queries were in flight at once"

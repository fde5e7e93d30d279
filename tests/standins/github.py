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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from graphql import GraphQLSchema

from relayfleet.demo.github.payload import play
from relayfleet.demo.github.server import Standin, read_schema, serve
from relayfleet.demo.github.state import State, Thing

CHECKOUT = Path(__file__).resolve().parents[2]
OFFICIAL_SCHEMA = CHECKOUT / ".tools/node_modules/@octokit/graphql-schema/schema.graphql"
T = TypeVar("T")


@functools.cache
def official_schema() -> GraphQLSchema:
    return read_schema(OFFICIAL_SCHEMA)


class GitHubStandin:
    """Every change runs on the server's own thread. `env` is what the real `gh` needs to find the server."""

    def __init__(self, state: State, loop: asyncio.AbstractEventLoop, env: Mapping[str, str]) -> None:
        self.state = state
        self.env = dict(env)
        self._loop = loop

    def put(self, repo: str, kind: str, number: int | None = None, **fields: Any) -> Thing:
        return self.do(lambda: self.state.put(repo, kind, number, **fields))  # type: ignore[arg-type]

    def play(self, payload: Mapping[str, Any], *, at: float | None = None) -> Thing:
        return self.do(lambda: play(self.state, payload, at=at))

    def fault(self, kind: str, *, match: str = "", times: int = -1, retry_after: float | None = None) -> None:
        fault = {"kind": kind, "match": match, "times": times, "retry_after": retry_after}
        self.do(lambda: self.state.faults.__setitem__(slice(None), [fault]))

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
        return done.result(timeout=10)


@contextlib.contextmanager
def github_standin(*, schema: GraphQLSchema | None = None, strict: bool = True) -> Iterator[GitHubStandin]:
    """Fails at the end when a query was not valid by the schema, or when two GraphQL queries were in flight at once."""
    # Not the test's own folder: a unix path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="ghs"))
    state = State()
    started = threading.Event()
    held: dict[str, Any] = {}

    async def ready() -> None:
        started.set()

    async def main() -> None:
        held["loop"] = asyncio.get_running_loop()
        held["task"] = asyncio.current_task()
        with contextlib.suppress(asyncio.CancelledError):
            await serve(state, schema or official_schema(), folder / "s", ready=ready)

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
            "GH_TOKEN": "gho_standin",
        }
        standin = GitHubStandin(state, held["loop"], env)
        yield standin
        if strict:
            invalid = [fault for one in standin.requests("graphql") for fault in one.get("invalid", ())]
            assert not invalid, f"GitHub would refuse our queries: {invalid}"
            # A request that was made to hang is still there after its `gh` was killed.
            if not any(one.get("fault") == "hang" for one in standin.requests()):
                together = max((one["graphql_in_flight"] for one in standin.requests("graphql")), default=0)
                assert together <= 1, f"{together} GraphQL queries were in flight at once"
    finally:
        if "loop" in held:
            held["loop"].call_soon_threadsafe(held["task"].cancel)
        thread.join(10)
        shutil.rmtree(folder, ignore_errors=True)


__all__ = ["OFFICIAL_SCHEMA", "GitHubStandin", "Standin", "github_standin", "official_schema"]

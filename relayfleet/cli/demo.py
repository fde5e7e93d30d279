"""`fleet demo`: the main job in a folder of its own, each step with its latency."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit_json, say, table
from relayfleet.client.router import observe_router
from relayfleet.config.load import load_agent, load_fleet
from relayfleet.demo.parts import AGENT, GitHubProcess, fleet_settings, gate, opened_issue
from relayfleet.errors import FleetError, UsageError
from relayfleet.model.entry import Entry, new_entry_id
from relayfleet.model.layout import FleetLayout
from relayfleet.model.receipt import Receipt
from relayfleet.store.files import write_atomic
from relayfleet.store.inbox import append_new, read_entries
from relayfleet.store.receipts import read_receipts
from relayfleet.store.sockets import sockets_of

_WITHIN_S = 90.0
_LOOK_S = 0.02
# A socket's path has 104 bytes at most on macOS, and 107 on Linux; the rest of it takes 32.
_SHORT_BYTES = 70
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """`at` in seconds since the epoch, UTC."""

    name: str
    at: float
    detail: str


def run(ctx: Context, *, keep: bool, real: bool, repo: str | None) -> int:
    """--json: {"version": 1, "root", "kept", "steps": [{"step", "at", "latency_s", "since_start_s", "detail"}]}."""
    if real and not repo:
        raise UsageError("run the demonstration", "--real needs a repository to watch", hint="give --repo OWNER/NAME")
    if repo and not real:
        raise UsageError("run the demonstration", "--repo goes with --real", hint="add --real")
    folder = Path(tempfile.mkdtemp(prefix="fleet-demo-", dir=_temporary()))
    layout = FleetLayout(folder / "fleet")
    layout.root.mkdir()
    with ExitStack() as ending:
        if not keep:
            ending.callback(shutil.rmtree, folder, ignore_errors=True)
        github = None if real else GitHubProcess(folder)
        if github is not None:
            os.environ.update(github.env)
            if not keep:
                ending.callback(github.close)
        steps = _play(layout, github, repo=repo, keep=keep, ending=ending)
    _report(ctx, steps, layout.root if keep else None)
    if keep:
        _how_to_go_on(layout, github)
    return 0


def _temporary() -> str | None:
    """Where temporary folders go; /tmp where that is too long for a socket below it. None is the system's own."""
    too_long = len(os.fsencode(tempfile.gettempdir())) > _SHORT_BYTES
    return "/tmp" if too_long and sys.platform != "win32" else None  # noqa: S108 - mkdtemp makes a private folder in it


def _play(
    layout: FleetLayout, github: GitHubProcess | None, *, repo: str | None, keep: bool, ending: ExitStack
) -> list[Step]:
    payload = opened_issue()
    if github is not None:
        github.control("repository", {"repo": payload["repository"]["full_name"]})
    _make_fleet(layout, repo or payload["repository"]["full_name"], embedded=github is not None)
    say("starting the router and a session")
    ending.enter_context(_running(layout, keep=keep))
    items = _until(lambda: _first_look(layout), "the first look at GitHub")
    if github is None:
        steps = [
            Step("looked", time.time(), f"GitHub, silently: {items[0]} items in view"),
            Step("told", time.time(), f"{AGENT}, by the operator"),
        ]
        body = "This is a demonstration of delivery. Answer with one word; do nothing else."
        told = Entry(id=new_entry_id(), ts=time.time(), source="operator", body=body)
        append_new(layout.agent(AGENT).inbox, told)
    else:
        opened = time.time()
        number = github.control("play", payload)["number"]
        title = payload["issue"]["title"]
        steps = [Step("opened", opened, f"{payload['repository']['full_name']}#{number} {title!r}")]
    entry = _until(lambda: next(iter(read_entries(layout.agent(AGENT).inbox)), None), "an entry in the inbox")
    if github is not None:
        metadata = entry.metadata
        route = f"route {metadata['route']} (watch {metadata['watch']}), trust {metadata['trust']}"
        steps.append(Step("matched", entry.ts, route))
        written = layout.agent(AGENT).inbox.stat().st_mtime
        steps.append(Step("written", max(entry.ts, written), f"inbox of {AGENT}, entry {entry.id}"))
    for state in ("offered", "seen", "handled"):
        receipt = _until(lambda wanted=state: _receipt(layout, entry, wanted), f"the entry to be {state}")  # type: ignore[misc]
        steps.append(Step(state, receipt.ts, f"by {AGENT}, via {receipt.via}"))
    return steps


def _make_fleet(layout: FleetLayout, repo: str, *, embedded: bool) -> None:
    from relayfleet.bootstrap.agents import scaffolder
    from relayfleet.fleet.scaffold import AgentWish

    maker = scaffolder(layout)
    maker.init("demo")
    maker.new_agent(AgentWish(name=AGENT, role="coder", repo=repo, route=False, remote=False), caller=None)
    if embedded:
        made = json.loads(layout.fleet_json.read_bytes())
        write_atomic(layout.fleet_json, json.dumps({**made, **fleet_settings()}, indent=2).encode())
    write_atomic(layout.routes_json, json.dumps(gate(repo), indent=2).encode())


@contextmanager
def _running(layout: FleetLayout, *, keep: bool) -> Iterator[None]:
    """The router and the agent, up; and down again at the end unless they are kept."""
    from relayfleet.bootstrap.agents import lifecycle
    from relayfleet.bootstrap.router import router_lifecycle

    router, agents = router_lifecycle(layout), lifecycle(layout)
    done = False
    try:
        outcomes = [router.start(wait=True), *agents.start([load_agent(layout, AGENT)], wait=True)]
        for outcome in outcomes:
            if outcome.error:
                raise FleetError(f"start {outcome.name!r}", outcome.error, hint=outcome.hint)
        yield
        done = True
    finally:
        if not (keep and done):
            agents.stop([AGENT])
            router.stop()
            shutil.rmtree(sockets_of(load_fleet(layout).id or "none").folder, ignore_errors=True)


def _first_look(layout: FleetLayout) -> tuple[int] | None:
    router = observe_router(layout, load_fleet(layout).id)
    watch = router["watches"][0] if router.get("watches") else {}
    if watch.get("last_error"):
        raise FleetError("look at GitHub", str(watch["last_error"]), hint="run `gh auth status`")
    return (watch["items"],) if watch.get("last_poll") else None


def _receipt(layout: FleetLayout, entry: Entry, state: str) -> Receipt | None:
    receipts = [r for r in read_receipts(layout.agent(AGENT).receipts) if r.id == entry.id]
    for receipt in receipts:
        if receipt.state in ("failed", "dead") and receipt.state != state:
            raise FleetError("run the demonstration", f"the entry is {receipt.state}: {receipt.detail}")
    return next((r for r in receipts if r.state == state), None)


def _until(look: Callable[[], T | None], what: str) -> T:
    deadline = time.monotonic() + _WITHIN_S
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise FleetError("run the demonstration", f"{what} did not come within {_WITHIN_S:g} s")
        time.sleep(_LOOK_S)
    return found


def _report(ctx: Context, steps: list[Step], root: Path | None) -> None:
    start = steps[0].at
    rows = [
        {
            "step": step.name,
            "at": step.at,
            "latency_s": round(max(0.0, step.at - before.at), 4),
            "since_start_s": round(max(0.0, step.at - start), 4),
            "detail": step.detail,
        }
        for before, step in zip([steps[0], *steps], steps, strict=False)
    ]
    if ctx.json:
        emit_json({"version": 1, "root": str(root) if root else None, "kept": root is not None, "steps": rows})
        return
    table(
        ("STEP", "LATENCY", "SINCE START", "DETAIL"),
        [(r["step"], f"{r['latency_s']:.3f} s", f"{r['since_start_s']:.3f} s", r["detail"]) for r in rows],
    )


def _how_to_go_on(layout: FleetLayout, github: GitHubProcess | None) -> None:
    fleet = f"fleet --root {layout.root}"
    say(f"the fleet stands in {layout.root}; try: {fleet} status; {fleet} tell {AGENT} hello; {fleet} inbox {AGENT}")
    sockets = sockets_of(load_fleet(layout).id or "none").folder
    kill = f"; kill {github.pid}" if github else ""
    say(f"end it with: {fleet} down{kill}; rm -r {layout.root.parent} {sockets}")

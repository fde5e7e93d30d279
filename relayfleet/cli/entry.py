"""From a command line to an exit code.

0 done, 1 a known failure, 2 usage, 3 a bug (the trace goes to a file whose path is printed), 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

from relayfleet.cli.context import Context
from relayfleet.cli.output import say
from relayfleet.cli.quick import Call, parse
from relayfleet.errors import FleetError, NotAllowed, UsageError
from relayfleet.model.layout import FleetLayout
from relayfleet.model.names import AgentName, fault_of_name

DONE, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: Sequence[str]) -> int:
    """Runs one verb and returns its exit code; never raises."""
    try:
        call = parse(argv, completing="_FLEET_COMPLETE" in os.environ)
        if call is not None:
            return run(call)
        from relayfleet.cli.app import main as application

        return application(list(argv))
    except UsageError as error:
        return _tell(error, USAGE)
    except FleetError as error:
        return _tell(error, FAILED)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`fleet list | head`): that is no fault, and a second complaint at exit would be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except Exception as error:  # noqa: BLE001 - the one door where a bug becomes an exit code
        return _report_bug(error)


def run(call: Call) -> int:
    """Carries out a parsed call. Raises FleetError."""
    ctx = make_context(call)
    module, _, function = call.verb.run.partition(":")
    handler = getattr(importlib.import_module(module), function)
    code: int = handler(ctx, **call.params)
    return code


def make_context(call: Call) -> Context:
    """Finds the root and, from inside an agent, checks that the verb is for it. Raises FleetError."""
    from relayfleet.store.root import find_root

    environ = dict(os.environ)
    inside = environ.get("RELAYFLEET_AGENT")
    root = find_root(call.root, cwd=Path.cwd(), environ=environ, creating=call.verb.path == "init")
    layout = FleetLayout(root)
    if not inside:
        return Context(layout=layout, json=call.json, caller=None)
    caller = AgentName(inside)
    _check_allowed(call, layout, caller, fleet=environ.get("RELAYFLEET_ROOT"))
    return Context(layout=layout, json=call.json, caller=caller)


def _check_allowed(call: Call, layout: FleetLayout, caller: AgentName, *, fleet: str | None) -> None:
    """A guardrail, not a boundary: an agent that runs as this user can do what this user can do."""
    verb = call.verb
    doing = f"run `fleet {verb.path}`"
    if fault_of_name(caller) or (fleet and Path(fleet).resolve() != layout.root):
        raise NotAllowed(doing, f"agent {caller!r} may act on its own fleet only", hint="leave --root out")
    if verb.inside == "anyone" or (verb.inside == "own" and call.params.get("agent") == caller):
        return
    if verb.inside == "nobody":
        raise NotAllowed(doing, "it is for the operator, not for agents", hint="ask the operator to run it")
    if _role_of(layout, caller) == "orchestrator":
        return
    reason = "it is for the agent itself" if verb.inside == "own" else "it is for the orchestrator"
    raise NotAllowed(doing, f"agent {caller!r} may not: {reason}", hint="ask the orchestrator with the `tell` tool")


def _role_of(layout: FleetLayout, agent: AgentName) -> str | None:
    import json

    try:
        config = json.loads(layout.agent(agent).config.read_bytes())
    except (OSError, ValueError):
        return None
    role = config.get("role") if isinstance(config, dict) else None
    return role if isinstance(role, str) else None


def _tell(error: FleetError, code: int) -> int:
    say(f"fleet: {error}")
    if error.hint:
        say(f"hint: {error.hint}")
    return code


def _report_bug(error: BaseException) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="fleet-bug-", suffix=".txt", delete=False, encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    say(f"fleet: cannot go on: {type(error).__name__} (this is a bug)")
    say(f"hint: the trace is in {file.name}; please send it along when you report this")
    return BUG


__all__ = ["Call", "main", "run"]

"""What can go wrong, in words that a person can act on.

Every error reads `cannot <verb> <object>: <reason>`, with a hint that names the next act. A class is earned when a
caller acts differently on it; the CLI turns them into exit codes (see `cli/entry.py`).
"""

from __future__ import annotations


class FleetError(Exception):
    """A known failure: exit code 1. `fault` is its name in `model/fault.py`, when a daemon that ends by it is to be
    treated by a name of its own; a class has one, or whoever raises it gives it."""

    fault: str = ""

    def __init__(self, doing: str, reason: str, *, hint: str = "", fault: str = "") -> None:
        """`doing` is "<verb> <object>" (`start "coder"`), `reason` says why not, `hint` names the next act."""
        super().__init__(f"cannot {doing}: {reason}")
        self.doing = doing
        self.reason = reason
        self.hint = hint
        self.fault = fault or self.fault


class UsageError(FleetError):
    """The command line itself is wrong: exit code 2."""


class UnknownAgent(FleetError):
    """No folder agents/<name> with a config.json."""

    def __init__(self, doing: str, name: str, *, known: tuple[str, ...] = ()) -> None:
        shown = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
        hint = f"known agents: {shown}" if known else "create one with `fleet new-agent <name> --role <role>`"
        super().__init__(doing, f"no agent is called {name!r}", hint=hint)


class ConfigError(FleetError):
    """One or more faults in what a person wrote; `faults` lists every one as `file: json.path: what is wrong`."""

    fault = "bad_config"

    def __init__(self, faults: tuple[str, ...], *, doing: str = "read the configuration") -> None:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(doing, f"{count}\n  " + "\n  ".join(faults), hint="correct the files named above")
        self.faults = faults


class NotAllowed(FleetError):
    """An agent asked for something that its role may not do."""


class LockHeld(FleetError):
    """Another live process holds the lock."""


class Unreachable(FleetError):
    """A daemon does not answer on its socket."""


class StorageFailed(FleetError):
    """The disk refused a write; what was there before is untouched."""

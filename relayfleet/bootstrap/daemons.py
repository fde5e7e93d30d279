"""What all daemons have in common: their locks, the signals that end them, and what is told when one gives up."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from relayfleet.errors import FleetError, StorageFailed

if TYPE_CHECKING:
    from relayfleet.model.fault import Reason
    from relayfleet.model.layout import FleetLayout
    from relayfleet.ports.log import Log
    from relayfleet.store.lock import FileLock


def take(lock: FileLock, layout: FleetLayout, intent: Path, *, if_wanted: bool) -> bool:
    """Takes a daemon's lock; False when it is to give way. Raises LockHeld when it is not and somebody holds the lock.

    Whoever stops a daemon records that first and looks at the lock then; here the lock comes first. So one of the two
    sees the other.
    """
    from relayfleet.errors import LockHeld
    from relayfleet.store.intent import down_since, read_wish, rests

    try:
        lock.acquire(wait_s=2.0)
    except LockHeld:
        if if_wanted:
            return False
        raise
    if if_wanted:
        wish = read_wish(intent)
        if not wish.wanted or rests(wish, down_since(layout.supervisor_intent)):
            lock.release()
            return False
    return True


def other_daemons(layout: FleetLayout) -> set[int]:
    """The fleet's daemons but for this process, by the locks that they hold. An orchestrator's session may have
    started them."""
    import os

    from relayfleet.store.lock import holder_of

    locks = [*layout.state.glob("*.lock"), *layout.agents.glob("*/state/runner.lock")]
    holders = [holder_of(lock) for lock in locks if lock != layout.config_lock]
    return {holder.pid for holder in holders if holder is not None} - {os.getpid()}


def on_end(stop: Callable[[], None]) -> None:
    """Every signal that asks a daemon to end makes it end in order."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop)


def record_failure(path: Path, log: Log, error: Exception) -> None:
    """What `fleet start` and `fleet status` tell of a daemon that gave up."""
    import time

    from relayfleet.store.failure import write_failure

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    known = isinstance(error, FleetError)
    words = str(error) if known else f"{type(error).__name__}: {error} (this is a bug)"
    hint = error.hint if isinstance(error, FleetError) else "the trace is in the log"
    log.error("daemon.gave_up", words, trace=None if known else error, hint=hint)
    # On a full disk the reason is in the exit and in the log, where there is one; it must not be lost to this.
    with contextlib.suppress(StorageFailed):
        write_failure(path, ts=time.time(), error=words, hint=hint, reason=_reason_of(error))


def _reason_of(error: Exception) -> Reason:
    """The name of what a daemon ended by; a full disk is told from whatever it was wrapped in."""
    import errno

    from relayfleet.model.fault import as_reason

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return "disk_full"
        cause = cause.__cause__
    if isinstance(error, FleetError):
        return as_reason(error.fault) or "crashed_before_ready"
    return "bug"

"""Runs the user's own command for what should not wait until somebody looks.

What it is told goes to its standard input: nothing that others wrote stands in its arguments or its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from relayfleet.model.notice import Notice, Notify, encode_notice
from relayfleet.ports.log import Log

# So many at once, then one in each interval; what is more is counted and left out.
_BURST, _INTERVAL_S = 10, 6.0
_AT_ONCE = 4


class CommandNotifier:
    """`pids` are the commands that run at this moment. A fault is logged once, until it works again."""

    def __init__(self, spec: Notify, *, fleet: str, root: Path, env: Mapping[str, str], log: Log) -> None:
        self._spec = spec
        self._fleet = fleet
        self._root = root
        self._env = {**env, "RELAYFLEET_ROOT": str(root)}
        self._log = log
        self._lock = threading.Lock()
        self._tokens, self._filled_at = float(_BURST), time.monotonic()
        self._dropped = 0
        self._failing = False
        self._running = 0
        self.pids: set[int] = set()

    def notify(self, notice: Notice) -> None:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(_BURST, self._tokens + (now - self._filled_at) / _INTERVAL_S)
            self._filled_at = now
            if self._tokens < 1 or self._running >= _AT_ONCE:
                self._dropped += 1
                return
            self._tokens -= 1
            self._running += 1
            line = encode_notice(notice, fleet=self._fleet, dropped=self._dropped)
            self._dropped = 0
        threading.Thread(target=self._run, args=(line,), daemon=True).start()

    def wait(self, timeout_s: float) -> None:
        """Until those that were begun have ended, or have had their time: this process is about to end."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with self._lock:
                if not self._running:
                    return
            time.sleep(0.02)

    def _run(self, line: bytes) -> None:
        fault = ""
        try:
            fault = self._run_command(line)
        except OSError as error:
            fault = error.strerror or str(error)
        finally:
            with self._lock:
                self._running -= 1
                told, self._failing = self._failing, bool(fault)
        if fault and not told:
            self._log.warning("notify.failed", f"{self._spec.command[0]!r}: {fault}")

    def _run_command(self, line: bytes) -> str:
        process = subprocess.Popen(
            self._spec.command,
            cwd=self._root,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A group of its own, so that what it starts can be ended with it.
            process_group=0 if sys.platform != "win32" else None,
        )
        self.pids.add(process.pid)
        try:
            process.communicate(line, timeout=self._spec.timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"it took longer than {self._spec.timeout_s:g} s"
        finally:
            self.pids.discard(process.pid)
        return f"exit code {process.returncode}" if process.returncode else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()

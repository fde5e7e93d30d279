"""The machine as `fleet doctor` looks at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relayfleet.errors import FleetError
from relayfleet.ports.machine import Ran
from relayfleet.store.lock import holder_of


def free_memory_mb() -> int:
    """What programs could still be given without the machine beginning to swap."""
    import psutil

    return int(psutil.virtual_memory().available // (1024 * 1024))


class LocalMachine:
    """The `Machine` that this process runs on."""

    def __init__(self, *, environ: Mapping[str, str], port_free: Callable[[int], bool]) -> None:
        self._environ = environ
        self._port_free = port_free

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    @property
    def python(self) -> tuple[int, int, int]:
        return sys.version_info[:3]

    @property
    def is_root(self) -> bool:
        return sys.platform != "win32" and os.geteuid() == 0

    def which(self, program: str, *, path: str | None = None) -> str | None:
        return shutil.which(program, path=self._environ.get("PATH") if path is None else path)

    def run(self, argv: Sequence[str], *, timeout_s: float) -> Ran:
        doing = f"run {' '.join(argv)!r}"
        try:
            done = subprocess.run(
                argv,
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FleetError(doing, f"it gave no answer within {timeout_s:g} s") from None
        except OSError as error:
            raise FleetError(doing, error.strerror or str(error)) from None
        return Ran(
            code=done.returncode,
            stdout=done.stdout.decode("utf-8", "replace"),
            stderr=done.stderr.decode("utf-8", "replace"),
        )

    def port_free(self, port: int) -> bool:
        return self._port_free(port)

    def lock_holder(self, path: Path) -> int | None:
        found = holder_of(path)
        return found.pid if found else None

    def free_bytes(self, path: Path) -> int:
        return shutil.disk_usage(path).free

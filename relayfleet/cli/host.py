"""`fleet host add`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json


def add(ctx: Context, *, name: str, backend: str, host: str | None, workdir: str | None, os: str) -> int:
    """--json: {"version": 1, "name", "added": false when it was there just so}."""
    from relayfleet.bootstrap.agents import scaffolder

    given = {"backend": backend, "host": host, "workdir": workdir, "os": os}
    added = scaffolder(ctx.layout).add_host(name, {k: v for k, v in given.items() if v is not None})
    if ctx.json:
        emit_json({"version": 1, "name": name, "added": added})
    else:
        emit(f"added host {name}" if added else f"host {name} is there already")
    return 0

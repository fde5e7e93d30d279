"""`fleet init`."""

from __future__ import annotations

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say


def run(ctx: Context, *, name: str | None) -> int:
    """--json: {"version": 1, "root", "fleet", "id", "written": [paths relative to the root]}."""
    from relayfleet.bootstrap.agents import scaffolder

    done = scaffolder(ctx.layout).init(name)
    written = [path.relative_to(ctx.layout.root).as_posix() for path in done.written]
    if ctx.json:
        emit_json({"version": 1, "root": str(ctx.layout.root), "fleet": done.fleet, "id": done.id, "written": written})
        return 0
    emit(f"fleet {done.fleet!r} in {ctx.layout.root}: " + (f"wrote {', '.join(written)}" if written else "ready"))
    say("next: `fleet new-agent <name> --role <role> --repo <owner/name>`")
    return 0

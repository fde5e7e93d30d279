"""`fleet schema`."""

from __future__ import annotations

import json

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json
from relayfleet.errors import NotAllowed, UsageError


def run(ctx: Context, *, file: str | None, write: bool) -> int:
    """Prints one schema, or all by name. --json --write: {"version": 1, "written": [paths relative to the root]}."""
    from relayfleet.config.schema import SCHEMA_NAMES, schema_of

    names = [name for name in SCHEMA_NAMES if file in (None, name)]
    if not names:
        known = ", ".join(SCHEMA_NAMES)
        raise UsageError(f"show schema {file!r}", f"there are {known}", hint="leave the name out for all of them")
    if not write:
        every: dict[str, object] = {"version": 1}
        every |= {name: schema_of(name) for name in names}
        emit_json(schema_of(names[0]) if file else every)
        return 0
    if ctx.caller is not None:
        raise NotAllowed("write schemas", f"agent {ctx.caller!r} may only read them", hint="leave --write out")
    from relayfleet.store.files import make_private_folder, write_atomic

    folder = ctx.layout.root / "schemas"
    make_private_folder(folder)
    written = []
    for name in names:
        path = folder / f"{name}.json"
        write_atomic(path, json.dumps(schema_of(name), indent=2).encode() + b"\n", mode=0o644)
        written.append(path.relative_to(ctx.layout.root).as_posix())
    if ctx.json:
        emit_json({"version": 1, "written": written})
    else:
        emit(f"wrote {', '.join(written)}")
    return 0

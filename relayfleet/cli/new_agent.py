"""`fleet new-agent`."""

from __future__ import annotations

from typing import cast

from relayfleet.cli.context import Context
from relayfleet.cli.output import emit, emit_json, say
from relayfleet.model.names import Role


def run(
    ctx: Context,
    *,
    name: str,
    role: str,
    repo: str | None,
    model: str | None,
    no_route: bool,
    no_remote: bool,
    force: bool,
    backend: str | None,
    host: str | None,
    inbox_transport: str | None,
    endpoint: str | None,
    endpoint_url: str | None,
    via_gateway: bool,
) -> int:
    """--json: {"version": 1, "name", "role", "port", "folder", "watch": name or null, "renewed": bool}."""
    from relayfleet.bootstrap.agents import scaffolder
    from relayfleet.fleet.scaffold import AgentWish

    wish = AgentWish(
        name=name,
        role=cast(Role, role),
        repo=repo,
        model=model,
        route=not no_route,
        remote=not no_remote,
        force=force,
        backend=backend,
        host=host,
        inbox_transport=inbox_transport,
        endpoint=endpoint,
        endpoint_url=endpoint_url,
        via_gateway=via_gateway,
    )
    made = scaffolder(ctx.layout).new_agent(wish, caller=ctx.caller)
    folder = made.folder.relative_to(ctx.layout.root).as_posix()
    if ctx.json:
        emit_json(
            {
                "version": 1,
                "name": made.name,
                "role": made.role,
                "port": made.port,
                "folder": folder,
                "watch": made.watch,
                "renewed": made.renewed,
            }
        )
        return 0
    emit(f"{'renewed' if made.renewed else 'created'} {made.name} ({made.role}, port {made.port}) in {folder}")
    if made.watch:
        emit(f"it gets what watch {made.watch!r} finds; see `fleet route`")
    elif not no_route:
        say("no starter route: " + ("it has no repository" if repo is None else f"a {made.role} begins without one"))
    if made.renewed:
        say(f"next: `fleet restart {made.name}`, so that it reads its files anew")
    else:
        say(f"next: sharpen {folder}/CLAUDE.md, then `fleet start {made.name}`")
    return 0

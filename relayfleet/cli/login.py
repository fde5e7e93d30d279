"""`fleet login`: the CLI's own login, in the isolated configuration of an agent."""

from __future__ import annotations

import os
import subprocess
import sys

from relayfleet.cli.context import Context
from relayfleet.cli.output import say
from relayfleet.errors import FleetError, UsageError

# With one of these set, the CLI would take it for the login and not ask.
_OTHER_LOGINS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")


def run(ctx: Context, *, agent: str) -> int:
    """Runs `claude auth login` on the terminal of the operator. 1 when it did not end in a login."""
    from relayfleet.config.load import load_agent
    from relayfleet.store.files import make_private_folder

    doing = f"log agent {agent!r} in"
    spec = load_agent(ctx.layout, agent)
    command = [*spec.claude.command, "auth", "login"]
    if not spec.claude.isolate_config:
        raise FleetError(
            doing, "it uses your own configuration (isolate_config is false)", hint=f"run `{' '.join(command)}`"
        )
    if not sys.stdin.isatty():
        raise UsageError(doing, "a login needs a terminal", hint="run it in one, or pass CLAUDE_CODE_OAUTH_TOKEN on")
    folder = ctx.layout.agent(agent).claude_config
    make_private_folder(folder)
    env = {k: v for k, v in os.environ.items() if k not in _OTHER_LOGINS}
    env["CLAUDE_CONFIG_DIR"] = str(folder)
    try:
        code = subprocess.run(command, env=env, check=False).returncode
    except OSError as error:
        raise FleetError(
            doing, f"{command[0]!r} cannot be started: {error.strerror}", hint="install it, or set claude.command"
        ) from error
    if code != 0:
        raise FleetError(doing, f"the login of {command[0]!r} ended with exit code {code}")
    say(f"next: `fleet restart {agent}`")
    return 0

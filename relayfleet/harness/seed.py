"""What an isolated configuration of Claude Code needs so that a session starts without any dialog.

Observed of 2.1.328: `.claude.json` with `hasCompletedOnboarding`, the work folder trusted, and the last 20 characters
of an API key approved. The CLI writes to the same file, so it is merged, never replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from relayfleet.model.approval import HOOK_TIMEOUT_S
from relayfleet.model.permission import Rule
from relayfleet.store.files import make_private_folder, write_atomic

T = TypeVar("T", dict[str, Any], list[Any])


def seed_config(folder: Path, *, work: Path, api_key: str | None) -> None:
    """Raises StorageFailed."""
    make_private_folder(folder)
    state_file = folder / ".claude.json"
    try:
        state = json.loads(state_file.read_bytes())
    except (OSError, ValueError, RecursionError):
        state = {}
    if not isinstance(state, dict):
        state = {}
    state["hasCompletedOnboarding"] = True
    _part(_part(state, "projects", dict), str(work), dict)["hasTrustDialogAccepted"] = True
    if api_key:
        responses = _part(state, "customApiKeyResponses", dict)
        approved = _part(responses, "approved", list)
        if api_key[-20:] not in approved:
            approved.append(api_key[-20:])
        _part(responses, "rejected", list)
    write_atomic(state_file, json.dumps(state, indent=2).encode() + b"\n")


def _part(whole: dict[str, Any], key: str, kind: type[T]) -> T:
    """What stands there, made anew when it is of another kind."""
    found = whole.get(key)
    if not isinstance(found, kind):
        found = whole[key] = kind()
    return found


def settings(
    *,
    hook_url: str,
    hook_token: str,
    agent_dir: Path,
    bodies: Path,
    bypass: bool,
    rules: Sequence[Rule] = (),
    ask_timeout_s: int = HOOK_TIMEOUT_S,
) -> dict[str, Any]:
    """The settings of one session: its hooks, its own tools allowed, no CLAUDE.md from above its folder. Its questions
    wait `ask_timeout_s` for an answer, then it shows its own dialog. `rules` that forbid or ask are told of every call
    of their tools: without that, what Claude Code lets through by itself would pass them by."""
    hook = {
        "type": "http",
        "url": hook_url,
        "headers": {"Authorization": f"Bearer {hook_token}"},
        "timeout": 10,
    }
    watched = [rule.tool for rule in rules if rule.do != "allow"]
    before = {"PreToolUse": [{"matcher": _matcher(watched), "hooks": [hook]}]} if watched else {}
    asked = [{"hooks": [{**hook, "timeout": ask_timeout_s}]}]
    made: dict[str, Any] = {
        "hooks": {
            **{event: [{"hooks": [hook]}] for event in ("UserPromptSubmit", "Stop", "StopFailure")},
            # What the session's own `gh` calls write is not to come back to it as news.
            "PostToolUse": [{"matcher": "Bash", "hooks": [hook]}],
            **before,
            "PermissionRequest": asked,
            "Elicitation": asked,
        },
        "permissions": {
            "allow": ["mcp__relayfleet", f"Read(/{bodies}/**)"],
            # Its own policy is the operator's. A guardrail: a shell can write there all the same.
            "deny": [f"Edit(/{agent_dir}/config.json)", f"Edit(/{agent_dir}/state/**)"],
        },
        "claudeMdExcludes": _foreign_memories(agent_dir),
    }
    if bypass:
        # The operator asked for this mode in the agent's config; the dialog would wait for ever.
        made["skipDangerousModePermissionPrompt"] = True
    return made


def _matcher(tools: Sequence[str]) -> str:
    """A regular expression over the names of tools, which is what Claude Code takes."""
    if "*" in tools:
        return "*"
    return "|".join(sorted({".*".join(map(re.escape, tool.split("*"))) for tool in tools}))


def _foreign_memories(agent_dir: Path) -> list[str]:
    names = ("CLAUDE.md", "CLAUDE.local.md", ".claude/CLAUDE.md", ".claude/rules/**")
    return [str(folder / name) for folder in agent_dir.parents for name in names]


def mcp_config(
    *, shim: Sequence[str], shim_env: Mapping[str, str], others: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The MCP servers of one session: our shim, and those that the agent's config gives it."""
    ours = {"type": "stdio", "command": shim[0], "args": list(shim[1:]), "env": dict(shim_env)}
    return {"mcpServers": {**{name: dict(server) for name, server in others.items()}, "relayfleet": ours}}

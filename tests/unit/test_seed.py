"""What an isolated configuration is given, and what of it is left as it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from relayfleet.harness.seed import mcp_config, seed_config, settings
from relayfleet.model.permission import Rule

KEY = "sk-ant-api03-" + "0123456789" * 3


def seeded(folder: Path, *, before: str | None = None, key: str | None = KEY) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    if before is not None:
        (folder / ".claude.json").write_text(before)
    seed_config(folder, work=Path("/fleet/agents/a/work"), api_key=key)
    state: dict[str, Any] = json.loads((folder / ".claude.json").read_bytes())
    return state


def test_a_new_one_starts_without_any_dialog(tmp_path: Path) -> None:
    assert seeded(tmp_path / "claude") == {
        "hasCompletedOnboarding": True,
        "projects": {"/fleet/agents/a/work": {"hasTrustDialogAccepted": True}},
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
    }
    assert (tmp_path / "claude" / ".claude.json").stat().st_mode & 0o777 == 0o600
    assert KEY not in (tmp_path / "claude" / ".claude.json").read_text(), "only what the CLI itself keeps of a key"


def test_without_a_key_none_is_approved(tmp_path: Path) -> None:
    assert "customApiKeyResponses" not in seeded(tmp_path, key=None)


def test_what_the_cli_wrote_stays(tmp_path: Path) -> None:
    written = {
        "numStartups": 3,
        "projects": {"/fleet/agents/a/work": {"lastCost": 1}, "/elsewhere": {"hasTrustDialogAccepted": False}},
        "customApiKeyResponses": {"approved": ["another"], "rejected": ["never"]},
    }
    for _ in range(2):
        state = seeded(tmp_path, before=json.dumps(written))
        assert state["numStartups"] == 3
        assert state["projects"] == {
            "/fleet/agents/a/work": {"lastCost": 1, "hasTrustDialogAccepted": True},
            "/elsewhere": {"hasTrustDialogAccepted": False},
        }
        assert state["customApiKeyResponses"] == {"approved": ["another", KEY[-20:]], "rejected": ["never"]}
        written = state


@pytest.mark.parametrize("broken", ["", "{", "[]", "7"])
def test_a_file_that_cannot_be_read_is_made_anew(tmp_path: Path, broken: str) -> None:
    assert seeded(tmp_path, before=broken)["hasCompletedOnboarding"]


@pytest.mark.parametrize("odd", ['{"projects": 7}', '{"projects": {"/fleet/agents/a/work": []}}', '{"projects": null}'])
def test_a_part_that_is_none_is_made_anew_and_the_rest_stays(tmp_path: Path, odd: str) -> None:
    state = seeded(tmp_path, before=odd[:-1] + ', "customApiKeyResponses": {"approved": "all"}, "numStartups": 3}')
    assert state["projects"] == {"/fleet/agents/a/work": {"hasTrustDialogAccepted": True}}
    assert state["customApiKeyResponses"] == {"approved": [KEY[-20:]], "rejected": []}
    assert state["numStartups"] == 3


def made(*, bypass: bool = False, rules: Sequence[Rule] = ()) -> dict[str, Any]:
    return settings(
        hook_url="http://127.0.0.1:8750/hooks",
        hook_token="token",
        agent_dir=Path("/fleet/agents/a"),
        bodies=Path("/fleet/agents/a/state/bodies"),
        bypass=bypass,
        rules=rules,
    )


def test_every_hook_is_posted_with_the_token() -> None:
    hooks = made()["hooks"]
    assert set(hooks) == {
        *("UserPromptSubmit", "Stop", "StopFailure", "PostToolUse"),
        *("PermissionRequest", "Elicitation"),
    }
    for groups in hooks.values():
        ((hook,),) = (group["hooks"] for group in groups)
        assert (hook["type"], hook["url"]) == ("http", "http://127.0.0.1:8750/hooks")
        assert hook["headers"] == {"Authorization": "Bearer token"}


def test_of_its_tools_only_the_shell_is_listened_to() -> None:
    assert [group.get("matcher") for group in made()["hooks"]["PostToolUse"]] == ["Bash"]


def test_its_own_tools_and_long_texts_need_no_permission_and_nothing_else() -> None:
    assert made()["permissions"]["allow"] == ["mcp__relayfleet", "Read(//fleet/agents/a/state/bodies/**)"]


def test_its_own_policy_is_not_its_to_write() -> None:
    denied = made()["permissions"]["deny"]
    assert denied == ["Edit(//fleet/agents/a/config.json)", "Edit(//fleet/agents/a/state/**)"]


def test_what_it_asks_may_wait_for_a_day() -> None:
    hooks = made()["hooks"]
    for event in ("PermissionRequest", "Elicitation"):
        assert [hook["timeout"] for group in hooks[event] for hook in group["hooks"]] == [86_400]
        assert all("matcher" not in group for group in hooks[event])


def test_rules_that_forbid_or_ask_are_told_of_every_call_of_their_tools() -> None:
    rules = [Rule(tool="Bash", pattern="git *", do="allow"), Rule(tool="mcp__x.y__*", do="ask")]
    rules += [Rule(tool="Bash", pattern="rm*", do="deny"), Rule(tool="Bash", do="deny")]
    (group,) = made(rules=rules)["hooks"]["PreToolUse"]
    assert group["matcher"] == "Bash|mcp__x\\.y__.*"
    assert [hook["timeout"] for hook in group["hooks"]] == [10]
    (group,) = made(rules=[Rule(tool="*", pattern="secret", do="deny")])["hooks"]["PreToolUse"]
    assert group["matcher"] == "*"


def test_memories_above_the_agent_are_left_out_and_its_own_is_not() -> None:
    excluded = made()["claudeMdExcludes"]
    assert {"/fleet/agents/CLAUDE.md", "/fleet/CLAUDE.md", "/CLAUDE.md", "/fleet/.claude/CLAUDE.md"} <= set(excluded)
    assert not [path for path in excluded if path.startswith("/fleet/agents/a/")]


def test_the_bypass_dialog_is_answered_only_for_who_asked_for_that_mode() -> None:
    assert "skipDangerousModePermissionPrompt" not in made()
    assert made(bypass=True)["skipDangerousModePermissionPrompt"] is True


def test_an_agents_own_servers_stand_beside_ours_and_cannot_take_its_place() -> None:
    servers = mcp_config(
        shim=("python3", "-I", "shim.py"),
        shim_env={"TOKEN": "t"},
        others={"db": {"command": "db-server"}, "relayfleet": {"command": "another"}},
    )["mcpServers"]
    assert servers == {
        "db": {"command": "db-server"},
        "relayfleet": {"type": "stdio", "command": "python3", "args": ["-I", "shim.py"], "env": {"TOKEN": "t"}},
    }

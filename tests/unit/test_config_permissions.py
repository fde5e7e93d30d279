"""`permissions` and `notify` as they are written, layer over layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relayfleet.config.load import load_all
from relayfleet.errors import ConfigError
from relayfleet.model.layout import FleetLayout
from relayfleet.model.notice import Notify
from relayfleet.model.permission import Permissions, Rule


def load(root: Path, *, fleet: dict[str, Any] | None = None, agent: dict[str, Any] | None = None) -> Any:
    (root / "agents" / "a").mkdir(parents=True)
    (root / "fleet.json").write_text(json.dumps(fleet or {}))
    (root / "routes.json").write_text("{}")
    (root / "agents" / "a" / "config.json").write_text(json.dumps({"port": 8700, "role": "coder", **(agent or {})}))
    (spec,) = load_all(FleetLayout(root)).agents
    return spec


def test_without_a_word_a_person_is_asked_for_ever(tmp_path: Path) -> None:
    spec = load(tmp_path)
    assert spec.permissions == Permissions(timeout_s=None, on_timeout="deny", rules=())
    assert spec.notify is None


def test_a_layer_replaces_the_rules_of_the_one_below_and_keeps_the_rest(tmp_path: Path) -> None:
    low = {"timeout_s": 60, "rules": [{"tool": "Bash", "do": "deny"}]}
    middle = {"on_timeout": "allow", "rules": [{"tool": "Bash", "do": "ask"}]}
    high = {"rules": [{"tool": "Bash", "pattern": "a; b", "do": "allow", "exact": True}]}
    fleet = {"defaults": {"permissions": low}, "roles": {"coder": {"permissions": middle}}}
    spec = load(tmp_path, fleet=fleet, agent={"permissions": high})
    rule = Rule(tool="Bash", pattern="a; b", do="allow", exact=True)
    assert spec.permissions == Permissions(timeout_s=60, on_timeout="allow", rules=(rule,))


def test_null_takes_away_what_the_layers_below_said(tmp_path: Path) -> None:
    fleet = {"defaults": {"permissions": {"timeout_s": 60, "rules": [{"tool": "Bash", "do": "deny"}]}}}
    assert load(tmp_path, fleet=fleet, agent={"permissions": None}).permissions == Permissions()


def test_notify_is_the_fleets(tmp_path: Path) -> None:
    spec = load(tmp_path, fleet={"notify": {"command": "tell me", "timeout_s": 5.0}})
    assert spec.notify == Notify(command=("tell me",), timeout_s=5.0)


@pytest.mark.parametrize(
    "permissions",
    [
        *({"timeout_s": 0}, {"timeout_s": -1}, {"timeout_s": "60"}, {"on_timeout": "ask"}, {"rules": {}}, []),
        *({"rules": [{}]}, {"rules": [{"tool": "Bash"}]}, {"rules": [{"tool": "", "do": "deny"}]}, {"rule": []}),
        *({"rules": [{"tool": "Bash", "do": "perhaps"}]}, {"rules": [{"tool": "Bash", "do": "deny", "pattern": ""}]}),
        *({"rules": [{"tool": "Bash", "do": "allow", "exact": True}]}, {"rules": [{"tool": 7, "do": "allow"}]}),
        *({"rules": [{"tool": "Bash", "do": "allow", "exact": "yes", "pattern": "x"}]},),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path: Path, permissions: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, agent={"permissions": permissions})
    assert "permissions" in str(raised.value)


@pytest.mark.parametrize("notify", [{"command": []}, {"command": 7}, {"command": ""}, {"timeout_s": 0}, {"cmd": "x"}])
def test_what_is_no_command_is_refused(tmp_path: Path, notify: Any) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, fleet={"notify": notify})

"""Finds plugins: folders with a plugin.json, the root's before those shipped.

plugin.json: {"name": NAME, "module": FILE WITHOUT .py, "description": TEXT}. The name is the folder's.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from relayfleet.errors import FleetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    name: str
    description: str
    file: Path


def find_plugin(name: str, folders: Sequence[Path]) -> Plugin:
    """The first of that name. Raises FleetError when there is none, or its plugin.json is not one."""
    doing = f"load plugin {name!r}"
    for folder in folders:
        manifest = folder / name / "plugin.json"
        if manifest.is_file():
            return _read(manifest, name, doing)
    places = ", ".join(str(f) for f in folders)
    raise FleetError(doing, f"there is no {name}/plugin.json in {places}", hint="take it out of `plugins`, or add it")


def _read(manifest: Path, name: str, doing: str) -> Plugin:
    try:
        record = json.loads(manifest.read_bytes())
    except (OSError, ValueError) as error:
        raise FleetError(doing, f"{manifest}: {error}") from error
    unknown = (
        set(record) - {"$schema", "name", "module", "description"} if isinstance(record, dict) else {"not an object"}
    )
    if unknown or record.get("name") != name or not isinstance(record.get("module"), str):
        raise FleetError(
            doing,
            f"{manifest} needs `name` ({name!r}) and `module`, and may have `description`",
            hint="see docs/plugins.md",
        )
    file = manifest.parent / f"{record['module']}.py"
    if not file.is_file() or file.parent != manifest.parent:
        raise FleetError(doing, f"{manifest} names module {record['module']!r}, which is not in its folder")
    return Plugin(name=name, description=str(record.get("description", "")), file=file)


def import_plugin(plugin: Plugin) -> ModuleType:
    """Runs the plugin's module. Raises whatever that raises."""
    spec = importlib.util.spec_from_file_location(f"relayfleet_plugin_{plugin.name}", plugin.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and typing look a class's module up there
    spec.loader.exec_module(module)
    return module

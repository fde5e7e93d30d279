"""The one precedence: built-in defaults < fleet defaults < role < the agent's own file.

Objects are merged key by key. Everything else is replaced as a whole: text, numbers, lists, and what only makes sense
as a unit (one credential, one MCP server). `null` takes away what the layers below said, so that the default holds
again. Pure; standard library only, because `fleet list` uses it without the configuration models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNITS = frozenset({("credentials",), ("claude", "mcp_servers")})
BUILT_IN: Mapping[str, Any] = {"plugins": {"inbox": {}}}


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """The layers, lowest first, as one. The layers themselves are not changed."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = _over(merged, layer, ())
    return merged


def unsugar(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A layer in which `model` at the top stands where it belongs: `claude.model`."""
    plain = {k: v for k, v in layer.items() if k != "model"}
    if "model" in layer:
        claude = plain.get("claude")
        plain["claude"] = {"model": layer["model"], **(claude if isinstance(claude, Mapping) else {})}
    return plain


def _over(low: Mapping[str, Any], high: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and path not in _UNITS:
            below = merged.get(key)
            merged[key] = _over(below if isinstance(below, Mapping) else {}, value, (*path, key))
        else:
            merged[key] = value
    return merged

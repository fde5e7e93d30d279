"""JSON Schemas of the configuration files, made from the models that validate them."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel

from relayfleet.config.agent import AgentFile
from relayfleet.config.fleet import FleetFile
from relayfleet.config.routes import RoutesFile

SchemaName = Literal["fleet", "routes", "agent"]
SCHEMA_NAMES: tuple[SchemaName, ...] = get_args(SchemaName)
_MODELS: dict[SchemaName, type[BaseModel]] = {"fleet": FleetFile, "routes": RoutesFile, "agent": AgentFile}
_FILES: dict[SchemaName, str] = {"fleet": "fleet.json", "routes": "routes.json", "agent": "agents/<name>/config.json"}


def schema_of(name: SchemaName) -> dict[str, Any]:
    """The schema of one file, draft 2020-12."""
    schema = _MODELS[name].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": _FILES[name]}

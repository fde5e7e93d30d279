"""What routes.json may say."""

from __future__ import annotations

import re
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from relayfleet.config.agent import Repo, Strict, Text
from relayfleet.config.secret import kind_of, shown
from relayfleet.model.event import Kind
from relayfleet.model.filter import parse_filter
from relayfleet.model.names import fault_of_name
from relayfleet.model.route import TRUST_LEVELS, Gate, Match, Route, TrustLevel
from relayfleet.model.watch import Watch

# As on GitHub: at most 39 letters, digits and hyphens; apps end in [bot].
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\[bot\])?\Z")


def _check_watch_name(value: str) -> str:
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z", value):
        raise ValueError("must be made of letters, digits, '.', '_' and '-'")
    return value


def _check_agent_name(value: str) -> str:
    fault = fault_of_name(value)
    if fault:
        raise ValueError(fault)
    return value


def _check_trust(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        if value not in TRUST_LEVELS:
            raise ValueError(f"{shown(value)} is not one of {', '.join(TRUST_LEVELS)}, or a list of logins")
        return value
    if not isinstance(value, list):
        raise ValueError(f"must be one of {', '.join(TRUST_LEVELS)}, or a list of logins, not {kind_of(value)}")
    if not value:
        raise ValueError("names nobody")
    for login in value:
        if not isinstance(login, str) or not _LOGIN.match(login):
            raise ValueError(f"{shown(login)} is not a GitHub login")
    return value


Trust = Annotated[
    Any,
    BeforeValidator(_check_trust),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(get_args(TrustLevel))},
                {"type": "array", "items": {"type": "string"}},
                {"type": "null"},
            ]
        }
    ),
]


class WatchFile(Strict):
    name: Annotated[str, AfterValidator(_check_watch_name)] = Field(
        description="Name of the watch; routes refer to it."
    )
    kind: Kind = Field(description="What is watched.")
    repo: Repo = Field(description="The repository, as OWNER/NAME.")
    filter: Annotated[str, Field(max_length=1000)] = Field(
        "", description="As the flags of `gh issue list`, `gh pr list` or `gh run list`."
    )
    poll_sec: Annotated[float, Field(ge=1, le=86_400)] = Field(240, description="Seconds between two polls.")

    @field_validator("filter")
    @classmethod
    def _filter_is_known(cls, value: str, info: ValidationInfo) -> str:
        if "kind" in info.data:
            parse_filter(value, info.data["kind"])
        return value


class MatchFile(Strict):
    watch: Text | None = Field(None, description="Name of a watch.")
    repo: Repo | None = Field(None, description="A repository, as OWNER/NAME.")
    kind: Kind | None = Field(None, description="The kind of item.")
    label: Text | None = Field(None, description="A label that the item has.")
    author: Text | None = Field(None, description="The login of the item's author.")
    state: Text | None = Field(None, description="open, closed, merged, or the status of a run.")
    title_contains: Text | None = Field(None, description="A part of the item's title.")


class RouteFile(Strict):
    match: MatchFile = Field(description="Every key must match; an empty match is a catch-all, and is flagged.")
    to: Annotated[list[Annotated[str, AfterValidator(_check_agent_name)]], Field(min_length=1)] = Field(
        description="The agents that get the item."
    )
    trust: Trust = Field(None, description="Whose items go through; what is held back is counted and listed.")


class RoutesFile(Strict):
    """routes.json."""

    schema_: str | None = Field(None, alias="$schema", description="The JSON Schema of this file, for editors.")
    version: Annotated[int, Field(ge=1, le=1)] = Field(1, description="The version of this format.")
    watches: list[WatchFile] = Field([], description="What the router asks GitHub again and again.")
    routes: list[RouteFile] = Field([], description="Which items go to which agents.")


def to_gate(file: RoutesFile) -> Gate:
    return Gate(
        watches=tuple(Watch(**w.model_dump()) for w in file.watches),
        routes=tuple(
            Route(
                match=Match(**r.match.model_dump()),
                to=tuple(dict.fromkeys(r.to)),
                trust=tuple(r.trust) if isinstance(r.trust, list) else r.trust,
            )
            for r in file.routes
        ),
    )


def faults_of_gate(file: RoutesFile) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong between the parts: where, and what."""
    first: dict[str, int] = {}
    faults: list[tuple[tuple[str | int, ...], str]] = []
    for index, watch in enumerate(file.watches):
        if watch.name in first:
            faults.append(
                (("watches", index, "name"), f"{shown(watch.name)} is the name of watches[{first[watch.name]}], too")
            )
        first.setdefault(watch.name, index)
    return faults

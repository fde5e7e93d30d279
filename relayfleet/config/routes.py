"""What routes.json may say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from relayfleet.config.agent import Strict, check_login
from relayfleet.config.faults import did_you_mean
from relayfleet.config.secret import kind_of, shown
from relayfleet.model.change import EVENT_NAMES
from relayfleet.model.filter import CONCLUSIONS, RUN_STATUSES, parse_filter
from relayfleet.model.item import KINDS, Kind
from relayfleet.model.names import fault_of_name
from relayfleet.model.route import KEYS, Gate, Keys, Match, Route
from relayfleet.model.trust import ASSOCIATIONS, GHOST, TRUST_LABELS, TRUST_LEVELS, TrustLevel
from relayfleet.model.watch import Watch

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?/)?"
_OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_HOST}{_OWNER}/(?!\.{{1,2}}\Z)[A-Za-z0-9._-]{{1,100}}\Z")
_ADDRESSES = re.compile(rf"{_HOST}{_OWNER}/(?!\.{{1,2}}\Z)[A-Za-z0-9._*-]{{1,100}}\Z")
_MOST_VALUES = 1000
_LONGEST = 4096
STATES = ("open", "closed", "merged", *RUN_STATUSES)
_ASSOCIATIONS = (*TRUST_LABELS, *(word.lower() for word in ASSOCIATIONS if word.lower() not in TRUST_LABELS))


def _check_watch_name(value: str) -> str:
    if not re.match(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z", value):
        raise ValueError("must be made of letters, digits, '.', '_' and '-'")
    return value


def _check_agent_name(value: str) -> str:
    fault = fault_of_name(value)
    if fault:
        raise ValueError(fault)
    return value


def _check_address(value: str) -> str:
    if not _ADDRESS.match(value):
        raise ValueError("must be a repository as OWNER/NAME, or HOST/OWNER/NAME away from github.com")
    return value


def _check_addresses(value: str) -> None:
    if not _ADDRESSES.match(value):
        raise ValueError(
            "must be a repository as OWNER/NAME, or HOST/OWNER/NAME away from github.com; a * may stand in NAME"
        )


def _check_any(value: str) -> None:
    """Any text will do."""


def _one_of(words: Sequence[str]) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value.lower() not in words:
            raise ValueError(f"{shown(value)} is not one of {', '.join(words)}{did_you_mean(value, words)}")

    return check


def _any_of(check: Callable[[str], None]) -> BeforeValidator:
    """One text or a list of them, each checked. A list becomes a tuple."""

    def read(value: Any) -> Any:
        if value is None:
            return None
        values = value if isinstance(value, list) else [value]
        if not values:
            raise ValueError("is empty")
        if len(values) > _MOST_VALUES:
            raise ValueError(f"names more than {_MOST_VALUES} values")
        for one in values:
            if not isinstance(one, str):
                raise ValueError(f"must be text or a list of texts, not {_wrong_kind(value, one)}")
            if not one:
                raise ValueError("is empty")
            if len(one) > _LONGEST:
                raise ValueError(f"is longer than {_LONGEST} characters")
            check(one)
        return tuple(value) if isinstance(value, list) else value

    return BeforeValidator(read)


def _one_or_more(**one: Any) -> WithJsonSchema:
    text = {"type": "string", "minLength": 1, "maxLength": _LONGEST, **one}
    texts = {"type": "array", "items": text, "minItems": 1, "maxItems": _MOST_VALUES}
    return WithJsonSchema({"anyOf": [text, texts, {"type": "null"}]})


def _wrong_kind(value: Any, one: Any) -> str:
    return f"a list with {kind_of(one)}" if isinstance(value, list) else kind_of(value)


def _check_trust(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        if value not in TRUST_LEVELS:
            raise ValueError(
                f"{shown(value)} is not one of {', '.join(TRUST_LEVELS)}, or a list of logins"
                f"{did_you_mean(value, TRUST_LEVELS)}"
            )
        return value
    if not isinstance(value, list):
        raise ValueError(f"must be one of {', '.join(TRUST_LEVELS)}, or a list of logins, not {kind_of(value)}")
    if not value:
        raise ValueError("names nobody")
    for login in value:
        if not isinstance(login, str):
            raise ValueError(f"{shown(login)} is not a GitHub login")
        check_login(login)
        if login.lower() == GHOST:
            raise ValueError(f"{shown(login)} stands for everybody whose account is no more: nobody can be told by it")
    return value


def _check_bot(value: str) -> str:
    check_login(value)
    if not value.lower().endswith("[bot]"):
        raise ValueError(f"{shown(value)} is not the login of a bot: these end in [bot]")
    return value


Texts = Annotated[Any, _any_of(_check_any), _one_or_more()]
Logins = Annotated[Any, _any_of(check_login), _one_or_more()]
Addresses = Annotated[Any, _any_of(_check_addresses), _one_or_more()]
Kinds = Annotated[Any, _any_of(_one_of(KINDS)), _one_or_more(enum=list(KINDS))]
States = Annotated[Any, _any_of(_one_of(STATES)), _one_or_more(enum=list(STATES))]
Events = Annotated[Any, _any_of(_one_of(EVENT_NAMES)), _one_or_more(enum=list(EVENT_NAMES))]
Conclusions = Annotated[Any, _any_of(_one_of(CONCLUSIONS)), _one_or_more(enum=list(CONCLUSIONS))]
Associations = Annotated[Any, _any_of(_one_of(_ASSOCIATIONS)), _one_or_more(enum=list(_ASSOCIATIONS))]
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
    repo: Annotated[str, AfterValidator(_check_address)] = Field(
        description="The repository, as OWNER/NAME, or HOST/OWNER/NAME away from github.com."
    )
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


class KeysFile(Strict):
    watch: Texts = Field(None, description="Name of a watch.")
    repo: Addresses = Field(None, description="A repository, as in a watch; a `*` may stand in its name.")
    kind: Kinds = Field(None, description="The kind of item.")
    label: Texts = Field(None, description="A label that the item has.")
    author: Logins = Field(None, description="The login of the item's author.")
    association: Associations = Field(None, description="What the item's author is to the repository.")
    assignee: Logins = Field(None, description="The login of one to whom the item is assigned.")
    state: States = Field(None, description="The item's state; of a run its status or its conclusion.")
    event: Events = Field(None, description="One of the things that happened.")
    draft: bool | None = Field(None, description="Whether a pull request is a draft.")
    base: Texts = Field(None, description="The branch that a pull request is to go into; `*` stands for anything.")
    branch: Texts = Field(None, description="The branch of a pull request or a run; `*` stands for anything.")
    workflow: Texts = Field(None, description="A run's workflow, by its name or its file's.")
    conclusion: Conclusions = Field(None, description="What a run came to.")
    title_contains: Texts = Field(None, description="A part of the item's title.")
    body_contains: Texts = Field(None, description="A part of the item's body, or of a new comment's or review's.")

    def given(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in KEYS}


class MatchFile(KeysFile):
    not_: KeysFile | None = Field(
        None, alias="not", description="The keys of a match; an event is left out when one of them holds."
    )

    @field_validator("not_")
    @classmethod
    def _leaves_something_out(cls, value: KeysFile | None) -> KeysFile | None:
        if value is not None and all(wanted is None for wanted in value.given().values()):
            raise ValueError("is empty")
        return value


class RouteFile(Strict):
    match: MatchFile = Field(description="Every key must match; an empty match is a catch-all, and is flagged.")
    to: Annotated[list[Annotated[str, AfterValidator(_check_agent_name)]], Field(min_length=1)] = Field(
        description="The agents that get the event."
    )
    trust: Trust = Field(None, description="Whose texts go through; what is held back is kept apart and listed.")
    bots: list[Annotated[str, AfterValidator(_check_bot)]] = Field(
        [], description="Logins of the bots whose texts go through; no level of trust lets one through."
    )
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(
        0, description="What is owed with a higher one is delivered first."
    )
    cooldown_s: Annotated[float, Field(ge=0, le=2_592_000)] = Field(
        0, description="Seconds after an entry for which further ones about the same item wait; then they come as one."
    )


class RoutesFile(Strict):
    """routes.json."""

    schema_: str | None = Field(None, alias="$schema", description="The JSON Schema of this file, for editors.")
    version: Annotated[int, Field(ge=1, le=1)] = Field(1, description="The version of this format.")
    watches: list[WatchFile] = Field([], description="What the router asks GitHub again and again.")
    routes: list[RouteFile] = Field([], description="Which events go to which agents.")


def to_gate(file: RoutesFile) -> Gate:
    return Gate(
        watches=tuple(Watch(**w.model_dump()) for w in file.watches),
        routes=tuple(
            Route(
                match=Match(**r.match.given(), not_=Keys(**r.match.not_.given()) if r.match.not_ else Keys()),
                to=tuple(dict.fromkeys(r.to)),
                trust=tuple(r.trust) if isinstance(r.trust, list) else r.trust,
                bots=tuple(dict.fromkeys(r.bots)),
                priority=r.priority,
                cooldown_s=r.cooldown_s,
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

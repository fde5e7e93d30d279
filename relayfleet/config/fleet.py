"""What fleet.json may say."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from relayfleet.config.agent import (
    Argv,
    EnvName,
    Port,
    SecretFile,
    Settings,
    Strict,
    Text,
    Url,
    check_login,
    to_credential,
)
from relayfleet.model.fleet import (
    FIRST_PORT,
    FleetConfig,
    Gateway,
    GithubAccount,
    Host,
    HostBackend,
    HostOs,
    Limits,
)
from relayfleet.model.item import GITHUB
from relayfleet.model.names import FLEET_ID_DIGITS, Role, is_fleet_id
from relayfleet.model.notice import Notify


def _check_id(value: str) -> str:
    if not is_fleet_id(value):
        raise ValueError(f"must be {FLEET_ID_DIGITS} hexadecimal digits, as `fleet init` makes them")
    return value


def _check_fleet_name(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}", value):
        raise ValueError(
            "must be at most 60 letters, digits, blanks, '.', '_' and '-', and begin with a letter or digit"
        )
    return value


def _check_host_name(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", value):
        raise ValueError("the name of a host is made of letters, digits, '.', '_' and '-'")
    return value


def _check_account_name(value: str) -> str:
    # The login of gh on a host goes by the name of the host, which has a dot or is `localhost`.
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,39}", value) or value == "localhost":
        raise ValueError("the name of an account is made of letters, digits, '_' and '-'")
    return value


def _check_github_host(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", value):
        raise ValueError("must be a host's name in lower case, such as github.com")
    return value


def _check_destination(value: str) -> str:
    # What begins with a hyphen would be an option of ssh.
    if value.startswith("-") or any(c.isspace() for c in value):
        raise ValueError("must be an ssh destination such as you@10.0.0.5")
    return value


class HostFile(Strict):
    backend: HostBackend = Field("ssh", description="How it is reached.")
    host: Annotated[Text, AfterValidator(_check_destination)] | None = Field(None, description="The ssh destination.")
    workdir: Text | None = Field(None, description="The fleet's folder there.")
    os: HostOs = Field("linux", description="Its operating system.")

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.backend == "ssh" and not self.host:
            raise ValueError("an ssh host needs its destination in host (you@10.0.0.5)")
        return self


class GatewayFile(Strict):
    enabled: bool = Field(False, description="Use the fleet's gateway.")
    url: Url | None = Field(None, description="Where agents reach it.")
    secret_env: EnvName = Field("RELAYFLEET_GATEWAY_SECRET", description="The variable that holds its secret.")


class NotifyFile(Strict):
    command: Argv | None = Field(
        None, description="A program of yours that is run when an approval appears, an agent dies or a letter is dead."
    )
    timeout_s: Annotated[float, Field(ge=1, le=600)] = Field(30.0, description="How long it may take.")


class GithubAccountFile(Strict):
    host: Annotated[str, AfterValidator(_check_github_host)] = Field(GITHUB, description="The GitHub host.")
    owners: Annotated[list[Annotated[str, AfterValidator(check_login)]], Field(min_length=1)] | None = Field(
        None, description="It is for the repositories of these; left out, for all on that host."
    )
    token: SecretFile | None = Field(
        None, description="Where its token comes from; left out, the login that gh itself has there."
    )


class GithubFile(Strict):
    command: Argv = Field(["gh"], description="The gh program: its name or path, or a list with arguments.")
    accounts: dict[Annotated[str, AfterValidator(_check_account_name)], GithubAccountFile] = Field(
        {},
        description="Ways to look at GitHub, each with an allowance of its own. A watch goes by the first one that its"
        " repository is for, or else by the login that gh has on that host.",
    )


class PortsFile(Strict):
    first: Port = Field(FIRST_PORT, description="new-agent gives the first free port from here on.")


class LimitsFile(Strict):
    max_agents: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        None, description="At most this many agents run at once; left out, as many as are wanted."
    )
    min_free_mb: Annotated[int, Field(ge=0, le=100_000_000)] = Field(
        0, description="An agent is started only while this much memory stays available on the machine."
    )


class FleetFile(Strict):
    """fleet.json."""

    schema_: str | None = Field(None, alias="$schema", description="The JSON Schema of this file, for editors.")
    version: Literal[1] = Field(1, description="The version of this format.")
    id: Annotated[str, AfterValidator(_check_id)] | None = Field(
        None, description="Made by `fleet init`; keys sockets and locks."
    )
    name: Annotated[str, AfterValidator(_check_fleet_name)] | None = Field(
        None, description="Name of the fleet (default: the folder's name)."
    )
    defaults: Settings = Field(default_factory=Settings, description="Settings of every agent.")
    roles: dict[Role, Settings] = Field({}, description="Settings of every agent of a role.")
    hosts: dict[Annotated[str, AfterValidator(_check_host_name)], HostFile] = Field(
        {}, description="Hosts that agents can be placed on."
    )
    gateway: GatewayFile = Field(default_factory=GatewayFile, description="The fleet's gateway to the model.")
    notify: NotifyFile = Field(default_factory=NotifyFile, description="How you are told of what should not wait.")
    github: GithubFile = Field(default_factory=GithubFile, description="How GitHub is reached.")
    ports: PortsFile = Field(default_factory=PortsFile, description="The ports of runners.")
    limits: LimitsFile = Field(
        default_factory=LimitsFile,
        description="How much of this machine agents may take; a start that would not fit waits.",
    )


def to_fleet(file: FleetFile, *, folder: str) -> FleetConfig:
    """`folder` is the name that a fleet without one goes by."""
    return FleetConfig(
        name=file.name or folder,
        id=file.id,
        hosts={name: Host(**h.model_dump()) for name, h in file.hosts.items()},
        gateway=Gateway(**file.gateway.model_dump()),
        github_command=tuple(file.github.command),
        github_accounts=tuple(_account(name, account) for name, account in file.github.accounts.items()),
        first_port=file.ports.first,
        notify=Notify(command=tuple(file.notify.command), timeout_s=file.notify.timeout_s)
        if file.notify.command
        else None,
        limits=Limits(**file.limits.model_dump()),
    )


def _account(name: str, file: GithubAccountFile) -> GithubAccount:
    return GithubAccount(
        name=name,
        host=file.host,
        owners=tuple(file.owners) if file.owners is not None else None,
        token=to_credential(file.token.model_dump()) if file.token is not None else None,
    )

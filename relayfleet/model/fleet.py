"""What fleet.json says of the fleet as a whole; its settings for agents are merged into each `AgentSpec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from relayfleet.model.agent import Credential
from relayfleet.model.item import GITHUB
from relayfleet.model.notice import Notify

HostBackend = Literal["ssh", "docker"]
HostOs = Literal["linux", "windows"]
FIRST_PORT = 8700


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A place that agents can be put on. `host` is the ssh destination, `workdir` the fleet's folder there."""

    backend: HostBackend = "ssh"
    host: str | None = None
    workdir: str | None = None
    os: HostOs = "linux"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """`secret_env` names the environment variable that holds the secret which sentinels are made from."""

    enabled: bool = False
    url: str | None = None
    secret_env: str = "RELAYFLEET_GATEWAY_SECRET"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubAccount:
    """A way to look at one GitHub host, with an allowance of its own: for the repositories of `owners`, or of everybody
    there when it is None. `token` says where its token comes from; None is the login that `gh` itself has there."""

    name: str
    host: str = GITHUB
    owners: tuple[str, ...] | None = None
    token: Credential | None = None


def account_for(accounts: Sequence[GithubAccount], *, host: str, owner: str) -> GithubAccount:
    """The first account that is for the repositories of this owner, else the host's own, which is called after it."""
    for account in accounts:
        if account.host == host and (
            account.owners is None or owner.casefold() in (one.casefold() for one in account.owners)
        ):
            return account
    return GithubAccount(name=host, host=host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of this machine the fleet's agents may take. None and 0 set no bound."""

    max_agents: int | None = None
    min_free_mb: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetConfig:
    """`id` is None until `fleet init`, the first `fleet new-agent` or the first start has written one."""

    name: str
    id: str | None = None
    hosts: Mapping[str, Host] = field(default_factory=dict)
    gateway: Gateway = field(default_factory=Gateway)
    github_command: tuple[str, ...] = ("gh",)
    github_accounts: tuple[GithubAccount, ...] = ()
    first_port: int = FIRST_PORT
    notify: Notify | None = None
    limits: Limits = field(default_factory=Limits)

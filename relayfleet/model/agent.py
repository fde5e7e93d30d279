"""An agent as it is to run: fleet defaults, role and its own config.json merged and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from relayfleet.model.names import AgentName, Role
from relayfleet.model.notice import Notify
from relayfleet.model.permission import Permissions

BackendName = Literal["local", "docker", "ssh"]
InboxTransport = Literal["file", "shared", "ssh", "http"]
EndpointMode = Literal["default", "custom", "gateway"]
SessionMode = Literal["interactive", "headless"]
InboxMode = Literal["turn", "steer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the model traffic goes. `url` is set for `custom` only."""

    mode: EndpointMode = "default"
    url: str | None = None
    via_gateway: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claude:
    """How the session is started. `permission_mode` None leaves the CLI's own default."""

    command: tuple[str, ...] = ("claude",)
    args: tuple[str, ...] = ()
    model: str | None = None
    permission_mode: str | None = None
    isolate_config: bool = True
    inherit_auth: bool = True
    channels: bool = False
    endpoint: Endpoint = field(default_factory=Endpoint)
    mcp_servers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential: exactly one source, and when it is lent to a session exactly one place there. `mode` is the
    file's mode (octal digits)."""

    from_env: str | None = None
    from_file: str | None = None
    from_command: tuple[str, ...] | None = None
    as_env: str | None = None
    as_file: str | None = None
    mode: str = "0600"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Where the runner lives. `host` names an entry of the hosts registry, or is an ssh destination."""

    backend: BackendName = "local"
    host: str | None = None
    inbox_transport: InboxTransport = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPolicy:
    """How entries are offered: `turn` waits for an idle session, `steer` gives them to a busy one, too; up to `batch`
    together. One that was not seen within `ttl_s` is dead (0: never). After `seen_timeout_s` idle seconds without a
    receipt it is offered again, `max_attempts` times in all."""

    mode: InboxMode = "turn"
    batch: int = 1
    ttl_s: float = 0.0
    seen_timeout_s: float = 15.0
    max_attempts: int = 5
    max_turn_chars: int = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How the session runs: `interactive` in a terminal of its own, or `headless`, spoken to by messages. One that
    claims to work and shows no sign of life for `unresponsive_s` is called unresponsive."""

    mode: SessionMode = "interactive"
    unresponsive_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """Everything a runner needs to know; holds no secret (credentials name their sources). `github_login` is the login
    that is this agent's alone, empty when it has none."""

    name: AgentName
    role: Role
    fleet: str
    fleet_id: str
    port: int
    repo: str | None = None
    github_login: str = ""
    remote_control: bool = True
    ssh_agent: bool = False
    claude: Claude = field(default_factory=Claude)
    runtime: Runtime = field(default_factory=Runtime)
    session: Session = field(default_factory=Session)
    inbox: InboxPolicy = field(default_factory=InboxPolicy)
    permissions: Permissions = field(default_factory=Permissions)
    notify: Notify | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

"""What agents/<name>/config.json may say, and what fleet.json may say for all agents or for a role.

Every key may be left out; what is left out comes from the layers below (see `precedence.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from relayfleet.config.secret import kind_of, shown
from relayfleet.model.agent import BackendName, Credential, EndpointMode, InboxMode, InboxTransport, SessionMode
from relayfleet.model.names import Role
from relayfleet.model.permission import Act, OnTimeout

# What the runner sets itself: the session's identity and its way to the fleet would be another one otherwise.
_RUNNER_SETS = re.compile(
    r"CLAUDE_CONFIG_DIR|DISABLE_AUTOUPDATER|RELAYFLEET_.*|CLAUDE_CODE_(SESSION_ID|MESSAGING_.*)", re.IGNORECASE
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_REPO = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}\Z")
_PLUGIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
# As on GitHub: at most 39 letters, digits and hyphens, and in accounts that a company manages an underscore; apps end
# in [bot].
_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}(?:\[bot\])?\Z")
_FILE_MODE = re.compile(r"0?[0-7]{3}\Z")


class Strict(BaseModel):
    """Unknown keys are refused, and nothing is converted: "8700" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _as_argv(value: Any) -> Any:
    """A string is one program, spaces and all; arguments need a list."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError(f"must be text or a list of texts, not {kind_of(value)}")
    if not value or not value[0].strip():
        raise ValueError("names no program")
    return value


def _check_word(value: str) -> str:
    if any(c.isspace() for c in value):
        raise ValueError("must not hold blanks")
    return value


def _check_repo(value: str) -> str:
    if not _REPO.match(value):
        raise ValueError("must be a repository as OWNER/NAME")
    return value


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        well_formed = False
    if not well_formed or re.search(r"[\s\x00-\x20]", value):
        raise ValueError("must be a URL that begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a password: give the key through credentials")
    return value


def _check_env_name(value: str) -> str:
    if not _ENV_NAME.match(value):
        raise ValueError("must be the name of an environment variable (letters, digits, _)")
    return value


def check_session_env(value: str) -> str:
    """The name of a variable that the session is to get. Raises ValueError."""
    if _RUNNER_SETS.fullmatch(_check_env_name(value)):
        raise ValueError(f"{value} is set by the runner and cannot be set here")
    return value


def _check_plugin_name(value: str) -> str:
    if not _PLUGIN_NAME.match(value):
        raise ValueError("must be the name of a folder in plugins/ (letters, digits, _ and -)")
    return value


def _check_server_name(value: str) -> str:
    if value == "relayfleet" or not _PLUGIN_NAME.match(value):
        raise ValueError("must be made of letters, digits, _ and -, and not be relayfleet")
    return value


def _check_server(value: dict[str, Any]) -> dict[str, Any]:
    if not any(isinstance(value.get(key), str) and value[key] for key in ("command", "url")):
        raise ValueError("must have a command (a local server) or a url")
    return value


def _check_target(value: str) -> str:
    if not value.strip() or ".." in value.replace("\\", "/").split("/"):
        raise ValueError("must be a path without ..")
    return value


def _check_mode(value: str) -> str:
    if not _FILE_MODE.match(value):
        raise ValueError('must be octal digits such as "0600"')
    if int(value, 8) & 0o022:
        raise ValueError("would let others write the file")
    return value


def check_login(value: str) -> str:
    """Raises ValueError."""
    if not _LOGIN.match(value):
        raise ValueError(f"{shown(value)} is not a GitHub login")
    return value


Argv = Annotated[
    list[str],
    BeforeValidator(_as_argv),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
Repo = Annotated[str, AfterValidator(_check_repo)]
Url = Annotated[str, AfterValidator(_check_url)]
EnvName = Annotated[str, AfterValidator(_check_env_name)]
SessionEnvName = Annotated[str, AfterValidator(check_session_env)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_word)]
Port = Annotated[int, Field(ge=1024, le=65535)]


class EndpointFile(Strict):
    mode: EndpointMode | None = Field(None, description="Where the model traffic goes: default is Anthropic itself.")
    url: Url | None = Field(None, description="The Anthropic-compatible server, for mode custom.")
    via_gateway: bool | None = Field(None, description="Send a custom endpoint through the fleet's gateway, too.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mode in ("default", "gateway") and self.url is not None:
            raise ValueError(f"a url is for mode custom, not for mode {self.mode}")
        if self.mode in ("default", "gateway") and self.via_gateway:
            raise ValueError(f"via_gateway is for mode custom, not for mode {self.mode}")
        return self


class ClaudeFile(Strict):
    command: Argv | None = Field(None, description="The program: its name or path, or a list with arguments.")
    args: list[str] | None = Field(None, description="More arguments for every start.")
    model: Word | None = Field(None, description="The model of the session.")
    permission_mode: Word | None = Field(None, description="As `claude --permission-mode`; left out: the CLI's own.")
    isolate_config: bool | None = Field(None, description="Use a CLAUDE_CONFIG_DIR of its own (default true).")
    inherit_auth: bool | None = Field(
        None, description="Pass the machine's CLAUDE_CODE_OAUTH_TOKEN or ANTHROPIC_API_KEY (default true)."
    )
    channels: bool | None = Field(None, description="Ask for delivery by channel notification (default false).")
    endpoint: EndpointFile | None = Field(None, description="Where the model traffic goes.")
    mcp_servers: (
        dict[
            Annotated[str, AfterValidator(_check_server_name)],
            Annotated[dict[str, Any], AfterValidator(_check_server)] | None,
        ]
        | None
    ) = Field(None, description="MCP servers of the agent's own, as in an .mcp.json.")


class RuntimeFile(Strict):
    backend: BackendName | None = Field(None, description="Where the runner lives (default local).")
    host: Word | None = Field(None, description="A host of the registry in fleet.json, or USER@HOST.")
    inbox_transport: InboxTransport | None = Field(None, description="How entries reach the inbox (default file).")


class SessionFile(Strict):
    mode: SessionMode | None = Field(
        None, description="interactive (default): in a terminal of its own; headless: spoken to by messages."
    )
    unresponsive_s: Annotated[float, Field(ge=5, le=86_400)] | None = Field(
        None, description="Seconds without a sign of life after which a working session is called unresponsive (600)."
    )


class InboxFile(Strict):
    mode: InboxMode | None = Field(
        None,
        description="turn (default): entries wait for an idle session; steer: a busy one gets them, too.",
    )
    batch: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Up to so many waiting entries go as one turn (default 1)."
    )
    ttl_s: Annotated[float, Field(ge=0, le=31_536_000)] | None = Field(
        None, description="Seconds after which an entry that was not seen is a dead letter (default 0: never)."
    )
    seen_timeout_s: Annotated[float, Field(ge=1, le=3600)] | None = Field(
        None, description="Idle seconds without a receipt after which an entry is offered again (default 15)."
    )
    max_attempts: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Offers after which an entry is a dead letter (default 5)."
    )
    max_turn_chars: Annotated[int, Field(ge=500, le=1_000_000)] | None = Field(
        None, description="Longer texts are cut, with a pointer to the full text (default 16000)."
    )


class RuleFile(Strict):
    tool: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="The tool, such as Bash or mcp__github__*; * is anything."
    )
    do: Act = Field(description="allow, deny, or ask a person.")
    pattern: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        None, description="Of its main input (command, file_path, url); * is anything. Left out: every call."
    )
    exact: bool = Field(False, description="The pattern is the whole input to the letter, shell operators and all.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.exact and self.pattern is None:
            raise ValueError("exact needs a pattern")
        return self


class PermissionsFile(Strict):
    timeout_s: Annotated[float, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="How long a person is waited for; left out, for ever."
    )
    on_timeout: OnTimeout | None = Field(None, description="What is answered then (default deny).")
    rules: Annotated[list[RuleFile], Field(max_length=1000)] | None = Field(
        None, description="What is decided without asking: the first rule that matches. A list replaces the one below."
    )


class SecretFile(Strict):
    """Where a secret comes from."""

    from_env: EnvName | None = Field(None, description="A variable of the machine's environment.")
    from_file: Text | None = Field(None, description="A file on this machine.")
    from_command: Argv | None = Field(None, description="A program that prints it.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [k for k in ("from_env", "from_file", "from_command") if getattr(self, k) is not None]
        if len(sources) != 1:
            found = f"it has {' and '.join(sources)}" if sources else "it has none"
            raise ValueError(f"needs exactly one source (from_env, from_file or from_command), {found}")
        return self


class CredentialFile(SecretFile):
    as_env: SessionEnvName | None = Field(None, description="The variable that the session gets.")
    as_file: Annotated[str, AfterValidator(_check_target)] | None = Field(
        None, description="The file that the session gets."
    )
    mode: Annotated[str, AfterValidator(_check_mode)] | None = Field(None, description='Mode of as_file: "0600".')

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        places = [k for k in ("as_env", "as_file") if getattr(self, k) is not None]
        if len(places) != 1:
            found = f"it has {' and '.join(places)}" if places else "it has none"
            raise ValueError(f"needs exactly one place (as_env or as_file), {found}")
        if self.mode is not None and self.as_file is None:
            raise ValueError("mode is for as_file only")
        return self


class Settings(Strict):
    """What can be said for all agents, for a role, or for one agent."""

    repo: Repo | None = Field(None, description="The GitHub repository that the agent works on.")
    model: Word | None = Field(None, description="The model of the session; the same as claude.model.")
    remote_control: bool | None = Field(None, description="Offer the session to Claude's remote control.")
    ssh_agent: bool | None = Field(None, description="Let the session use the operator's SSH agent (default false).")
    plugins: dict[Annotated[str, AfterValidator(_check_plugin_name)], dict[str, Any] | None] | None = Field(
        None, description='Plugins and their configuration; {"inbox": {}} unless taken out with null.'
    )
    runtime: RuntimeFile | None = Field(None, description="Where the runner lives.")
    claude: ClaudeFile | None = Field(None, description="How the session is started.")
    session: SessionFile | None = Field(None, description="How the session runs.")
    inbox: InboxFile | None = Field(None, description="How entries are offered.")
    permissions: PermissionsFile | None = Field(None, description="Who decides what the session may do.")
    env: dict[SessionEnvName, str | None] | None = Field(
        None, description="More environment for the session. No secrets: use credentials."
    )
    credentials: dict[Word, CredentialFile | None] | None = Field(
        None, description="The credentials that this agent gets, and no others."
    )

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        other = self.claude.model if self.claude else None
        if self.model and other and self.model != other:
            raise ValueError("model and claude.model name different models")
        return self


class GithubIdentityFile(Strict):
    login: Annotated[str, AfterValidator(check_login)] | None = Field(
        None, description="The login that is this agent's alone: what is written under it is not news to the agent."
    )


class AgentFile(Settings):
    """agents/<name>/config.json."""

    schema_: str | None = Field(None, alias="$schema", description="The JSON Schema of this file, for editors.")
    name: str | None = Field(None, description="The same as the folder's name.")
    role: Role = Field("base", description="What kind of agent it is.")
    port: Port | None = Field(None, description="The runner's loopback port; no other agent has it.")
    github: GithubIdentityFile = Field(default_factory=GithubIdentityFile, description="Who it is on GitHub.")


def to_credential(value: Mapping[str, Any]) -> Credential:
    """Of a credential or a secret that was found sound."""
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if v is not None}
    return Credential(**given)

"""The environment of a session: an allow-list of the operator's, plus what the agent's config grants. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relayfleet.model.agent import AgentSpec

# HOME, git and gh settings are passed so that the agent can commit, push and comment as its operator set that up.
PASSED = frozenset(
    (
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LANGUAGE", "TERM", "COLORTERM", "TZ", "TMPDIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("GIT_CONFIG_GLOBAL", "GIT_SSL_CAINFO", "GH_CONFIG_DIR", "GH_HOST"),
        *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"),
    )
)
PASSED_PREFIX = "LC_"
INHERITED_AUTH = ("CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY")
_LOOPBACK = "localhost,127.0.0.1,::1"


def session_environment(
    spec: AgentSpec,
    *,
    operator: Mapping[str, str],
    lent: Mapping[str, str],
    root: Path,
    claude_config: Path | None,
    session_id: str,
    fleet_bin: Path,
) -> dict[str, str]:
    """Everything that the session's process gets. `lent` are the credentials that its config grants as variables."""
    env = {k: v for k, v in operator.items() if k in PASSED or k.startswith(PASSED_PREFIX)}
    env.setdefault("TERM", "xterm-256color")
    if any(k.lower() in ("http_proxy", "https_proxy", "all_proxy") for k in env):
        known = env.get("NO_PROXY") or env.get("no_proxy") or ""
        env["NO_PROXY"] = env["no_proxy"] = f"{known},{_LOOPBACK}".lstrip(",")
    if spec.ssh_agent and "SSH_AUTH_SOCK" in operator:
        env["SSH_AUTH_SOCK"] = operator["SSH_AUTH_SOCK"]
    # A token of the operator's goes to the operator's own endpoint only, never to a custom one.
    if spec.claude.inherit_auth and spec.claude.endpoint.mode == "default":
        env |= {k: operator[k] for k in INHERITED_AUTH if operator.get(k)}
    env |= spec.env
    env |= lent
    if spec.claude.endpoint.mode == "custom" and spec.claude.endpoint.url:
        env["ANTHROPIC_BASE_URL"] = spec.claude.endpoint.url
    if claude_config is not None:
        env["CLAUDE_CONFIG_DIR"] = str(claude_config)
    elif operator.get("CLAUDE_CONFIG_DIR"):
        env["CLAUDE_CONFIG_DIR"] = operator["CLAUDE_CONFIG_DIR"]
    return env | {
        "DISABLE_AUTOUPDATER": "1",
        "PATH": f"{fleet_bin}:{env.get('PATH', '/usr/local/bin:/usr/bin:/bin')}",
        "RELAYFLEET_AGENT": spec.name,
        "RELAYFLEET_ROOT": str(root),
        "RELAYFLEET_SESSION": session_id,
    }

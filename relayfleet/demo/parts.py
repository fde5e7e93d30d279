"""The embedded parts of `fleet demo`: a GitHub stand-in, a `gh` that speaks to it, and scripted sessions."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from relayfleet.errors import FleetError

AGENT = "demo-coder"
WATCH = "demo-issues"
PAYLOADS = Path(__file__).parent / "github" / "payloads"
_UP_WITHIN_S = 15.0


def opened_issue() -> dict[str, Any]:
    """A recorded `issues.opened` webhook payload."""
    payload: dict[str, Any] = json.loads((PAYLOADS / "issues.opened.json").read_bytes())
    return payload


def fleet_settings() -> dict[str, Any]:
    """What fleet.json says besides the name, so that the fleet runs on these parts."""
    session = Path(__file__).with_name("session.py")
    return {
        "github": {"command": [sys.executable, "-m", "relayfleet.demo.gh"]},
        "defaults": {
            "remote_control": False,
            "claude": {"command": [sys.executable, "-I", "-S", str(session)]},
        },
    }


def gate(repo: str) -> dict[str, Any]:
    """routes.json: every open issue of `repo` goes to the agent."""
    watch = {"name": WATCH, "kind": "issues", "repo": repo, "filter": "--state open", "poll_sec": 1}
    return {"watches": [watch], "routes": [{"match": {"watch": WATCH}, "to": [AGENT]}]}


class GitHubProcess:
    """The stand-in, running. `env` points a `gh` at it."""

    def __init__(self, folder: Path) -> None:
        """`folder` is private and short: a socket goes there. Raises FleetError when it does not come up."""
        self._socket = folder / "github.sock"
        config = folder / "gh"
        config.mkdir(mode=0o700)
        (config / "config.yml").write_text(f"http_unix_socket: {self._socket}\n", encoding="utf-8")
        self.env = {"GH_CONFIG_DIR": str(config), "GH_TOKEN": "stand-in"}
        with (folder / "github.err").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "relayfleet.demo.github", str(self._socket)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        deadline = time.monotonic() + _UP_WITHIN_S
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                said = (folder / "github.err").read_text(encoding="utf-8", errors="replace")
                raise FleetError(
                    "start the GitHub stand-in",
                    said.strip().splitlines()[-1] if said.strip() else "it does not come up",
                    hint='its libraries come with `pip install ".[demo]"`',
                )
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        return self._process.pid

    def control(self, verb: str, sent: dict[str, Any]) -> dict[str, Any]:
        """One request to the control plane of the stand-in."""
        connection = http.client.HTTPConnection("github", timeout=10)
        if sys.platform == "win32":
            raise FleetError("reach the GitHub stand-in", "this system has no unix sockets")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(self._socket))
        try:
            connection.request("POST", f"/_control/{verb}", json.dumps(sent), {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

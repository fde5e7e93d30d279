"""A scripted session: it shows a runner the same sides as the real `claude` does, and needs no model.

`claude.command` names it: `["python3", "-I", "-S", "<this file>"]`. It starts the MCP servers of --mcp-config, has an
inbox socket, keeps a registry entry and a transcript in CLAUDE_CONFIG_DIR, and posts the hooks of --settings. What a
turn does is written in its text: `[[sleep SECONDS]]`, `[[tool NAME {"json": "arguments"}]]`, `[[exit CODE]]`, `[[print
TIMES BASE64]]` for bytes on its terminal; anything else is answered at once. Esc on its terminal interrupts a turn, as
it does in the real one.

Formats observed of Claude Code 2.1.328. Standard library alone: many of them are started at once.
"""

import sys

assert sys.platform != "win32", "a scripted session needs unix sockets"

VERSION = "2.1.328"
if __name__ == "__main__" and "--version" in sys.argv:
    print(f"{VERSION} (scripted)")  # before the imports: it is asked at every start
    sys.exit(0)

import base64  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
import tty  # noqa: E402
from typing import Any  # noqa: E402

_DIRECTIVE = re.compile(r"\[\[(sleep|tool|exit|print)\s+(.*?)\]\]", re.S)
_HOOK_TIMEOUT_S = 10.0


class McpServer:
    """One stdio MCP server, spoken to request by request."""

    def __init__(self, name: str, config: dict[str, Any], session_env: dict[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [config["command"], *config.get("args", [])],
            env={**os.environ, **session_env, **config.get("env", {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._next = 0
        self.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "s"}})
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.tools = [tool["name"] for tool in self.request("tools/list", {})["tools"]]

    def request(self, method: str, params: dict[str, Any]) -> Any:
        self._next += 1
        self._write({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            if not line:
                raise SystemExit(f"MCP server {self.name!r} went away")
            message = json.loads(line)
            if message.get("id") == self._next:
                return message.get("result") or message.get("error")

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


class Session:
    """Takes one turn at a time."""

    def __init__(self, session_id: str, settings: dict[str, Any], servers: dict[str, Any]) -> None:
        self.id = session_id
        self._settings = settings
        self._config = os.environ["CLAUDE_CONFIG_DIR"]
        self._registry = os.path.join(self._config, "sessions", f"{os.getpid()}.json")
        slug = re.sub(r"[^A-Za-z0-9]", "-", os.getcwd())
        self.transcript = os.path.join(self._config, "projects", slug, f"{session_id}.jsonl")
        self._path = f"/tmp/scripted-{os.getpid()}-{os.urandom(4).hex()}.sock"  # noqa: S108 - bound at once, 0600
        self._token = os.urandom(16).hex()
        os.umask(0o077)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self._path)
        self._listener.listen(16)
        env = {"CLAUDE_CODE_MESSAGING_SOCKET": self._path, "CLAUDE_CODE_MESSAGING_TOKEN": self._token}
        self._servers = [McpServer(name, config, env) for name, config in servers.items()]
        self._waiting: list[str] = []
        self._received = 0.0

    def run(self) -> None:
        self._show("idle")
        print("scripted session", self.id, flush=True)
        while True:
            self._gather(None)
            while self._waiting:
                self._turn(self._waiting.pop(0))

    def close(self) -> None:
        for path in (self._path, self._registry):
            if os.path.exists(path):
                os.unlink(path)

    def _show(self, status: str) -> None:
        os.makedirs(os.path.dirname(self._registry), exist_ok=True)
        entry = {
            "pid": os.getpid(),
            "sessionId": self.id,
            "status": status,
            "statusUpdatedAt": int(time.time() * 1000),
            "messagingSocketPath": self._path,
        }
        temporary = self._registry + ".tmp"
        with open(temporary, "w") as file:
            json.dump(entry, file)
        os.replace(temporary, self._registry)

    def _gather(self, timeout_s: float | None) -> bool:
        """Takes messages until there is one, or for `timeout_s`; True when Esc was pressed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while deadline is not None or not self._waiting:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            for ready in select.select([self._listener.fileno(), 0], [], [], left)[0]:
                if ready == 0:
                    typed = os.read(0, 1024)
                    if not typed:
                        raise SystemExit(0)
                    if b"\x1b" in typed:
                        return True
                else:
                    self._accept()
        return False

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(5)
        with connection, connection.makefile("rb") as lines:
            if json.loads(lines.readline()).get("token") != self._token:
                return
            for line in lines:
                self._waiting.append(json.loads(line)["message"]["content"])
        self._received = time.time()

    def _turn(self, prompt: str) -> None:
        prompt_id = os.urandom(16).hex()
        answer = self._hook("UserPromptSubmit", prompt_id=prompt_id, prompt=prompt)
        if answer.get("decision") == "block":
            return
        self._show("busy")
        os.makedirs(os.path.dirname(self.transcript), exist_ok=True)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"type": "user", "promptId": prompt_id, "message": prompt, "timestamp": at, "received": self._received}
        with open(self.transcript, "a") as file:
            file.write(json.dumps(line) + "\n")
        finished = all(self._act(kind, what) for kind, what in _DIRECTIVE.findall(prompt))
        self._show("idle")
        if finished:
            self._hook("Stop", prompt_id=prompt_id)

    def _act(self, kind: str, what: str) -> bool:
        if kind == "sleep":
            return not self._gather(float(what))
        if kind == "exit":
            raise SystemExit(int(what))
        if kind == "print":
            times, _, encoded = what.partition(" ")
            data = base64.b64decode(encoded)
            for _ in range(int(times)):
                sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return True
        name, _, arguments = what.strip().partition(" ")
        for server in self._servers:
            if name in server.tools:
                result = server.request("tools/call", {"name": name, "arguments": json.loads(arguments or "{}")})
                print(f"tool {name}: {json.dumps(result)[:500]}", flush=True)
        return True

    def _hook(self, event: str, **fields: str) -> dict[str, Any]:
        body = json.dumps({"hook_event_name": event, "session_id": self.id, "cwd": os.getcwd(), **fields}).encode()
        answer: dict[str, Any] = {}
        for group in self._settings.get("hooks", {}).get(event, []):
            for hook in group["hooks"]:
                answer = _post(hook["url"], hook.get("headers", {}), body) or answer
        return answer


def _post(url: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """A plain HTTP/1.1 POST; `http.client` would take longer to import than a turn lasts."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    lines = [f"POST /{path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += ["Content-Type: application/json", *(f"{k}: {v}" for k, v in headers.items())]
    with socket.create_connection((name, int(port)), timeout=_HOOK_TIMEOUT_S) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        received = b""
        while chunk := connection.recv(1 << 16):
            received += chunk
    head, _, content = received.partition(b"\r\n\r\n")
    answer = json.loads(content) if b" 200 " in head.split(b"\r\n", 1)[0] and content else {}
    return answer if isinstance(answer, dict) else {}


def main(argv: list[str]) -> int:
    given = dict(zip(argv, argv[1:], strict=False))
    with open(given["--settings"]) as file:
        settings = json.load(file)
    with open(given["--mcp-config"]) as file:
        servers = json.load(file)["mcpServers"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    session = Session(given.get("--resume") or given["--session-id"], settings, servers)
    if os.isatty(0):
        tty.setcbreak(0)  # Esc comes by itself, without a line end
    resumed = "--resume" in given
    if resumed != os.path.exists(session.transcript):
        print("No conversation found" if resumed else "Session ID is already in use", file=sys.stderr)
        session.close()
        return 1
    try:
        session.run()
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

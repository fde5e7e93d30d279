"""A `gh` for machines without one: `gh api -i`, against the stand-in, byte for byte as the real one prints it.

    python -m relayfleet.demo.gh api -i graphql --input -
    python -m relayfleet.demo.gh api -i [-H "Name: value"] <path>

Like the real one it finds its server by `http_unix_socket` in $GH_CONFIG_DIR/config.yml. Standard library only: it is
started once per request.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

HOST = "api.github.com"
NO_TOKEN = 4
_TIMEOUT_S = 60.0
_MOST_REDIRECTS = 5


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__(HOST, timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        if sys.platform == "win32":
            raise OSError("unix sockets are not to be had on Windows")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)


def find_socket(config: Path) -> str:
    """Raises OSError or ValueError."""
    for line in (config / "config.yml").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "http_unix_socket":
            return value.strip()
    raise ValueError(f"no http_unix_socket in {config / 'config.yml'}")


def read_arguments(args: Sequence[str]) -> tuple[str, dict[str, str], bool]:
    """Path, headers, and whether the body comes from standard input. Raises ValueError for anything else."""
    if list(args[:2]) != ["api", "-i"]:
        raise ValueError("only `gh api -i` is known")
    headers: dict[str, str] = {}
    path, body = "", False
    rest = iter(args[2:])
    for arg in rest:
        if arg == "-H":
            name, _, value = next(rest, "").partition(":")
            headers[name.strip()] = value.strip()
        elif arg == "--input" and next(rest, "") == "-":
            body = True
        elif not arg.startswith("-") and not path:
            path = "/" + arg.lstrip("/")
        else:
            raise ValueError(f"argument {arg!r} is not known")
    return path, headers, body


def request(
    unix_socket: str, path: str, headers: dict[str, str], body: bytes | None
) -> tuple[http.client.HTTPResponse, bytes]:
    for _ in range(_MOST_REDIRECTS):
        connection = _UnixConnection(unix_socket)
        connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
        response = connection.getresponse()
        content = response.read()
        location = response.getheader("Location")
        if body is not None or location is None or response.status not in (301, 302, 307, 308):
            return response, content
        there = urlsplit(location)
        path = there.path + (f"?{there.query}" if there.query else "")
    raise http.client.HTTPException("too many redirects")


def printed(response: http.client.HTTPResponse, content: bytes) -> bytes:
    """The status line ends in LF, the headers, sorted, in CRLF: as the real one prints them."""
    lines = [f"HTTP/1.1 {response.status} {response.reason}\n"]
    lines += [f"{name}: {value}\r\n" for name, value in sorted((_canonical(n), v) for n, v in response.getheaders())]
    return "".join(lines).encode("latin-1") + b"\r\n" + content


def complaint(response: http.client.HTTPResponse, content: bytes, *, graphql: bool) -> str:
    """What goes to standard error, with exit code 1; empty when all is well.

    Raises ValueError for an answer that the real one would read and cannot.
    """
    is_json = "json" in (response.getheader("Content-Type") or "")
    body = json.loads(content) if is_json and (graphql or response.status > 299) and content else {}
    if not isinstance(body, dict):
        return ""
    if response.status > 299:
        message = body.get("message")
        return f"gh: {message} (HTTP {response.status})" if message else f"gh: HTTP {response.status}"
    return "\n".join(f"gh: {error['message']}" for error in body.get("errors") or ())


def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def main(args: Sequence[str]) -> int:
    token = os.environ.get("GH_TOKEN") or os.environ.get("GITHUB_TOKEN")
    if not token:
        sys.stderr.write("To use GitHub CLI, set the GH_TOKEN environment variable.\n")
        return NO_TOKEN
    try:
        path, headers, with_body = read_arguments(args)
        unix_socket = find_socket(Path(os.environ["GH_CONFIG_DIR"]))
        body = sys.stdin.buffer.read() if with_body else None
        response, content = request(unix_socket, path, {"Authorization": f"token {token}", **headers}, body)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        wrong = complaint(response, content, graphql=path == "/graphql")
    except ValueError:
        # The real one reads before it prints, and then prints the head alone.
        wrong, content = "unexpected end of JSON input", b""
    sys.stdout.buffer.write(printed(response, content))
    if wrong:
        sys.stderr.write(f"{wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The channel shim: the stdio MCP server that Claude Code starts inside a session. It joins the session to its runner.

It carries JSON-RPC between the session and the runner without looking into it, and writes offers to the session's own
inbox socket: from a child of the session they are taken without a question. What it says to the runner is in
`wire/shim.py`. There is one of it for every agent, so it is kept small: standard library alone, no JSON decoder, one
thread, and the C module `_socket`, because `socket` would bring a megabyte of enums along. It is run as
`python -I -S shim.py`.

The inbox socket takes newline-delimited JSON, {"type": "auth", "token": T} first. It answers nothing: what arrived is
told by the hooks.
"""

import os
import select
import sys

assert sys.platform != "win32", "the shim speaks over unix sockets"

from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM  # noqa: E402
from _socket import socket as Socket  # noqa: E402, N812 - a class, whatever the C module calls it

RUNNER_SOCKET = "RELAYFLEET_SHIM_SOCKET"
RUNNER_TOKEN = "RELAYFLEET_SHIM_TOKEN"  # noqa: S105 - the name of a variable
SESSION_SOCKET = "CLAUDE_CODE_MESSAGING_SOCKET"
SESSION_TOKEN = "CLAUDE_CODE_MESSAGING_TOKEN"  # noqa: S105 - the name of a variable
_SEND_TIMEOUT_S = 5.0
_PR_SET_DUMPABLE = 4
_STDIN, _STDOUT = 0, 1


def hide_from_other_processes() -> None:
    """Keeps other processes of the same user out of /proc/<pid>/environ, where the tokens are. Linux alone has it."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def offer(frame: bytes) -> str:
    """Writes one frame into the session's inbox socket; what went wrong, or ""."""
    path, token = os.environ.get(SESSION_SOCKET, ""), os.environ.get(SESSION_TOKEN, "")
    if not path or not token.isascii() or not token.replace("-", "").replace("_", "").isalnum():
        return "this session has no inbox socket"
    session = Socket(AF_UNIX, SOCK_STREAM)
    try:
        session.settimeout(_SEND_TIMEOUT_S)
        session.connect(path)
        session.sendall(b'{"type":"auth","token":"' + token.encode() + b'"}\n' + frame + b"\n")
        session.shutdown(SHUT_WR)
    except OSError as error:
        return f"the session's inbox socket: {error.strerror or error}"
    finally:
        session.close()
    return ""


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        if b"\n" not in data:
            self._rest.append(data)
            return []
        *lines, rest = b"".join([*self._rest, data]).split(b"\n")
        self._rest = [rest]
        return [line for line in lines if line.strip()]


def from_runner(runner: Socket, line: bytes) -> None:
    if line.startswith(b"M"):
        write_all(_STDOUT, line[1:] + b"\n")
    elif line.startswith(b"O"):
        entry_id, _, frame = line[1:].partition(b" ")
        runner.sendall(b"A" + entry_id + b" " + offer(frame).encode() + b"\n")


def carry(runner: Socket) -> None:
    """Carries both ways until one side ends."""
    session_lines, runner_lines = Lines(), Lines()
    while True:
        for ready in select.select([_STDIN, runner.fileno()], [], [])[0]:
            data = os.read(ready, 1 << 16)
            if not data:
                return
            if ready == _STDIN:
                for line in session_lines.feed(data):
                    runner.sendall(b"M" + line + b"\n")
            else:
                for line in runner_lines.feed(data):
                    from_runner(runner, line)


def main() -> int:
    hide_from_other_processes()
    # Out of the environment at once: whatever this process might start must not inherit them.
    path, token = os.environ.pop(RUNNER_SOCKET, ""), os.environ.pop(RUNNER_TOKEN, "")
    has_socket = "true" if os.environ.get(SESSION_SOCKET) else "false"
    runner = Socket(AF_UNIX, SOCK_STREAM)
    try:
        runner.connect(path)
        hello = f'{{"op":"shim","token":"{token}","pid":{os.getpid()},"socket":{has_socket}}}\n'
        runner.sendall(hello.encode())
        carry(runner)
    except OSError as error:
        sys.stderr.write(f"cannot join the session to its runner: {error.strerror or error}\n")
        return 1
    finally:
        runner.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Modules that are loaded when they are first used."""

from __future__ import annotations

import subprocess
import sys

FIRST = """
import sys
from relayfleet.cli.late import load_late
load_late("ssl", "asyncio.sslproto")
import asyncio, ssl
loaded = lambda: "_ssl" in sys.modules
"""


def _run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", FIRST + script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_nobody_uses_is_not_loaded() -> None:
    assert _run("asyncio.run(asyncio.sleep(0)); print(loaded())") == "False"


def test_it_is_the_module_for_whoever_had_it_before() -> None:
    assert (
        _run("context = ssl.create_default_context(); print(loaded(), asyncio.base_events.ssl is ssl)") == "True True"
    )
    assert _run("from ssl import SSLContext; print(issubclass(SSLContext, ssl.SSLContext), type(ssl))") == (
        "True <class 'module'>"
    )


def test_what_it_has_not_is_said_as_ever() -> None:
    assert _run("print(hasattr(ssl, 'nothing_like_it'), loaded())") == "False True"


def test_several_threads_may_ask_first() -> None:
    script = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    print({one.__name__ for one in pool.map(lambda _: ssl.SSLSocket, range(64))})
"""
    assert _run(script) == "{'SSLSocket'}"


def test_tls_of_asyncio_works() -> None:
    script = """
async def main():
    context = ssl.create_default_context()
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    try:
        await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=context, server_hostname="localhost")
    except OSError as error:
        print(type(error).__name__, asyncio.base_events.sslproto.SSLProtocol.__name__)
    server.close()
asyncio.run(main())
"""
    assert _run(script).endswith("SSLProtocol")


def test_what_was_loaded_before_is_left_alone() -> None:
    script = """
import json
load_late("json")
print(type(sys.modules["json"]).__name__)
"""
    assert _run(script) == "module"

"""`python -m relayfleet.demo.github SOCKET`: the stand-in as a process of its own, until it is ended."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from relayfleet.demo.github.server import Standin, read_schema, serve

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m relayfleet.demo.github SOCKET")
    try:
        asyncio.run(serve(Standin(read_schema()), Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(130)

"""`python -m bench [section ...]`."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

SECTIONS = ("startup", "latency", "footprint", "hundred", "two_hundred", "matching", "router", "attach")


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        print(f"cannot run {unknown[0]!r}: the sections are {', '.join(SECTIONS)}", file=sys.stderr)
        return 2
    figures = []
    for name in wanted or SECTIONS:
        print(f"== {name}", file=sys.stderr)
        for figure in importlib.import_module(f"bench.{name}").run():
            figures.append(asdict(figure) | {"section": name, "holds": figure.holds})
            mark = "" if figure.holds else "   <- above it"
            value = f"{figure.value:.2f} {figure.unit}"
            print(f"{figure.name:<52} {value:>12}   at most {figure.bound:.2f}: {figure.reference}{mark}", flush=True)
    record = {
        "version": 1,
        "at": time.time(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "figures": figures,
    }
    Path(__file__).with_name("results.json").write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

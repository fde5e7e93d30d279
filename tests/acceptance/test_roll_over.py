"""After an upgrade: who runs what, and `fleet restart --outdated`."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.acceptance.conftest import Fleet

# The command line of another version; the runners that it starts are of the one that is installed.
NEWER = (
    "import sys, relayfleet; relayfleet.__version__ = '99.0'; "
    "from relayfleet.cli.entry import main; sys.exit(main(sys.argv[1:]))"
)


def newer(fleet: Fleet, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NEWER, *words], env=fleet.env, cwd=fleet.root, capture_output=True, text=True, check=True
    )


def test_runners_of_another_version_are_named_and_replaced(scripted: Fleet) -> None:
    for name in ("one", "two"):
        scripted.run("new-agent", name)
    scripted.run("start", "one")
    before = scripted.status("one")
    assert before["version"]
    assert scripted.status("two")["version"] is None
    assert f"runs version {before['version']}, this is 99.0" in newer(scripted, "status").stdout

    kept = scripted.run("restart", "--outdated")
    assert f"one is left as it is: it runs version {before['version']} already" in kept.stderr
    assert scripted.status("one")["pid"] == before["pid"]

    rolled = newer(scripted, "restart", "--outdated", "--json")
    assert [agent["name"] for agent in json.loads(rolled.stdout)["agents"]] == ["one"]
    assert "two is left as it is: it does not run" in rolled.stderr
    after = scripted.status("one")
    assert after["pid"] != before["pid"]
    assert after["session_id"] == before["session_id"]
    assert scripted.status("two")["state"] == "stopped"

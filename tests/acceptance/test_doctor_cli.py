"""`fleet doctor` as a program: exit codes, the shape of its JSON, real programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def fleet(root: Path, *args: str, path: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": path, "HOME": str(root), "PYTHONPATH": str(CHECKOUT), "RELAYFLEET_ROOT": str(root), **more}
    return subprocess.run(
        [sys.executable, "-m", "relayfleet", *args],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def program(folder: Path, name: str, prints: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{prints}'\n")
    (folder / name).chmod(0o700)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "fleet"
    assert fleet(tmp_path, "--root", str(root), "init", RELAYFLEET_ROOT="").returncode == 0
    return root


@pytest.mark.skipif(sys.platform == "win32", reason="the programs made up here are shell scripts")
def test_exit_codes_and_shape(root: Path) -> None:
    path = root.parent / "bin"
    program(path, "claude", "2.1.328 (Claude Code)")
    program(path, "gh", "gh version 2.23.0")
    sound = fleet(root, "doctor", path=str(path))
    assert (sound.returncode, sound.stderr) == (0, "")
    assert sound.stdout.splitlines()[-1].startswith("0 broken, 0 warnings, ")
    fleet(root, "new-agent", "a")
    broken = fleet(root, "doctor", "--json", path=str(path))
    assert broken.returncode == 1
    value = json.loads(broken.stdout)
    assert value["version"] == 1
    assert all(sorted(f) == ["fix", "level", "subject", "what"] and f["fix"] for f in value["findings"])
    (finding,) = [f for f in value["findings"] if f["level"] == "broken"]
    assert (finding["subject"], finding["what"]) == ("a", "it has no login: the session would stop and ask for one")
    assert "fleet login a" in finding["fix"]
    assert fleet(root, "doctor", path=str(path), CLAUDE_CODE_OAUTH_TOKEN="x").returncode == 0


def test_it_reports_what_it_cannot_read_and_goes_on(root: Path) -> None:
    (root / "fleet.json").write_text("{")
    (root / "routes.json").write_bytes(b"\xff")
    done = fleet(root, "doctor")
    assert done.returncode == 1
    assert "broken   fleet.json: line 1 column 2: " in done.stdout
    assert "broken   routes.json: line 1: is not UTF-8: save it as UTF-8\n" in done.stdout
    assert "disk: " in done.stdout


@pytest.mark.needs("gh")
def test_the_real_gh_without_a_login(root: Path) -> None:
    done = fleet(root, "doctor", path=os.environ["PATH"])
    assert "gh login: gh is not logged in" in done.stdout


@pytest.mark.needs("claude")
def test_the_real_claude(root: Path) -> None:
    installed = CHECKOUT / ".tools" / "node_modules" / ".bin"
    done = fleet(root, "doctor", path=f"{installed}:{os.environ['PATH']}")
    assert "ok       claude: version 2.1.328" in done.stdout

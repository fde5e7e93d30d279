"""`fleet demo` from a copy of the checkout: the main job on embedded parts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import Fleet
from tests.conftest import CHECKOUT, TOOLS
from tests.standins.github import github_standin
from tests.standins.model import KEY, ModelStandin

STEPS = ["opened", "matched", "written", "offered", "seen", "handled"]


def _demo(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "relayfleet", "demo", *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=110, cwd=CHECKOUT)


def _running(part: str) -> list[psutil.Process]:
    """Processes with `part` in their command lines; one that is going away has none."""
    return [p for p in psutil.process_iter(["cmdline"]) if part in " ".join(p.info["cmdline"] or ())]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    temporary = Path(tempfile.mkdtemp(prefix="demo"))  # short: the embedded parts have sockets in it
    yield {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(temporary)}
    left = _running(str(temporary))
    for process in left:
        process.kill()
    shutil.rmtree(temporary)
    assert not left


def test_it_reports_each_step_and_leaves_nothing(env: dict[str, str]) -> None:
    before = subprocess.run(["git", "status", "--porcelain"], cwd=CHECKOUT, capture_output=True, text=True).stdout
    done = _demo("--json", env=env)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [step["step"] for step in report["steps"]] == STEPS
    assert all(step["latency_s"] >= 0 for step in report["steps"])
    assert "route 0" in report["steps"][1]["detail"]
    assert list(Path(env["TMPDIR"]).iterdir()) == []
    after = subprocess.run(["git", "status", "--porcelain"], cwd=CHECKOUT, capture_output=True, text=True).stdout
    assert after == before


def test_a_temporary_folder_too_long_for_sockets_is_not_used(env: dict[str, str], tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    done = _demo("--json", env={**env, "TMPDIR": str(long)})
    assert done.returncode == 0, done.stderr
    assert [step["step"] for step in json.loads(done.stdout)["steps"]] == STEPS


def test_kept_it_can_be_played_with(env: dict[str, str]) -> None:
    done = _demo("--keep", env=env)
    assert done.returncode == 0, done.stderr
    (root,) = Path(env["TMPDIR"]).glob("*/fleet")
    fleet = [sys.executable, "-m", "relayfleet", "--root", str(root)]
    status = subprocess.run([*fleet, "status", "--json"], env=env, capture_output=True, text=True)
    assert json.loads(status.stdout)["router"]["state"] == "running"
    assert json.loads(status.stdout)["agents"][0]["state"] == "idle"
    subprocess.run([*fleet, "stop", "--all"], env=env, check=True, capture_output=True)
    subprocess.run([*fleet, "router", "stop"], env=env, check=True, capture_output=True)
    (standin,) = _running(str(root.parent / "github.sock"))
    standin.kill()
    psutil.wait_procs([standin], timeout=5)


@pytest.mark.needs("gh", "claude", "github-schema")
def test_real_uses_this_machines_gh_and_claude(env: dict[str, str], model: ModelStandin) -> None:
    with github_standin() as github:
        github.put("acme/WMS", "issues", title="open", body="x")
        # What an operator's machine has: both programs on PATH and logged in. Here they lead to the stand-ins.
        wrapper = Path(env["HOME"]) / "bin" / "claude"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexport ANTHROPIC_BASE_URL={model.url}\nexec {TOOLS}/.bin/claude "$@"\n')
        wrapper.chmod(0o755)
        env = {**env, **github.env, "ANTHROPIC_API_KEY": KEY, "PATH": f"{wrapper.parent}:{env['PATH']}"}
        done = _demo("--real", "--repo", "acme/WMS", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert [s["step"] for s in json.loads(done.stdout)["steps"]] == ["looked", "told", "offered", "seen", "handled"]


def test_real_needs_a_repository(scripted: Fleet) -> None:
    assert "--repo OWNER/NAME" in scripted.run("demo", "--real", code=2).stderr

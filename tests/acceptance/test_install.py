"""The two ways in: the checkout's own `bin/fleet`, and a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    argv = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_carries_what_is_needed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "relayfleet/plugins/inbox/plugin.json",
        "relayfleet/plugins/_template/template.py",
        "relayfleet/templates/base.md",
        "relayfleet/templates/roles/orchestrator.md",
        "relayfleet/demo/github/schema.graphql",
        "relayfleet/demo/github/payloads/issues.opened.json",
        "relayfleet/harness/shim.py",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_a_fleet_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(argv, check=True, capture_output=True)
    # Of this environment only the libraries: the checkout itself is kept out of the way.
    libraries = next(p for p in sys.path if p.endswith("site-packages"))
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}, {libraries!r}]; "
        "from relayfleet.__main__ import main; import relayfleet; "
        f"assert relayfleet.__file__.startswith({str(site)!r}); sys.exit(main())"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    root = tmp_path / "fleet"
    root.mkdir()
    for words in (["init"], ["new-agent", "coder", "--role", "coder"], ["doctor"], ["list"]):
        argv = [sys.executable, "-I", "-S", "-c", code, *words]
        done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode in ((0, 1) if words == ["doctor"] else (0,)), done.stderr
    assert "coder" in done.stdout


def test_bin_fleet_starts_through_a_link_and_from_anywhere(tmp_path: Path) -> None:
    if not (CHECKOUT / ".venv" / ".ready").exists():
        pytest.fail("the environment of the checkout was not set up by bin/setup")
    link = tmp_path / "fleet"
    link.symlink_to(CHECKOUT / "bin" / "fleet")
    done = subprocess.run([link, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "fleet")

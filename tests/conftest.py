"""Fixtures for all tests, and what a missing program means: a skip that is listed, or in the gate a failure."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from relayfleet.backends.cgroup import own_group

CHECKOUT = Path(__file__).resolve().parents[1]
TOOLS = CHECKOUT / ".tools" / "node_modules"
_MISSING = "missing: "
CI = bool(os.environ.get("RELAYFLEET_CHECK_CI"))


def _own_group() -> Path | None:
    """Where this user may make a control group, None where it may not."""
    group = own_group()
    return group.folder if group is not None and os.access(group.folder, os.W_OK) else None


# Program, or what else a test cannot do without -> where it is, and what helps.
PROGRAMS: dict[str, tuple[Path | None, str]] = {
    "gh": (Path(found) if (found := shutil.which("gh")) else None, "apt-get install gh"),
    "strace": (Path(found) if (found := shutil.which("strace")) else None, "apt-get install strace"),
    "tmux": (Path(found) if (found := shutil.which("tmux")) else None, "apt-get install tmux"),
    "systemd": (
        Path("/lib/systemd/systemd")
        if shutil.which("dbus-daemon") and Path("/lib/systemd/systemd-logind").exists()
        else None,
        "apt-get install systemd dbus dbus-user-session libpam-systemd",
    ),
    "root": (Path("/") if getattr(os, "geteuid", lambda: 1)() == 0 else None, "run the tests as root"),
    "cgroup-v2": (_own_group(), "run the tests where this user may write to a cgroup v2"),
    "claude": (TOOLS / ".bin" / "claude", "npm install --prefix .tools @anthropic-ai/claude-code@2.1.328"),
    "github-schema": (
        TOOLS / "@octokit" / "graphql-schema" / "schema.graphql",
        "npm install --prefix .tools @octokit/graphql-schema@15.26.1",
    ),
    "webhooks-examples": (
        TOOLS / "@octokit" / "webhooks-examples" / "api.github.com",
        "npm install --prefix .tools @octokit/webhooks-examples@7.6.1",
    ),
    "octokit-fixtures": (
        TOOLS / "@octokit" / "fixtures" / "scenarios",
        "npm install --prefix .tools @octokit/fixtures@23.1.2",
    ),
}


def is_alive(process: psutil.Process) -> bool:
    """A zombie is not, and one that goes away while it is looked at is not either."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the campaigns in their long form, which take an hour")
    parser.addoption("--seed", type=int, help="tells a random story again: the seed that a campaign printed")


_SHORT_SEED = 301


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a campaign is to be run in its long form."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be repeated: a failure shows the seed. Short forms tell the same story each time, so that what
    fails there is what was changed; new stories are for `--long` and `--seed`."""
    given = request.config.getoption("--seed")
    drawn = random.randrange(1 << 30) if request.config.getoption("--long") else _SHORT_SEED
    seed = drawn if given is None else given
    print(f"seed {seed}")
    return random.Random(seed)


def pytest_configure() -> None:
    # A shell's background ignores it, and so would every program that is told to end by it here.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in marker.args:
            path, command = PROGRAMS[program]
            if path is None or not path.exists():
                if CI:
                    pytest.fail(f"{program} is missing: {command}")
                pytest.skip(f"{_MISSING}{program}: {command}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # A skip's reason is all that comes back from a test that ran in a process of its own.
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    missing = Counter(reason.partition(_MISSING)[2] for reason in reasons if _MISSING in reason)
    if missing:
        terminalreporter.section("skipped for a missing program; this installs it")
        for line, count in missing.items():
            terminalreporter.write_line(f"{count} tests   {line}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if CI and skipped:
        print(f"\n{skipped} tests were skipped: in the gate that is a failure")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _outside_of_any_fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever fleet or session the tests are run from, they are not of it."""
    for name in list(os.environ):
        if name.startswith(("RELAYFLEET_AGENT", "RELAYFLEET_ROOT", "RELAYFLEET_SESSION", "CLAUDE", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    yield

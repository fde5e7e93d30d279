"""The user's own command: what it is told, and that nothing it does holds anybody up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from relayfleet.backends.notify import CommandNotifier
from relayfleet.model.notice import MAX_BYTES, Notice, Notify, encode_notice
from relayfleet.testing import MemoryLog
from tests.standins.model import until

EVIL = "$(id); `id` \x1b[2J\n--help ü"


def notice(**more: Any) -> Notice:
    return Notice(event="approval", ts=1.5, agent="coder", detail=EVIL, more=more)


def notifier(folder: Path, code: str, *, log: MemoryLog | None = None, timeout_s: float = 30.0) -> CommandNotifier:
    """Runs Python `code` with the notice on standard input."""
    spec = Notify(command=(sys.executable, "-c", code), timeout_s=timeout_s)
    return CommandNotifier(spec, fleet="test", root=folder, env={"KEPT": "1"}, log=log or MemoryLog())


def test_it_is_told_on_standard_input_and_nowhere_else(tmp_path: Path) -> None:
    code = "import json,os,sys; json.dump([sys.stdin.read(), sys.argv, dict(os.environ), os.getcwd()], open('t','w'))"
    made = notifier(tmp_path, code)
    made.notify(notice(id="a1", input={"command": EVIL}))
    made.wait(20)
    said, argv, environ, cwd = json.loads((tmp_path / "t").read_text())
    assert json.loads(said) == {
        **{"version": 1, "event": "approval", "ts": 1.5, "fleet": "test", "agent": "coder", "dropped": 0},
        **{"detail": EVIL, "id": "a1", "input": {"command": EVIL}},
    }
    assert said.isascii()
    assert said.count("\n") == 1
    assert argv == ["-c"]
    assert "id" not in str(environ).split()
    assert (environ["KEPT"], environ["RELAYFLEET_ROOT"]) == ("1", str(tmp_path))
    assert not {name for name in environ if name.startswith("RELAYFLEET_")} - {"RELAYFLEET_ROOT"}
    assert Path(cwd) == tmp_path
    assert made.pids == set()


def test_a_failure_is_logged_once_until_it_works_again(tmp_path: Path) -> None:
    log = MemoryLog()
    made = notifier(tmp_path, "import os,sys; sys.exit(os.path.exists('bad') * 3)", log=log)
    (tmp_path / "bad").touch()
    for _ in range(3):
        made.notify(notice())
        made.wait(20)
    assert [message for message, _ in log.of("notify.failed")] == [f"{sys.executable!r}: exit code 3"]
    (tmp_path / "bad").unlink()
    made.notify(notice())
    made.wait(20)
    (tmp_path / "bad").touch()
    made.notify(notice())
    made.wait(20)
    assert len(log.of("notify.failed")) == 2


def test_a_program_that_is_not_there_is_a_failure_and_no_more(tmp_path: Path) -> None:
    log = MemoryLog()
    made = CommandNotifier(Notify(command=("/no/such",)), fleet="f", root=tmp_path, env={}, log=log)
    made.notify(notice())
    made.wait(20)
    assert "No such file" in log.of("notify.failed")[0][0]


@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes")
def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    log = MemoryLog()
    code = "import subprocess; p = subprocess.Popen(['sleep','600']); open('pid','w').write(str(p.pid)); p.wait()"
    made = notifier(tmp_path, code, log=log, timeout_s=2)
    made.notify(notice())
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    child = int((tmp_path / "pid").read_text())
    made.wait(20)
    assert "longer than 2 s" in log.of("notify.failed")[0][0]
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_nobody_waits_for_it_and_too_many_are_counted_instead(tmp_path: Path) -> None:
    code = "import os,sys,time\nopen(f'told{os.getpid()}','w').write(sys.stdin.read())\n"
    code += "while not os.path.exists('go'): time.sleep(.01)"
    made = notifier(tmp_path, code)
    for _ in range(50):
        made.notify(notice(input={"text": "x" * 1_000_000}))
    assert len(made.pids) <= 4
    (tmp_path / "go").touch()
    made.wait(20)
    told = [json.loads(path.read_text()) for path in tmp_path.glob("told*")]
    assert len(told) == 4, "so many at once"
    made.notify(notice())
    made.wait(20)
    assert max(json.loads(path.read_text())["dropped"] for path in tmp_path.glob("told*")) == 46


def test_one_that_reads_nothing_is_no_failure(tmp_path: Path) -> None:
    log = MemoryLog()
    made = notifier(tmp_path, "pass", log=log)
    made.notify(notice(input={"text": "x" * 20_000}))
    made.wait(20)
    assert log.lines == []


def test_a_notice_is_never_longer_than_a_pipe_holds() -> None:
    for more in ({"input": "ü" * 100_000}, {"entry": "x" * 100_000}, {"input": "x" * 100_000, "entry": "\x00" * 9000}):
        line = encode_notice(notice(**more), fleet="f")
        assert len(line) <= MAX_BYTES
        assert json.loads(line)["event"] == "approval"
    assert json.loads(encode_notice(notice(version=7, agent="x"), fleet="f"))["agent"] == "coder"

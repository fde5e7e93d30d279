"""From whatever a verb does to an exit code and words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from relayfleet.cli import list as list_verb
from relayfleet.cli.entry import main
from relayfleet.errors import ConfigError, FleetError, UsageError


def raising(error: BaseException) -> Callable[..., int]:
    def run(ctx: SimpleNamespace) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (FleetError("do it", "no room", hint="make room"), 1, "fleet: cannot do it: no room\nhint: make room\n"),
        (ConfigError(("a.json: x: bad", "b.json: y: bad")), 1, "2 faults\n  a.json: x: bad\n  b.json: y: bad\n"),
        (UsageError("read it", "odd"), 2, "fleet: cannot read it: odd\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_each_kind_of_end_has_its_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr(list_verb, "run", raising(error))
    assert main(["list", "--root", str(tmp_path)]) == code
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


def test_a_bug_leaves_its_trace_in_a_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(list_verb, "run", raising(ZeroDivisionError("by zero")))
    assert main(["list", "--root", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "ZeroDivisionError (this is a bug)" in said
    assert "Traceback" not in said
    found = re.search(r"the trace is in (\S+);", said)
    assert found is not None
    trace = Path(found.group(1))
    assert "ZeroDivisionError: by zero" in trace.read_text()
    trace.unlink()

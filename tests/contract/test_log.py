"""What every `Log` promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relayfleet.ports.log import Log
from relayfleet.store.log import KEEP, MAX_BYTES, encode_log_record, open_log
from relayfleet.store.router_db.records import encode_log_line
from relayfleet.testing import MemoryLog

Line = tuple[str, str, str, dict[str, object]]


@dataclass
class Kind:
    log: Log
    lines: Callable[[], list[Line]]


@contextmanager
def to_file(folder: Path, *, encode: Callable[[Mapping[str, object]], bytes] = encode_log_record) -> Iterator[Kind]:
    path = folder / "a.log"
    with closing(open_log(path, encode=encode)) as log:
        yield Kind(log, lambda: [_line(json.loads(line)) for line in path.read_text("ascii").splitlines()])


@contextmanager
def to_file_quickly(folder: Path) -> Iterator[Kind]:
    with to_file(folder, encode=encode_log_line) as kind:
        yield kind


def _line(record: dict[str, Any]) -> Line:
    fields = {key: value for key, value in record.items() if key not in ("ts", "level", "action", "message", "trace")}
    return record["level"], record["action"], record["message"], fields


@contextmanager
def to_memory(folder: Path) -> Iterator[Kind]:
    log = MemoryLog()
    yield Kind(log, lambda: log.lines)


@pytest.fixture(params=[to_file, to_file_quickly, to_memory])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with request.param(tmp_path) as made:
        yield made


def test_each_line_has_its_level_action_message_and_fields(kind: Kind) -> None:
    kind.log.info("router.polled", "12 items", watch="wms", took_s=0.25, items=[1, None])
    kind.log.warning("router.slow")
    kind.log.error("router.broke", "it is broken", hint="mend it")
    assert kind.lines() == [
        ("info", "router.polled", "12 items", {"watch": "wms", "took_s": 0.25, "items": [1, None]}),
        ("warning", "router.slow", "", {}),
        ("error", "router.broke", "it is broken", {"hint": "mend it"}),
    ]


def test_many_lines_at_once_are_a_line_each(kind: Kind) -> None:
    kind.log.info_each("router.event", [])
    kind.log.info_each("router.event", [{"number": number} for number in range(250)])
    kind.log.info("router.polled")
    assert kind.lines() == [
        *(("info", "router.event", "", {"number": number}) for number in range(250)),
        ("info", "router.polled", "", {}),
    ]


def test_many_lines_at_once_keep_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    with closing(open_log(path)) as log:
        log.info_each("router.event", [{"text": "x" * 1000, "number": number} for number in range(5000)])
    files = sorted(tmp_path.iterdir())
    assert len(files) > 2 and all(file.stat().st_size <= MAX_BYTES for file in files)
    lines = [json.loads(line)["number"] for file in reversed(files) for line in file.read_text().splitlines()]
    assert lines == list(range(5000)), "the oldest file has the highest number"


@pytest.mark.parametrize("text", ["a\nb", '{"level": "error"}\n{}', "100 %d %s", "\x1b[2J\x00é🦩", "\ud800"])
def test_whatever_a_value_holds_it_stays_in_its_line(kind: Kind, text: str) -> None:
    kind.log.info("event.seen", text, title=text)
    kind.log.info("next")
    assert kind.lines() == [("info", "event.seen", text, {"title": text}), ("info", "next", "", {})]


def test_an_error_may_carry_its_trace(kind: Kind) -> None:
    try:
        raise ValueError("of that value")
    except ValueError as error:
        kind.log.error("daemon.gave_up", "a bug", trace=error)
    assert kind.lines() == [("error", "daemon.gave_up", "a bug", {})]


def test_a_file_holds_time_and_trace_and_nobody_else_reads_it(tmp_path: Path) -> None:
    with closing(open_log(tmp_path / "a.log")) as log:
        try:
            raise ValueError("of that value")
        except ValueError as error:
            log.error("daemon.gave_up", "a bug", trace=error)
    record = json.loads((tmp_path / "a.log").read_text())
    assert record["ts"] > 1_600_000_000
    assert "ValueError: of that value" in record["trace"]
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_files_are_rotated_and_capped(tmp_path: Path) -> None:
    with closing(open_log(tmp_path / "a.log")) as log:
        for number in range(60):
            log.info("long", str(number), text="x" * (MAX_BYTES // 10))
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["a.log", *(f"a.log.{number}" for number in range(1, KEEP + 1))]
    assert all(path.stat().st_size <= MAX_BYTES for path in files)
    assert json.loads((tmp_path / "a.log").read_text().splitlines()[-1])["message"] == "59"

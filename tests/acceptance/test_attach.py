"""`fleet attach` in a real terminal (tmux), on scripted sessions."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from relayfleet.client.attach import Attachment, attach
from relayfleet.store.sockets import sockets_of
from relayfleet.wire.attach import State
from tests.acceptance.conftest import Fleet
from tests.acceptance.tmux import Window, windows
from tests.standins.model import until

pytestmark = pytest.mark.needs("tmux")

# What a viewer may write, and nothing else: CUP, CHA, EL, SGR, and the modes that it sets and takes back.
ALLOWED = re.compile(
    rb"\x1b\[(?:\d+;\d+H|\d+G|K|[\d;]*m|2J|\?(?:1049|2004|25)[hl])|[\r\n]|[^\x00-\x1f\x7f\x80-\xff]|[\xc3-\xf4][\x80-\xbf]+|\xc2[\xa0-\xbf]"
)
HOSTILE = {
    "clipboard": b"\x1b]52;c;aGFja2Vk\x07",
    "link": b"\x1b]8;;http://evil.example\x1b\\text\x1b]8;;\x1b\\",
    "title": b"\x1b]0;owned\x07\x1b]2;owned\x1b\\",
    "dcs": b'\x1bP$q"p\x1b\\\x1bP+q544e\x1b\\',
    "apc": b"\x1b_Gf=100;AAAA\x1b\\\x1b^private\x1b\\\x1bXsos\x1b\\",
    "queries": b"\x1b[6n\x1b[c\x1b[>c\x1b[0x\x1b[?1$p\x1b[18t\x1b[>q\x05\x1b[?u",
    "mouse": b"\x1b[?1000h\x1b[?1003h\x1b[?1006h\x1b[?1004h\x1b[?2004h\x1b[>1u\x1b[>4;2m",
    "screens": b"\x1b[?1049h\x1b[?47h\x1b[3J\x1bc\x1b[!p\x1b#8",
    "c1": b"\xc2\x9b31mA\xc2\x9d0;owned\xc2\x9c\xc2\x90q\xc2\x9c\x9b1mB\x9d0;x\x07",
    "invalid": b"\xff\xfe\xc3\x28\xed\xa0\x80\xf8\x88\x80\x80\x80\xc3",
    "huge": b"\x1b[99999999999999999999;99999999999999999999H\x1b[65535b\x1b[4294967297C\x1b[" + b"1;" * 5000 + b"m",
    "bidi": "\u202e\u2066\u200f".encode(),
    "torn": b"\x1b[38;5;",
}


@pytest.fixture
def coder(scripted: Fleet) -> Fleet:
    scripted.run("new-agent", "coder")
    scripted.run("start", "coder")
    return scripted


@pytest.fixture
def screens(coder: Fleet, tmp_path: Path) -> Iterator[list[Window]]:
    with windows(tmp_path, coder.env) as made:
        yield made


def shown(data: bytes, times: int = 1) -> str:
    """The words that make a scripted session print this."""
    return f"[[print {times} {base64.b64encode(data).decode()}]]"


def line_to(fleet: Fleet, *, drive: bool = False, take: bool = False) -> Attachment:
    fleet_id = json.loads((fleet.root / "fleet.json").read_text())["id"]
    return attach(sockets_of(fleet_id).control("coder"), doing="attach", drive=drive, take=take)


def hang_up(line: Attachment) -> None:
    """Without another word, once all that was said is heard."""
    line._connection.shutdown(socket.SHUT_WR)
    until(lambda: line.receive() is None)
    line.close()


def test_it_shows_what_the_session_prints_and_leaves_the_terminal_as_it_was(
    coder: Fleet, screens: list[Window]
) -> None:
    screens[0].attach()
    assert "coder | view only | ctrl-] detaches" in screens[0].until("scripted session")
    coder.tell("coder", shown("wide 漢字 and 😀|and \x1b[31mred\x1b[0m\r\n".encode()))
    assert "wide 漢字 and 😀|and red" in screens[0].until("and red")
    screens[0].write("typed by a viewer")
    screens[0].type("C-]")
    assert "coder: detached\nexit 0" in screens[0].until("exit 0")
    until(screens[0].restored)
    assert "typed by a viewer" not in coder.run("screen", "coder").stdout


def test_nothing_that_a_session_prints_reaches_the_terminal_as_a_control(coder: Fleet, screens: list[Window]) -> None:
    screens[0].attach()
    screens[0].until("scripted session")
    for name, data in HOSTILE.items():
        coder.tell("coder", f"{shown(data)} {name}")
    coder.wait_for("coder", "handled", count=len(HOSTILE))
    coder.tell("coder", shown(b"\x1b\\\x1bc\x1b[0mthe end\r\n"))
    screens[0].until("the end")
    screens[0].type("C-]")
    screens[0].until("exit 0")
    raw = screens[0].raw.read_bytes()
    written = raw[raw.index(b"\x1b[?1049h") : raw.rindex(b"\x1b[?1049l") + 8]
    left = ALLOWED.sub(b"", written)
    assert left == b"", left[:200]
    assert b"owned" not in written and b"aGFja2Vk" not in written and b"evil" not in written


def test_several_look_on_while_one_types_and_the_size_is_the_drivers(coder: Fleet, screens: list[Window]) -> None:
    screens[0].attach(rows=20, columns=70)
    screens[0].until("view only")
    screens[1].attach("--drive", rows=25, columns=90)
    screens[1].until("you type | 2 viewers")
    assert "types" in screens[0].until("(pid")
    status = coder.status("coder")
    assert "types into its terminal (since " in status["detail"]
    assert coder.json("screen", "coder")["rows"] == 24
    assert coder.json("screen", "coder")["columns"] == 90
    screens[1].resize(40, 120)
    until(lambda: coder.json("screen", "coder")["columns"] == 120)
    coder.tell("coder", "while it is driven")
    assert coder.states("coder") == ["queued"]
    screens[2].attach("--drive")
    refused = screens[2].until("exit 1")
    assert "types" not in refused and "drives it since" in refused and "--take" in refused
    screens[1].type("C-]")
    screens[1].until("exit 0")
    coder.wait_for("coder", "handled")
    picture = coder.json("screen", "coder")
    assert (picture["rows"], picture["columns"]) == (50, 160)
    screens[0].until("coder | view only | ctrl-]")


def test_who_takes_over_types_and_the_other_looks_on(coder: Fleet, screens: list[Window]) -> None:
    screens[0].attach("--drive")
    screens[0].until("you type")
    screens[1].attach("--drive", "--take")
    screens[1].until("you type")
    screens[0].until("view only")
    screens[0].write("lost keys")
    screens[1].write("x")
    screens[0].type("C-]")
    screens[0].until("exit 0")
    assert "types into" in coder.status("coder")["detail"], "the one who took over drives on"


def test_the_view_goes_on_when_the_session_is_started_again_and_ends_with_the_runner(
    coder: Fleet, screens: list[Window]
) -> None:
    screens[0].attach()
    screens[0].until("scripted session")
    coder.tell("coder", "[[exit 3]]")
    screens[0].until("its session is down")
    until(lambda: "scripted session" in screens[0].shows() and "down" not in screens[0].shows())
    coder.run("stop", "coder")
    assert "coder: its runner ended\nexit 0" in screens[0].until("exit 0")
    until(screens[0].restored)


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_viewer_that_is_told_to_end_restores_the_terminal(coder: Fleet, screens: list[Window], signal: str) -> None:
    import signal as signals

    screens[0].attach("--drive")
    screens[0].until("you type")
    (viewer,) = [p for p in psutil.Process(screens[0].pid()).children(recursive=True) if "attach" in p.cmdline()]
    for _ in range(2):  # the second finds it leaving, or gone
        with contextlib.suppress(psutil.NoSuchProcess):
            viewer.send_signal(getattr(signals, signal))
    screens[0].until(f"exit {128 + getattr(signals, signal)}")
    until(screens[0].restored)
    until(lambda: "types" not in coder.status("coder")["detail"])


def test_a_draft_that_was_left_holds_deliveries_until_it_is_gone(coder: Fleet) -> None:
    """Without a composer on the screen what counts is that something was typed."""
    line = line_to(coder, drive=True)
    line.type(b"half a dr")
    hang_up(line)
    until(lambda: "held: a draft in the terminal (since " in coder.status("coder")["detail"])
    coder.tell("coder", "wait for it")
    assert coder.states("coder") == ["queued"]
    other = line_to(coder, drive=True)
    other.leave("text")
    hang_up(other)
    until(lambda: "held: a draft" in coder.status("coder")["detail"])
    coder.run("interrupt", "coder", "--clear")
    coder.wait_for("coder", "handled")
    assert coder.status("coder")["detail"] == ""


def test_what_is_no_frame_ends_the_line_and_harms_nobody(coder: Fleet) -> None:
    for bad in (b"X\0\0\0\0", b"I\xff\xff\xff\xff", b"Z\0\0\0\1x", b"O\0\0\0\0"):
        line = line_to(coder, drive=True)
        line._connection.sendall(bad)
        errors: list[str] = []
        until(lambda line=line, errors=errors: _ended(line, errors))
        assert errors and errors[-1]
        line.close()
    assert coder.status("coder")["state"] == "idle"
    assert coder.status("coder")["detail"] == ""


def _ended(line: Attachment, errors: list[str]) -> bool:
    came = line.receive()
    errors += [one.error for one in came or () if isinstance(one, State) and one.error]
    return came is None


def test_where_there_is_no_terminal_or_no_session_it_says_so(coder: Fleet) -> None:
    assert "cannot attach to 'coder': this is not a terminal" in coder.run("attach", "coder", code=1).stderr
    assert "--take is for --drive" in coder.run("attach", "coder", "--take", code=2).stderr
    assert "no agent is called" in coder.run("attach", "nobody", code=1).stderr


def test_agents_do_not_type_and_only_the_orchestrator_looks_on(coder: Fleet) -> None:
    coder.run("new-agent", "boss", "--role", "orchestrator")
    inside = {"RELAYFLEET_AGENT": "boss"}
    assert "agents do not type" in coder.run("attach", "coder", "--drive", code=1, env=inside).stderr
    assert "this is not a terminal" in coder.run("attach", "coder", code=1, env=inside).stderr
    own = {"RELAYFLEET_AGENT": "coder"}
    assert "orchestrator" in coder.run("attach", "coder", code=1, env=own).stderr
    assert "operator" in coder.run("interrupt", "coder", "--clear", code=1, env=inside).stderr

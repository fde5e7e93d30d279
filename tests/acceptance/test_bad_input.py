"""Whatever is typed, piped, written into a file or done at the same time: a clear word, the right exit code."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from relayfleet.cli.entry import main
from relayfleet.model.entry import Entry, encode_entry, new_entry_id
from relayfleet.model.names import EntryId
from relayfleet.model.receipt import Receipt, encode_receipt
from tests.acceptance.conftest import Fleet, words_of
from tests.standins.model import until

# The beginning of a program that claims to be a version of claude that we know.
VERSION = "import sys; sys.argv[1:2] == ['--version'] and sys.exit(print('2.1.328')); "
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\u202edlrow \r\x08[31m"


@pytest.fixture
def coder(scripted: Fleet) -> Fleet:
    scripted.run("new-agent", "coder")
    return scripted


def entries_on_disk(root: Path) -> int:
    inbox = root / "agents" / "coder" / "state" / "inbox.jsonl"
    return inbox.read_bytes().count(b"\n") if inbox.exists() else 0


class Desk:
    """The command line without a process of its own, for what is over before anything is started."""

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capture = capture

    def __call__(self, *words: str, code: int) -> tuple[str, str]:
        """Standard output and error."""
        self._capture.readouterr()
        assert main(words) == code
        said = self._capture.readouterr()
        return said.out, said.err

    def entries(self, *options: str) -> list[dict[str, Any]]:
        out, _ = self("inbox", "coder", "--json", *options, code=0)
        found: list[dict[str, Any]] = json.loads(out)["entries"]
        return found


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made-once")
    assert main(["--root", str(root), "init"]) == 0
    assert main(["--root", str(root), "new-agent", "coder"]) == 0
    return root


@pytest.fixture
def desk(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELAYFLEET_ROOT", str(tmp_path))
    return Desk(tmp_path, capsys)


# ---- words


@pytest.mark.parametrize(
    "words",
    [
        ("tell", "nobody", "hi"),
        ("tell", "coder,nobody", "hi"),
        ("inbox", "nobody"),
        ("start", "nobody"),
        ("stop", "coder", "nobody"),
        ("status", "nobody"),
        ("interrupt", "nobody"),
        ("remove-agent", "nobody", "--yes"),
        ("tell", "../coder", "hi"),
        ("tell", "coder/../coder", "hi"),
        ("tell", "/etc/passwd", "hi"),
        ("inbox", ".."),
        ("tell", "", "hi"),
        ("tell", "coder,", "hi"),
        ("tell", "Coder", "hi"),
    ],
)
def test_an_agent_that_is_not_there_is_a_known_failure(desk: Desk, words: tuple[str, ...]) -> None:
    out, err = desk(*words, code=1)
    assert "no agent is called" in err
    assert "known agents: coder" in err
    assert out == ""
    assert entries_on_disk(desk.root) == 0, "nobody was told anything"


@pytest.mark.parametrize(
    "words",
    [
        ("tell", "coder", ""),
        ("tell", "coder", "  ", "\n"),
        ("tell", "coder"),
        ("tell",),
        ("start",),
        ("stop",),
        ("inbox",),
        ("inbox", "coder", "extra"),
        ("inbox", "coder", "--limit", "many"),
        ("inbox", "coder", "--limit", "0"),
        ("inbox", "coder", "--limit", "-3"),
        ("inbox", "coder", "--limit"),
        ("status", "--nonsense"),
        ("no-such-verb",),
        ("new-agent", "x", "--role", "king"),
        ("--root", "/nowhere-at-all", "status"),
        ("run", "agent", "../coder"),
        (),
    ],
)
def test_a_command_line_that_is_none_is_a_usage_error(desk: Desk, words: tuple[str, ...]) -> None:
    out, err = desk(*words, code=2)
    assert err.startswith("fleet: cannot ") or (words == () and "Usage: fleet" in out + err)
    assert entries_on_disk(desk.root) == 0


def test_an_empty_pipe_is_an_empty_message(coder: Fleet) -> None:
    assert "the message is empty" in coder.run("tell", "coder", "-", code=2).stderr


def test_a_message_may_look_like_options(desk: Desk) -> None:
    desk("tell", "coder", "run", "ls", "-x", "--all", "and", "-", code=0)
    desk("tell", "coder", "--", "--json", "first", "--help", code=0)
    assert [entry["body"] for entry in desk.entries()] == ["run ls -x --all and -", "--json first --help"]


def test_a_limit_shows_the_newest(desk: Desk) -> None:
    for number in range(3):
        desk("tell", "coder", f"m{number}", code=0)
    for limit, shown in (("1", ["m2"]), ("2", ["m1", "m2"]), (str(10**30), ["m0", "m1", "m2"])):
        assert [entry["body"] for entry in desk.entries("--limit", limit)] == shown


def test_bytes_that_are_no_text_are_taken_as_what_can_be_read_of_them(coder: Fleet) -> None:
    coder.run("tell", "coder", "-", stdin=b"\xff\xfe\x00\x01 caf\xc3\xa9\r\n" + bytes(range(256)))
    coder.run("start", "coder")
    (entry,) = coder.wait_for("coder", "handled")
    assert "café" in entry["body"]
    done = coder.run("inbox", "coder")
    assert "\x1b" not in done.stdout
    assert "\x00" not in done.stdout


def test_a_message_that_is_too_long_is_refused_and_a_long_one_is_a_turn(coder: Fleet) -> None:
    done = coder.run("tell", "coder", "-", code=1, stdin=b"x" * (9 << 20))
    assert "at most 8388608 are taken" in done.stderr
    assert "put it into a file" in done.stderr
    assert entries_on_disk(coder.root) == 0
    coder.run("tell", "coder", "-", stdin=b"y" * (1 << 20))
    coder.run("start", "coder")
    (entry,) = coder.wait_for("coder", "handled")
    kept = coder.root / "agents" / "coder" / "state" / "bodies" / f"{entry['id']}.txt"
    assert kept.read_text() == "y" * (1 << 20)


# ---- what is shown


def plant(root: Path) -> None:
    """Hostile text wherever it can come from: entries, receipts, and a failure that somebody wrote down."""
    state = root / "agents" / "coder" / "state"
    state.mkdir(exist_ok=True)
    entry = Entry(
        id=new_entry_id(),
        ts=1.0,
        source=ESCAPES,
        body=ESCAPES,
        metadata={"title": ESCAPES, "repo": ESCAPES, "from": ESCAPES},
    )
    github = Entry(id=EntryId("b" * 16), ts=float(1 << 40), source="github", body="x", metadata={"title": ESCAPES})
    surrogate = b'{"id": "c", "ts": 1e999, "source": "\\ud800", "body": "\\udfff"}\n'
    (state / "inbox.jsonl").write_bytes(encode_entry(entry) + encode_entry(github) + surrogate + b"torn {")
    receipt = Receipt(id=entry.id, state="failed", ts=1.0, detail=ESCAPES)
    (state / "receipts.jsonl").write_bytes(encode_receipt(receipt) + b"\xff\n")
    (state / "intent.json").write_text('{"version": 1, "wanted": "running"}')
    (state / "failure.json").write_text(json.dumps({"error": ESCAPES, "hint": ESCAPES}))


@pytest.mark.parametrize("words", [("inbox", "coder"), ("status",), ("status", "coder"), ("list",)])
@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_hostile_text_never_reaches_the_terminal_raw(
    desk: Desk, words: tuple[str, ...], extra: tuple[str, ...]
) -> None:
    plant(desk.root)
    out, err = desk(*words, *extra, code=0)
    assert not [c for c in out + err if ord(c) < 32 and c != "\n"]
    assert not set(out + err) & set("\x7f\x9b\x85\u202e\ufeff")
    if extra:
        json.loads(out)


def test_what_is_typed_comes_back_inert_in_errors(desk: Desk) -> None:
    for words in (("tell", "\x1b[31mred\udcff", "hi"), ("new-agent", "\x1b[31mred\udcff"), ("no\x1b[31mverb",)):
        _, err = desk(*words, code=1 if words[0] == "tell" else 2)
        assert "\x1b" not in err
        assert "red" in err or "verb" in err


def test_a_terminal_of_ascii_shows_what_it_can(desk: Desk) -> None:
    desk("tell", "coder", "café 🦩", code=0)
    for env in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        shown = subprocess.run(
            [sys.executable, "-m", "relayfleet", "inbox", "coder"], env={**os.environ, **env}, capture_output=True
        )
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert b"caf? ?" in shown.stdout


def in_terminal(*words: str, env: dict[str, str]) -> str:
    """What the command prints when its standard output is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "relayfleet", *words],
        env={**os.environ, "TERM": "xterm", **env},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        printed = b""
        try:
            while data := os.read(ours, 1 << 16):
                printed += data
        except OSError:  # EIO: the last writer is gone
            pass
        os.close(ours)
        assert process.wait() == 0
    return printed.decode()


def test_colour_is_for_terminals_alone_and_not_where_it_is_not_wanted(desk: Desk) -> None:
    assert "\x1b[1m" in in_terminal("list", env={})
    assert "\x1b" not in in_terminal("list", env={"NO_COLOR": "1"})
    assert "\x1b" not in in_terminal("list", env={"TERM": "dumb"})
    assert "\x1b" not in desk("list", code=0)[0]
    assert "\x1b" not in in_terminal("--help", env={"NO_COLOR": "1", "TERM": "dumb"})


@pytest.mark.usefixtures("desk")
def test_a_reader_that_goes_away_is_no_fault() -> None:
    for words in (("list",), ("status", "--json"), ("inbox", "coder", "--json"), ("--help",), ("route",)):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "relayfleet", *words],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


# ---- configuration


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("fleet.json", "{", "fleet.json: "),
        (
            "fleet.json",
            '{"defaults": {"claud": {}}}',
            "fleet.json: defaults: unknown key 'claud', did you mean 'claude'?",
        ),
        ("fleet.json", "[1]", "fleet.json: "),
        ("agents/coder/config.json", '{"role": "king", "port": 7}', "agents/coder/config.json: role: "),
        ("agents/coder/config.json", '{"port": "x"}', "agents/coder/config.json: port: "),
        ("agents/coder/config.json", "\x00", "agents/coder/config.json: "),
        ("agents/coder/config.json", "[" * 100_000, "agents/coder/config.json: "),
    ],
)
def test_a_fault_in_a_file_is_named_with_its_place(desk: Desk, path: str, text: str, says: str) -> None:
    (desk.root / path).write_text(text)
    _, err = desk("start", "coder", code=1)
    assert says in err
    assert "hint: " in err


def break_program(config: dict[str, Any]) -> None:
    config["claude"] = {"command": "/nowhere/claude"}


def test_start_all_starts_the_others(scripted: Fleet) -> None:
    for name in ("one", "two", "three"):
        scripted.run("new-agent", name)
    scripted.edit("agents/one/config.json", break_program)
    (scripted.root / "agents" / "two" / "config.json").write_text('{"port": "no"}')
    done = scripted.run("start", "--all", "--json", code=1)
    found = {agent["name"]: agent for agent in json.loads(done.stdout)["agents"]}
    assert found["three"]["state"] == "idle"
    assert "'/nowhere/claude' is not found" in found["one"]["error"]
    assert "agents/two/config.json: port" in found["two"]["error"]
    assert scripted.status("one")["state"] == "failed"


# ---- at the same time, again, in the middle


def test_starting_what_runs_and_stopping_what_is_stopped_succeed_and_say_so(coder: Fleet) -> None:
    assert "coder: stopped (it was so already)" in coder.run("stop", "coder").stdout
    assert coder.run("start", "coder").stdout == "coder: idle\n"
    pid = coder.status("coder")["pid"]
    assert "coder: idle (it was so already)" in coder.run("start", "coder").stdout
    assert coder.status("coder")["pid"] == pid
    assert coder.run("stop", "coder").stdout == "coder: stopped\n"
    assert "(it was so already)" in coder.run("stop", "coder").stdout
    assert coder.processes() == []


def test_two_starts_at_once_make_one_runner(coder: Fleet) -> None:
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: coder.run("start", "coder"), range(3)))
    assert all("coder: idle" in d.stdout for d in done)
    until(lambda: len([p for p in coder.processes() if words_of(p)[3:5] == ["run", "agent"]]) == 1)
    assert coder.status("coder")["state"] == "idle"
    coder.tell("coder", "still one")
    coder.wait_for("coder", "handled")


def test_a_port_that_somebody_else_has_is_a_clear_error(coder: Fleet) -> None:
    port = coder.json("list")["agents"][0]["port"]
    with socket.create_server(("127.0.0.1", port)):
        done = coder.run("start", "coder", code=1)
    assert f"cannot listen for hooks on 127.0.0.1:{port}: " in done.stderr
    assert "give the agent another `port`" in done.stderr
    assert coder.status("coder")["state"] == "failed"
    coder.run("start", "coder")


def test_ctrl_c_in_the_middle_of_a_start_is_130_and_stop_cleans_up(coder: Fleet) -> None:
    slow = [sys.executable, "-c", f"{VERSION}import time; time.sleep(60)"]
    coder.edit("agents/coder/config.json", lambda c: c.update(claude={"command": slow}))
    with subprocess.Popen(
        [sys.executable, "-m", "relayfleet", "start", "coder"], env=coder.env, cwd=coder.root, stderr=subprocess.PIPE
    ) as process:
        until(lambda: coder.status("coder")["state"] == "starting")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == b"interrupted\n"
    coder.run("stop", "coder")
    assert coder.processes() == []


def test_a_session_that_is_no_claude_fails_with_its_last_words(coder: Fleet) -> None:
    says = VERSION + r"print('\x1b[31mno such option'); sys.exit(2)"
    coder.edit("agents/coder/config.json", lambda c: c.update(claude={"command": [sys.executable, "-c", says]}))
    done = coder.run("start", "coder", code=1)
    assert "it ended 3 times before it was ready (exit code 2" in done.stderr
    assert "no such option" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_claude_that_is_too_old_is_a_named_failure(coder: Fleet) -> None:
    old = [sys.executable, "-c", "print('1.0.3 (Claude Code)')"]
    coder.edit("agents/coder/config.json", lambda c: c.update(claude={"command": old}))
    done = coder.run("start", "coder", code=1)
    assert "1.0.3" in done.stderr
    assert "npm install" in done.stderr

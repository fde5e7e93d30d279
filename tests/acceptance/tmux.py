"""A terminal to look at a viewer with: tmux, on a server of its own, which shows what a person would see."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.standins.model import until


class Window:
    """One program in one terminal. `raw` is the file of everything that the program wrote."""

    def __init__(self, socket: Path, name: str, env: Mapping[str, str]) -> None:
        self._socket = socket
        self._name = name
        self._env = env
        self.raw = socket.with_name(f"{socket.name}-{name}.raw")

    def open(self, argv: Sequence[str], *, rows: int, columns: int) -> None:
        """The program's exit code and the settings of the terminal stand on it at the end."""
        self.raw.touch()
        script = f"stty -a > {self.raw}.before; {shlex.join(argv)}; echo exit $?; stty -a > {self.raw}.after; exec cat"
        self._tmux("new-session", "-d", "-s", self._name, "-x", str(columns), "-y", str(rows), f"sleep 0.2; {script}")
        self._tmux("pipe-pane", "-t", f"={self._name}:", f"cat > {self.raw}")

    def attach(self, *words: str, rows: int = 30, columns: int = 100) -> None:
        """Opens `fleet attach coder` with these words."""
        self.open([sys.executable, "-m", "relayfleet", "attach", "coder", *words], rows=rows, columns=columns)

    def type(self, *keys: str) -> None:
        """Keys by tmux's names (`C-]`, `Enter`)."""
        self._tmux("send-keys", "-t", f"={self._name}:", *keys)

    def write(self, text: str) -> None:
        """Words as they are."""
        self._tmux("send-keys", "-t", f"={self._name}:", "-l", text)

    def resize(self, rows: int, columns: int) -> None:
        self._tmux("resize-window", "-t", f"={self._name}:", "-x", str(columns), "-y", str(rows))

    def shows(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", f"={self._name}:")

    def until(self, text: str) -> str:
        """The screen, once it shows `text`."""
        until(lambda: text in self.shows(), what=lambda: f"{text!r} on a screen: {self.shows()[-300:]}")
        return self.shows()

    def restored(self) -> bool:
        """Whether the terminal is set as it was before the program."""
        after = Path(f"{self.raw}.after")
        return after.exists() and after.read_text() == Path(f"{self.raw}.before").read_text()

    def pid(self) -> int:
        """Of the shell that the program runs in."""
        return int(self._tmux("display-message", "-p", "-t", f"={self._name}:", "#{pane_pid}"))

    def _tmux(self, *words: str) -> str:
        argv = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        return subprocess.run(argv, env=dict(self._env), check=True, capture_output=True, text=True, timeout=20).stdout


@contextmanager
def windows(folder: Path, env: Mapping[str, str]) -> Iterator[list[Window]]:
    """Three windows that no program is in yet."""
    socket = folder / "t"
    made = [Window(socket, name, {**env, "TERM": "xterm-256color", "LANG": "C.UTF-8"}) for name in ("a", "b", "c")]
    try:
        yield made
    finally:
        subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False, timeout=20)

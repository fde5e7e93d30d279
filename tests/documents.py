"""The pages of the documentation, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import CHECKOUT

PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the last line of words before it."""

    page: Path
    language: str
    text: str
    before: str


@dataclass(frozen=True)
class Command:
    """A `$ ` line of a console block and the output that the page shows below it."""

    line: str
    shown: str

    @property
    def fails(self) -> bool:
        return "fleet: cannot" in self.shown


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        words = [line for line in text[: match.start()].splitlines() if line.strip()]
        found.append(Block(page=page, language=match[1], text=match[2], before=words[-1] if words else ""))
    return [block for block in found if block.language == language]


def commands(page: Path) -> list[Command]:
    """Every command of the page's console blocks, in order."""
    found = []
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
            line, _, shown = part.partition("\n")
            found.append(Command(line=line, shown=shown.strip("\n")))
    return found


def shows(command: Command, output: str) -> bool:
    """Whether `output` begins as the page says; `...` stands for anything, runs of blanks for one another."""
    words = [re.escape(part).replace(r"\.\.\.", ".*?") for part in command.shown.split()]
    return re.match(r"\s*" + r"\s+".join(words), output, re.S) is not None

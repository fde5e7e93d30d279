"""What stands in the line that a person types into, read off Claude Code's screen.

Observed of 2.1.328: it is framed by two rules as wide as the screen, begins with a sign (❯, or ! for a shell command)
and a no-break space, and is the lowest such frame. A hint in it is faint. A dialog stands in its place, without the
second rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from relayfleet.harness.emulator import Row
from relayfleet.wire.attach import Composer

_RULE, _SIGN = "─", "❯"


def composer_of(rows: Sequence[Row]) -> Composer:
    """`unknown` where there is no such line: a dialog, another screen, a program that is not Claude Code."""
    rules = [number for number, row in enumerate(rows) if _is_rule(row)]
    if len(rules) < 2:
        return "unknown"
    above, below = rules[-2:]
    inside = rows[above + 1 : below]
    if not inside or not inside[0] or inside[0][0].text not in (_SIGN, "!"):
        return "unknown"
    if inside[0][0].text == "!":
        return "text"
    typed = [cell for row in [inside[0][1:], *inside[1:]] for cell in row]
    return "text" if any(cell.text != " " and not cell.style.faint for cell in typed) else "empty"


def _is_rule(row: Row) -> bool:
    words = "".join(cell.text for cell in row)
    return words.startswith(_RULE * 10) and words.rstrip().endswith(_RULE)

"""Moments and durations on the command line."""

from __future__ import annotations

import pytest

from relayfleet.cli.moment import seconds_of
from relayfleet.errors import UsageError
from relayfleet.model.duration import in_words


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1.5h", 5400), ("3d", 259_200), ("1w", 604_800), ("0s", 0)],
)
def test_durations(duration: str, seconds: float) -> None:
    assert seconds_of(duration, doing="look") == seconds


@pytest.mark.parametrize("duration", ["", "2", "h", "2 h", "-2h", "2H", "1e9h", "٢h", "2h30m", "9999999999s"])
def test_what_is_no_duration(duration: str) -> None:
    with pytest.raises(UsageError, match=r"cannot look: .* is no duration") as caught:
        seconds_of(duration, doing="look")
    assert "--since 2h" in caught.value.hint


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3600, "60 min"),
        (7200, "2 h"),
        (86_400, "24 h"),
        (172_800, "2 days"),
        (1_000_000, "12 days"),
    ],
)
def test_lengths(seconds: float, words: str) -> None:
    assert in_words(seconds) == words

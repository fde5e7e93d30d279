"""What a benchmark gives: figures, each with what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`bound` is the most that `value` should be, in the same unit; `reference` says what stands behind it."""

    name: str
    value: float
    unit: str
    bound: float
    reference: str

    @property
    def holds(self) -> bool:
        return self.value <= self.bound


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

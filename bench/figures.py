"""Sums up times."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the smallest value that at least this percentage of all does not exceed (nearest rank).

    Raises
    ------
    ValueError
        If there are no values.
    """
    if not values:
        raise ValueError("there is no percentile of nothing")
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


@dataclass(frozen=True)
class Spread:
    """The middle of some values and how far they lie apart."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up.

        Raises
        ------
        statistics.StatisticsError
            If there are no values.
        """
        return cls(statistics.median(values), min(values), max(values))

    def text(self, unit: str = "", digits: int = 2) -> str:
        """Give it for people: one number where there is no spread."""
        middle = f"{self.median:.{digits}f}{unit}"
        if self.least == self.most:
            return middle
        return f"{middle} ({self.least:.{digits}f} to {self.most:.{digits}f})"

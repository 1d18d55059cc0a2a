"""What is usual for a device and a view: the median of its last good images, and their spread."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Images that a baseline is made of, the last ones: the device changes slowly.
WINDOW = 100
#: With fewer than this the shipped limits apply.
ENOUGH = 10
#: The median absolute deviation of a normal distribution, times this, is its standard deviation
#: (Rousseeuw and Croux, J Am Stat Assoc 88, 1993).
_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Usual:
    """A feature's usual value and spread (as a standard deviation), robust against outliers."""

    median: float
    spread: float

    def within(self, value: float, spreads: float, least: float) -> bool:
        """Whether a value is at most so many spreads away, or at most ``least``."""
        return abs(value - self.median) <= max(spreads * self.spread, least)


@dataclass(frozen=True)
class Baseline:
    """Of one device and view."""

    usual: Mapping[str, Usual]

    @classmethod
    def of(cls, images: Iterable[Mapping[str, float]]) -> Baseline:
        """``images``: the features of unflagged images, the newest first."""
        columns: dict[str, list[float]] = {}
        for features, _ in zip(images, range(WINDOW), strict=False):
            for name, value in features.items():
                columns.setdefault(name, []).append(value)
        return cls({name: _usual(v) for name, v in columns.items() if len(v) >= ENOUGH})


def _usual(values: list[float]) -> Usual:
    middle = median(values)
    return Usual(middle, _TO_SIGMA * median(abs(value - middle) for value in values))


#: Of a device that nobody has seen yet.
COLD = Baseline({})

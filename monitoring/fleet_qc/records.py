"""What the miner works on and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

#: What the features are conditioned on, and what is therefore never a finding itself: it describes
#: the women who came, not the scanner.
COVARIATE = "thickness_mm"


@dataclass(frozen=True, order=True)
class Stream:
    """The images of one device in one view."""

    truck: str
    device: str
    modality: str
    view: str


@dataclass(frozen=True)
class Moments:
    """Daily moments of each feature of each stream.

    ``count``, ``total`` and ``squares`` have the shape (streams, features, days); a day without a
    value has count 0. ``days`` are days since 1970-01-01 UTC, ascending.
    """

    streams: tuple[Stream, ...]
    features: tuple[str, ...]
    days: NDArray[np.int64]
    count: Floats
    total: Floats
    squares: Floats

    def mean(self) -> Floats:
        """Mean of each day, NaN where there is no value; (streams, features, days)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Floats = np.where(self.count > 0, self.total / self.count, np.nan)
        return mean

    def variance(self) -> Floats:
        """Variance within each day (of the images, not of their mean), NaN without a value."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.count
            spread = np.maximum(self.squares / self.count - mean**2, 0.0)
            variance: Floats = np.where(self.count > 0, spread, np.nan)
        return variance

    def until(self, days: int) -> Moments:
        """The first so many days."""
        return Moments(
            self.streams, self.features, self.days[:days],
            self.count[:, :, :days], self.total[:, :, :days], self.squares[:, :, :days],
        )  # fmt: skip

    def select(self, rows: NDArray[np.int64]) -> Moments:
        """Some of the streams."""
        return Moments(
            tuple(self.streams[row] for row in rows), self.features, self.days,
            self.count[rows], self.total[rows], self.squares[rows],
        )  # fmt: skip


@dataclass(frozen=True)
class Flags:
    """Flagged images of each stream and day.

    ``flagged`` has the shape (streams, flags, days), ``images`` (streams, days).
    """

    streams: tuple[Stream, ...]
    names: tuple[str, ...]
    days: NDArray[np.int64]
    flagged: Floats
    images: Floats

    def until(self, days: int) -> Flags:
        """The first so many days."""
        return Flags(
            self.streams, self.names, self.days[:days],
            self.flagged[:, :, :days], self.images[:, :days],
        )  # fmt: skip


@dataclass(frozen=True, order=True)
class Build:
    """What a device says of itself: Manufacturer, Manufacturer's Model Name, Software Versions."""

    manufacturer: str
    model: str
    software: str


@dataclass(frozen=True)
class Inventory:
    """What each device said on each day; ``None`` where it said nothing."""

    devices: tuple[tuple[str, str], ...]  #: truck and device
    days: NDArray[np.int64]
    builds: tuple[tuple[Build | None, ...], ...]  #: (devices, days)

    def until(self, days: int) -> Inventory:
        """The first so many days."""
        return Inventory(self.devices, self.days[:days], tuple(row[:days] for row in self.builds))


@dataclass(frozen=True)
class History:
    """All that the miner is given."""

    moments: Moments
    flags: Flags
    inventory: Inventory

    def until(self, days: int) -> History:
        """The first so many days."""
        return History(self.moments.until(days), self.flags.until(days), self.inventory.until(days))


class Kind(StrEnum):
    """How a device is out of line."""

    OUTLIER = "outlier"  #: far from the devices like it, over the last week
    STEP = "step"  #: jumped against its own past
    DRIFT = "drift"  #: moves away from its own past, day by day
    FLAGS = "flags"  #: more of its images are flagged than before and than elsewhere
    SOFTWARE = "software"  #: runs what hardly any device of its model runs


@dataclass(frozen=True)
class Finding:
    """One device, one feature, and how sure it is."""

    stream: Stream
    feature: str
    kind: Kind
    deviation: float  #: in robust standard deviations, signed
    since: int | None  #: day since 1970-01-01; ``None`` where the miner cannot tell
    confidence: float  #: 1 - chance that any of all comparisons shows this much by accident
    detail: str


@dataclass(frozen=True)
class Shift:
    """How far a distribution moved from its reference window (population stability index)."""

    truck: str  #: empty: the whole fleet
    modality: str
    feature: str
    psi: float
    drifted: bool


@dataclass(frozen=True)
class Clusters:
    """The groups of a modality and view; ``labels`` are 0 … k-1 by size, largest first."""

    modality: str
    view: str
    streams: tuple[Stream, ...]
    features: tuple[str, ...]
    means: Floats  #: (streams, features) in the features' own units
    labels: NDArray[np.int64]
    number: int
    silhouette: float  #: NaN with one cluster
    reason: str


@dataclass(frozen=True)
class Mined:
    """All that was found."""

    findings: tuple[Finding, ...]
    clusters: tuple[Clusters, ...]
    shifts: tuple[Shift, ...]
    days: NDArray[np.int64]
    streams: int
    trucks: int
    notes: tuple[str, ...] = field(default=())

"""Devices that are far from the devices like them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from fleet_qc import robust
from fleet_qc.records import Build, Finding, Kind, Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fleet_qc.records import Flags, Floats, Inventory

#: Fewer devices of a kind say nothing of what is usual among them.
FEWEST_ALIKE = 8
#: Of the efficiency of the median absolute deviation against the standard deviation.
_EFFICIENCY = 0.37
#: Where more than this share of a group is far from its centre, the group has two kinds of device
#: that were too few to be told apart, and nobody is out of line.
_KIND_SHARE = 0.15
_FAR = 3.5
#: A version that less than this share of the devices of a model runs is wrong, or brand-new.
_RARE_SHARE = 0.05
_FEWEST_OF_MODEL = 20
#: Flag rates are compared with at least this: one stray flag among few images is no finding.
_LEAST_RATE = 0.002
#: The last so many days with images count, each such window tried.
_FLAG_WINDOWS = (1, 3)
#: A rate of one day varies more than counting says, from clinic to clinic.
_LEAST_EXCESS = 3.0


def against_fleet(level: Floats, error: Floats, labels: NDArray[np.int64]) -> Floats:
    """Signed normal deviate of each stream from the centre of its cluster; (streams,).

    As rare as Student's t with the degrees of freedom of so many devices: the spread of ten is
    itself uncertain.

    ``level`` is the mean over the window, ``error`` its standard error. The scale is the spread
    between the cluster's devices, widened by the stream's own error; where a feature is the same
    on most devices (a tube voltage), it is at least a thousandth of the value.
    """
    deviate = np.zeros(len(level))
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & np.isfinite(level))
        if len(rows) < FEWEST_ALIKE:
            continue
        centre = float(robust.median(level[rows]))
        floor = 1e-3 * abs(centre)
        between = max(float(robust.spread(level[rows])), floor)
        scale = np.sqrt(between**2 + np.nan_to_num(error[rows]) ** 2)
        if between <= 0:
            continue
        statistic = (level[rows] - centre) / scale
        if np.mean(np.abs(statistic) > _FAR) <= _KIND_SHARE:
            deviate[rows] = robust.two_sided_z(statistic, _EFFICIENCY * (len(rows) - 1))
    return deviate


def flag_rates(flags: Flags) -> Floats:
    """Deviate of each stream's last flag rates from its own and the fleet's; (streams, flags).

    Poisson tails of the flagged images of the last days against what the rate before (its own or
    the fleet's usual, whichever is higher) lets expect. Never negative: fewer flags are no fault.
    """
    found = np.zeros(flags.flagged.shape[:2])
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = flags.flagged.sum(axis=2) / flags.images.sum(axis=1)[:, None]
    fleet = robust.median(whole, axis=0)
    for row in range(len(flags.streams)):
        (scanned,) = np.nonzero(flags.images[row] > 0)
        for window in _FLAG_WINDOWS:
            if len(scanned) <= window:
                continue
            last, before = scanned[-window:], scanned[:-window]
            images = flags.images[row, last].sum()
            past = flags.flagged[row][:, before].sum(axis=1) / flags.images[row, before].sum()
            rate = np.maximum(np.maximum(past, np.nan_to_num(fleet)), _LEAST_RATE)
            seen = flags.flagged[row][:, last].sum(axis=1)
            tail = stats.poisson.sf(seen - 1, rate * images)
            more = seen > _LEAST_EXCESS * rate * images
            for index in np.flatnonzero(more):
                found[row, index] = max(found[row, index], robust.tail_z(float(tail[index])))
    return found


def strange_software(inventory: Inventory, modality: dict[tuple[str, str], str]) -> list[Finding]:
    """Devices that run what hardly any other device of their model runs."""
    if not len(inventory.days):
        return []
    now = [_last(row) for row in inventory.builds]
    found = []
    for device, row, build in zip(inventory.devices, inventory.builds, now, strict=True):
        if build is None:
            continue
        alike = [b for b in now if b is not None and b.model == build.model]
        same = sum(b == build for b in alike)
        if len(alike) < _FEWEST_OF_MODEL or same > _RARE_SHARE * len(alike):
            continue
        changed = next(
            (int(inventory.days[i + 1]) for i in range(len(row) - 2, -1, -1)
             if row[i] not in {None, build}),
            None,
        )  # fmt: skip
        found.append(
            Finding(
                Stream(*device, modality.get(device, ""), ""), "software", Kind.SOFTWARE,
                robust.tail_z(same / len(alike)), changed, 1 - same / len(alike),
                f"{build.software} runs on {same} of {len(alike)} devices of {build.model}",
            )
        )  # fmt: skip
    return found


def _last(builds: Sequence[Build | None]) -> Build | None:
    return next((build for build in reversed(builds) if build is not None), None)

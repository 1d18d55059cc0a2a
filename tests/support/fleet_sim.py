"""A fleet that was never built: trucks with mammography units, outages, and planted faults.

Effect sizes are fixed. Between devices of a vendor, a feature's level differs by 3 % (standard
deviation), between women by 8 to 10 %, between days of one truck by 0.3 %; breast thickness moves
all of them. A unit makes about 80 images a day. Trucks may have a second unit; a fault is of one of them.

| fault | from its first day on |
|---|---|
| dead rows | 90 % of the images are flagged LOST_ROWS; noise + 15 % |
| gain drift | mean and contrast grow by 2.5 % of their level each day |
| kVp step | tube voltage + 2 kV; contrast - 8 % |
| dirty detector | noise + 12 %, mean - 5 % |
| wrong software | a version that no other unit runs |

What may happen to the whole fleet, from one day on (``moved``), and to no unit more than to others:

| shift | of every unit |
|---|---|
| intensity | mean + 200 (two of the standard deviations between women) |
| dense area | dense_fraction + 0.2 (of a deviation between women of 0.12) |
| flags | 15 % of the images are flagged |
| software | an update: another version |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fleet_qc.records import Build, Flags, History, Inventory, Moments, Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_qc.records import Floats

FEATURES = ("thickness_mm", "mean", "contrast", "noise", "dense_fraction", "kvp_kv")
#: Level for either vendor, standard deviation between devices, between women, per mm of thickness.
_MODEL = {
    "thickness_mm": ((55.0, 55.0), 4.0, 12.0, 0.0),
    "mean": ((1000.0, 1400.0), 36.0, 96.0, -6.0),
    "contrast": ((1800.0, 2400.0), 63.0, 190.0, -8.0),
    "noise": ((12.0, 9.0), 0.32, 0.9, 0.05),
    "dense_fraction": ((0.25, 0.25), 0.01, 0.12, -0.002),
    "kvp_kv": ((29.0, 28.0), 0.15, 1.0, 0.05),
}
_BUILDS = (
    Build("Vendor A", "Mammo 1", "4.2"),
    Build("Vendor B", "Senofilm", "11.0"),
)
_FLAG_RATE = 0.001
_IMAGES_A_DAY = 80
_DAY_EFFECT = 0.003
#: Thickness differs between the days of a truck by so much.
_DAY_THICKNESS_MM = 1.5
_SHARE_OF_VENDOR_B = 0.4


#: Truck and device.
Unit: TypeAlias = tuple[str, str]


class Fault(StrEnum):
    DEAD_ROWS = "dead rows"
    GAIN_DRIFT = "gain drift"
    KVP_STEP = "kVp step"
    DIRTY_DETECTOR = "dirty detector"
    WRONG_SOFTWARE = "wrong software"


#: The features that a fault changes. (What drifts far enough looks like a broken unit of another
#: kind, and is then named by the features that did not change, too.)
SHOWS = {
    Fault.DEAD_ROWS: {"LOST_ROWS", "noise"},
    Fault.GAIN_DRIFT: {"mean", "contrast"},
    Fault.KVP_STEP: {"kvp_kv", "contrast"},
    Fault.DIRTY_DETECTOR: {"noise", "mean"},
    Fault.WRONG_SOFTWARE: {"software"},
}


@dataclass(frozen=True)
class Planted:
    """A fault of one unit; ``day`` is an index into the history's days."""

    fault: Fault
    day: int


@dataclass(frozen=True)
class Fleet:
    """What happened, and what is wrong with whom."""

    history: History
    faults: dict[Unit, Planted]


def fleet(
    trucks: int, days: int, *, seed: int, faults: int = 0, first_day: int = 20_000,
    views: tuple[str, ...] = ("CC",), vendors: int = 2, second_unit_every: int = 0,
) -> Fleet:  # fmt: skip
    """So many trucks over so many days; faults of every kind in turn, on the first trucks.

    A fault begins after ten days at the earliest and three days before the end at the latest. Every
    so many-th truck has a second unit of the same modality, which is the one that breaks there.
    """
    draw = np.random.default_rng(seed)
    units = [
        (f"T{number:04d}", f"MG-{unit}")
        for number in range(trucks)
        for unit in ((1, 2) if second_unit_every and number % second_unit_every == 0 else (1,))
    ]
    last_of = dict(units)
    planted = {
        (truck, last_of[truck]): Planted(
            list(Fault)[number % len(Fault)], int(draw.integers(10, days - 3))
        )
        for number, truck in enumerate(list(last_of)[:faults])
    }
    vendor = (draw.random(len(units)) < _SHARE_OF_VENDOR_B).astype(int) if vendors > 1 else (
        np.zeros(len(units), int)
    )  # fmt: skip
    rows = [(number, view) for number in range(len(units)) for view in views]
    streams = tuple(Stream(*units[number], "MG", view) for number, view in rows)
    vendor_of = vendor[[number for number, _ in rows]]
    count = draw.poisson(_IMAGES_A_DAY, (len(rows), days)).astype(float)
    values = _values(draw, vendor_of, count)
    noise_of = {name: index for index, name in enumerate(FEATURES)}
    flag_rate = np.full((len(rows), days), _FLAG_RATE)
    for row, (number, _) in enumerate(rows):
        fault = planted.get(units[number])
        if fault is not None:
            _break(values[row], flag_rate[row], noise_of, fault, days)
    deviation = np.array([_MODEL[name][2] for name in FEATURES])[None, :, None]
    chi = draw.chisquare(np.maximum(count - 1, 1))[:, None, :] * deviation**2
    images = np.repeat(count[:, None, :], len(FEATURES), axis=1)
    moments = Moments(
        streams, FEATURES, np.arange(first_day, first_day + days), images, images * values,
        images * values**2 + chi,
    )  # fmt: skip
    flagged = draw.binomial(count.astype(int), flag_rate).astype(float)
    flags = Flags(streams, ("LOST_ROWS",), moments.days, flagged[:, None, :], count)
    return Fleet(History(moments, flags, _inventory(units, vendor, planted, moments.days)), planted)


class Shift(StrEnum):
    INTENSITY = "mean"
    DENSE_AREA = "dense_fraction"
    FLAGS = "flags"
    SOFTWARE = "software"


_SHIFT = {Shift.INTENSITY: 200.0, Shift.DENSE_AREA: 0.2}
_SHIFTED_FLAG_RATE = 0.15


def moved(history: History, shift: Shift, day: int) -> History:
    """The same fleet, had this happened to all of it from a day on (an index)."""
    moments, flags, inventory = history.moments, history.flags, history.inventory
    since = slice(day, None)
    if shift in _SHIFT:
        place, by = moments.features.index(shift), _SHIFT[shift]
        total, squares = moments.total.copy(), moments.squares.copy()
        count = moments.count[:, place, since]
        squares[:, place, since] += 2 * by * total[:, place, since] + count * by**2
        total[:, place, since] += count * by
        moments = replace(moments, total=total, squares=squares)
    elif shift is Shift.FLAGS:
        flagged = flags.flagged.copy()
        flagged[:, :, since] = np.round(_SHIFTED_FLAG_RATE * flags.images[:, None, since])
        flags = replace(flags, flagged=flagged)
    else:
        builds = tuple(
            tuple(
                b and replace(b, software=f"{b.software}.1") if number >= day else b
                for number, b in enumerate(row)
            )
            for row in inventory.builds
        )
        inventory = replace(inventory, builds=builds)
    return History(moments, flags, inventory)


def _values(draw: np.random.Generator, vendor: NDArray[np.int64], count: Floats) -> Floats:
    """Daily means; (streams, features, days)."""
    rows, days = count.shape
    values = np.empty((rows, len(FEATURES), days))
    thickness = np.zeros((rows, days))
    for index, name in enumerate(FEATURES):
        levels, between, within, per_mm = _MODEL[name]
        level = np.array(levels)[vendor] + between * draw.standard_normal(rows)
        day = level[:, None] * _DAY_EFFECT * draw.standard_normal((rows, days))
        if name == "thickness_mm":
            day = _DAY_THICKNESS_MM * draw.standard_normal((rows, days))
        error = within * draw.standard_normal((rows, days)) / np.sqrt(np.maximum(count, 1))
        values[:, index] = level[:, None] + day + error + per_mm * thickness
        if name == "thickness_mm":
            thickness = values[:, index] - levels[0]
    return values


def _break(
    values: Floats, flag_rate: Floats, place: dict[str, int], planted: Planted, days: int
) -> None:
    broken = np.arange(days) >= planted.day
    if planted.fault is Fault.DEAD_ROWS:
        flag_rate[broken] = 0.9
        values[place["noise"], broken] *= 1.15
    elif planted.fault is Fault.GAIN_DRIFT:
        growth = 1 + 0.025 * (np.arange(days)[broken] - planted.day + 1)
        for name in ("mean", "contrast"):
            values[place[name], broken] *= growth
    elif planted.fault is Fault.KVP_STEP:
        values[place["kvp_kv"], broken] += 2.0
        values[place["contrast"], broken] *= 0.92
    elif planted.fault is Fault.DIRTY_DETECTOR:
        values[place["noise"], broken] *= 1.12
        values[place["mean"], broken] *= 0.95


def _inventory(
    units: list[Unit], vendor: NDArray[np.int64], planted: dict[Unit, Planted],
    days: NDArray[np.int64],
) -> Inventory:  # fmt: skip
    builds = []
    for number, unit in enumerate(units):
        usual = _BUILDS[vendor[number]]
        fault = planted.get(unit)
        wrong = Build(usual.manufacturer, usual.model, f"0.{number}")
        since = fault.day if fault and fault.fault is Fault.WRONG_SOFTWARE else len(days)
        builds.append(tuple(usual if day < since else wrong for day in range(len(days))))
    return Inventory(tuple(units), days, tuple(builds))

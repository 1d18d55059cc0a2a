"""From daily moments to findings. Pure: the same history gives the same findings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from fleet_qc import changes, clusters, condition, drift, outliers, robust
from fleet_qc.records import COVARIATE, Clusters, Finding, Kind, Mined, Shift

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from fleet_qc.records import Flags, Floats, History, Inventory, Moments, Stream

#: A device is compared with the fleet by its last so many days.
WINDOW_DAYS = 7
#: Distributions of the last week are compared with the days before it.
_FEWEST_REFERENCE_DAYS = 7
#: Deviates from which a finding is named. Far, because every feature of every device is looked at
#: every day: with 1,000 devices and 6 features a deviate of 5 turns up once in ten months.
NAMED = 5.0
#: A change must also be worth a visit: a share of the feature's usual value …
_LEAST_CHANGE = 0.01
#: … which has a different meaning for what is itself a share.
_LEAST_SHARE = 0.005


def mine(history: History, *, with_drift: bool = True) -> Mined:
    """Everything that is out of line at the end of the history."""
    moments = history.moments
    found: list[Finding] = []
    groups: list[Clusters] = []
    for rows in _groups(moments.streams if len(moments.days) else ()):
        group, of_group = _group(moments.select(rows))
        groups.append(group)
        found += of_group
    found += _flagged(history.flags)
    modality = {(s.truck, s.device): s.modality for s in moments.streams}
    found += outliers.strange_software(history.inventory, modality)
    shifts = tuple(_shifts(history)) if with_drift else ()
    return Mined(
        tuple(sorted(found, key=lambda f: (-abs(f.deviation), f.stream, f.feature))),
        tuple(groups), shifts, moments.days, len(moments.streams),
        len({stream.truck for stream in moments.streams}),
    )  # fmt: skip


def _groups(streams: tuple[Stream, ...]) -> Iterator[np.typing.NDArray[np.int64]]:
    kinds = sorted({(stream.modality, stream.view) for stream in streams})
    for kind in kinds:
        yield np.array([i for i, s in enumerate(streams) if (s.modality, s.view) == kind], np.int64)


def _group(moments: Moments) -> tuple[Clusters, list[Finding]]:
    """The streams of one modality and view."""
    values = condition.conditioned(moments)
    last = slice(max(len(moments.days) - WINDOW_DAYS, 0), None)
    features = [i for i, name in enumerate(moments.features) if name != COVARIATE]
    levels = _levels(values[:, :, last], moments.count[:, :, last])
    split = clusters.split(clusters.standardised(levels[:, features]))
    stream = moments.streams[0]
    group = Clusters(
        stream.modality, stream.view, moments.streams, moments.features, levels,
        split.labels, split.number, split.silhouette, split.reason,
    )  # fmt: skip
    found: list[Finding] = []
    comparisons = len(moments.streams) * max(len(features), 1)
    for index in features:
        weights = moments.count[:, index]
        steady = condition.without_common(values[:, index])
        found += _changed(moments, index, steady, weights, comparisons)
        noise, _ = robust.day_noise(values[:, index], weights)
        images = np.maximum(weights[:, last].sum(axis=1), 1.0)
        deviates = outliers.against_fleet(levels[:, index], np.sqrt(noise / images), split.labels)
        found += _outlying(moments, index, deviates, levels[:, index], comparisons)
    return group, found


def _levels(values: Floats, weights: Floats) -> Floats:
    """Mean over the days by images; (streams, features)."""
    w = np.where(np.isfinite(values), weights, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        levels: Floats = np.sum(w * np.nan_to_num(values), axis=2) / w.sum(axis=2)
    return levels


def _changed(
    moments: Moments, index: int, values: Floats, weights: Floats, comparisons: int
) -> Iterator[Finding]:
    name = moments.features[index]
    change = changes.find(values, weights)
    usual = np.abs(robust.median(values, axis=1))
    least = _LEAST_SHARE if _is_share(name) else _LEAST_CHANGE * usual
    told = np.flatnonzero((np.abs(change.deviate) >= NAMED) & (np.abs(change.size) >= least))
    for row in told:
        ramp = bool(change.ramp[row])
        yield Finding(
            moments.streams[row], name, Kind.DRIFT if ramp else Kind.STEP,
            float(change.deviate[row]), int(moments.days[change.begin[row]]),
            robust.confidence(float(change.deviate[row]), comparisons * len(moments.days)),
            f"{'moved' if ramp else 'jumped'} by {change.size[row]:+.4g} from {usual[row]:.4g}",
        )  # fmt: skip


def _is_share(name: str) -> bool:
    return name.startswith("share_") or name.endswith("_fraction")


def _outlying(
    moments: Moments, index: int, deviates: Floats, levels: Floats, comparisons: int
) -> Iterator[Finding]:
    name = moments.features[index]
    usual = float(robust.median(levels))
    for row in np.flatnonzero(np.abs(deviates) >= NAMED):
        yield Finding(
            moments.streams[row], name, Kind.OUTLIER, float(deviates[row]), None,
            robust.confidence(float(deviates[row]), comparisons),
            f"{levels[row]:.4g} where the fleet has {usual:.4g}",
        )  # fmt: skip


def _flagged(flags: Flags) -> Iterator[Finding]:
    deviates = outliers.flag_rates(flags)
    for row, index in zip(*np.nonzero(deviates >= NAMED), strict=True):
        deviate = float(deviates[row, index])
        flagged = flags.flagged[row, index, -WINDOW_DAYS:].sum()
        images = flags.images[row, -WINDOW_DAYS:].sum()
        yield Finding(
            flags.streams[row], flags.names[index], Kind.FLAGS, deviate, None,
            robust.confidence(deviate, deviates.size), f"{flagged:.0f} of {images:.0f} images of the last week",
        )  # fmt: skip


# --- distributions ------------------------------------------------------------------------------


def _shifts(history: History) -> Iterator[Shift]:
    """Every distribution of the last week against the days before: of the fleet, of each truck."""
    days = len(history.moments.days)
    if days < _FEWEST_REFERENCE_DAYS + WINDOW_DAYS:
        return
    before, now = slice(0, days - WINDOW_DAYS), slice(days - WINDOW_DAYS, days)
    yield from _moved_features(history.moments, before, now)
    yield from _moved_flags(history.flags, before, now)
    yield from _moved_builds(history.inventory, before, now)


def _moved_features(moments: Moments, before: slice, now: slice) -> Iterator[Shift]:
    mean, variance = moments.mean(), moments.variance()
    for modality in sorted({stream.modality for stream in moments.streams}):
        rows = [i for i, s in enumerate(moments.streams) if s.modality == modality]
        trucks = sorted({moments.streams[row].truck for row in rows})
        place = {truck: number for number, truck in enumerate(trucks)}
        truck_of = [place[moments.streams[row].truck] for row in rows]
        for feature, name in enumerate(moments.features):
            parts = (moments.count[rows, feature], mean[rows, feature], variance[rows, feature])
            edges = drift.deciles(*(part[:, before] for part in parts))
            if not edges.size:
                continue
            images = drift.histograms(*parts, edges)
            pair = []
            for span in (before, now):
                of_truck = np.zeros((len(trucks), drift.BINS))
                np.add.at(of_truck, truck_of, images[:, span].sum(axis=1))
                pair.append(np.concatenate([of_truck.sum(axis=0, keepdims=True), of_truck]))
            old, new = pair
            for truck, psi, n, m in zip(
                ("", *trucks), drift.index(old, new), old.sum(axis=1), new.sum(axis=1), strict=True
            ):
                if n and m:
                    moved = drift.drifted(float(psi), drift.BINS, float(n), float(m))
                    yield Shift(truck, modality, name, float(psi), moved)


def _moved_flags(flags: Flags, before: slice, now: slice) -> Iterator[Shift]:
    for modality in sorted({stream.modality for stream in flags.streams}):
        rows = [i for i, s in enumerate(flags.streams) if s.modality == modality]
        counts: list[dict[Hashable, float]] = []
        for span in (before, now):
            flagged = flags.flagged[rows][:, :, span].sum(axis=(0, 2))
            images = float(flags.images[rows][:, span].sum())
            by_name: dict[Hashable, float] = dict(
                zip(flags.names, map(float, flagged), strict=True)
            )
            counts.append({**by_name, "none": max(images - float(flagged.sum()), 0.0)})
        psi, bins, old, new = drift.categories(counts[0], counts[1])
        if old and new:
            yield Shift("", modality, "flags", psi, drift.drifted(psi, bins, old, new))


def _moved_builds(inventory: Inventory, before: slice, now: slice) -> Iterator[Shift]:
    for field in ("manufacturer", "model", "software"):
        counts: list[dict[Hashable, float]] = []
        for span in (before, now):
            seen: Counter[Hashable] = Counter()
            for row in inventory.builds:
                # A device counts once in each window: its days are one and the same thing.
                last = next((b for b in reversed(row[span]) if b is not None), None)
                if last is not None:
                    seen[getattr(last, field)] += 1
            counts.append(dict(seen))
        psi, bins, old, new = drift.categories(counts[0], counts[1])
        if old and new:
            yield Shift("", "", field, psi, drift.drifted(psi, bins, old, new))

"""Reads a fleet's history over Prometheus' HTTP API; VictoriaMetrics, Mimir and Thanos answer alike.

What trucks export are running totals. One value of each at the end of each UTC day is enough: the
difference of two days is the day's moments, whatever happened in between. A truck that was cut off
at midnight is taken by its last value of the hours before; where there is none its next value
stands for both days. What comes late, after an outage, is simply there at the next look.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import requests

from fleet_qc.records import Build, Flags, History, Inventory, Moments, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from fleet_qc.records import Floats

DAY_S = 86_400
#: A value this old still stands for midnight: no truck scans at night.
_LOOK_BACK = "6h"
_COUNT = "edge_router_qc_feature_count"
_SUM = "edge_router_qc_feature_sum"
_SQUARES = "edge_router_qc_feature_squares"
_FLAGS = "edge_router_qc_flags_total"
_DEVICE = "edge_router_device_info"


class PrometheusError(Exception):
    """Prometheus did not answer, or not with a matrix. The text says which query."""


class Prometheus:
    """A Prometheus, by the root of its HTTP API."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    def history(self, last_day: int, days: int) -> History:
        """The so many days up to and with ``last_day`` (since 1970-01-01 UTC).

        Raises PrometheusError.
        """
        ends = np.arange(last_day - days, last_day + 1) + 1  # one more: differences are wanted
        names = (_COUNT, _SUM, _SQUARES, _FLAGS, _DEVICE)
        # Prometheus answers each query on one processor, and they take as long as it decodes.
        with ThreadPoolExecutor(len(names)) as pool:
            totals = pool.map(lambda name: self._totals(name, ends), names)
            series = dict(zip(names, totals, strict=True))
        streams = sorted({stream(labels) for labels, _ in series[_COUNT]})
        day_numbers = ends[1:] - 1
        moments = _moments(streams, day_numbers, series)
        return History(
            moments, _flags(moments, series[_FLAGS]), _inventory(day_numbers, series[_DEVICE])
        )

    def _totals(
        self, metric: str, ends: NDArray[np.int64]
    ) -> list[tuple[Mapping[str, str], Floats]]:
        """Labels and value at the end of each day, NaN: none."""
        # A second earlier: what is measured at midnight is the next day's.
        first, last = int(ends[0]) * DAY_S - 1, int(ends[-1]) * DAY_S - 1
        found = []
        for result in self._range(f"last_over_time({metric}[{_LOOK_BACK}])", first, last, DAY_S):
            values = np.full(len(ends), np.nan)
            pairs = np.array(result["values"], dtype=float)
            values[((pairs[:, 0] - first) / DAY_S).round().astype(int)] = pairs[:, 1]
            found.append((result["metric"], values))
        return found

    def _range(self, query: str, start: int, end: int, step: int) -> list[dict[str, Any]]:
        asked = {"query": query, "start": start, "end": end, "step": step}
        try:
            answer = requests.post(
                f"{self._url}/api/v1/query_range", data=asked, timeout=self._timeout_s
            )
            content = answer.json()
        except requests.RequestException as error:
            message = f"{query}: no answer ({type(error).__name__})"
            raise PrometheusError(message) from None
        if not answer.ok or content.get("status") != "success":
            message = f"{query}: {content.get('errorType')}: {content.get('error')}"
            raise PrometheusError(message)
        found: list[dict[str, Any]] = content["data"]["result"]
        return found


def stream(labels: Mapping[str, str]) -> Stream:
    """Whose series it is. A router that did not tell devices apart yet has one of each modality."""
    modality = labels.get("modality", "")
    return Stream(
        labels.get("truck", ""), labels.get("device") or modality, modality, labels.get("view", "")
    )


def daily(totals: Floats) -> Floats:
    """What each day added to running totals; the last axis is one shorter. NaN: not known.

    Nothing is known of the first day with a value: how old the total is, it does not say. Totals
    may fall (sums of negative values), so only the caller, who sees the counts, can tell a lost
    journal.
    """
    known = np.isfinite(totals)
    begun = np.maximum.accumulate(np.where(known, np.arange(totals.shape[-1]), -1), axis=-1)
    held = np.take_along_axis(totals, np.maximum(begun, 0), axis=-1)
    added: Floats = np.where(
        known[..., 1:] & (begun[..., :-1] >= 0), np.diff(held, axis=-1), np.nan
    )
    return added


def _moments(
    streams: Sequence[Stream],
    days: NDArray[np.int64],
    series: Mapping[str, Iterable[tuple[Mapping[str, str], Floats]]],
) -> Moments:
    features = sorted({labels["feature"] for labels, _ in series[_COUNT]})
    row = {name: number for number, name in enumerate(streams)}
    column = {name: number for number, name in enumerate(features)}
    totals = {}
    for metric in (_COUNT, _SUM, _SQUARES):
        values = np.full((len(streams), len(features), len(days) + 1), np.nan)
        for labels, line in series[metric]:
            place = row.get(stream(labels)), column.get(labels["feature"])
            if None not in place:
                values[place] = line
        totals[metric] = values
    count, total, squares = (daily(totals[metric]) for metric in (_COUNT, _SUM, _SQUARES))
    # A count that fell is a journal that was lost: the totals began again from zero.
    fell = count < 0
    for added, metric in ((count, _COUNT), (total, _SUM), (squares, _SQUARES)):
        added[fell] = totals[metric][..., 1:][fell]
    whole = np.isfinite(count) & np.isfinite(total) & np.isfinite(squares) & (count > 0)
    return Moments(
        tuple(streams), tuple(features), days, np.where(whole, count, 0.0),
        np.where(whole, total, 0.0), np.where(whole, squares, 0.0),
    )  # fmt: skip


def _flags(moments: Moments, series: Iterable[tuple[Mapping[str, str], Floats]]) -> Flags:
    """Flags of a device's modality, which have no view; images are those with a value."""
    by_device: dict[Stream, list[int]] = defaultdict(list)
    for index, one in enumerate(moments.streams):
        by_device[replace(one, view="")].append(index)
    lines = [(stream(labels), labels["flag"], line) for labels, line in series]
    lines = [line for line in lines if line[0] in by_device]
    streams = sorted({one for one, _, _ in lines})
    row_of = {one: row for row, one in enumerate(streams)}
    names = sorted({flag for _, flag, _ in lines})
    flagged = np.zeros((len(streams), len(names), len(moments.days)))
    images = np.zeros((len(streams), len(moments.days)))
    for one, flag, line in lines:
        added = np.maximum(np.nan_to_num(daily(line)), 0)
        flagged[row_of[one], names.index(flag)] += added
    if moments.features:
        for one, row in row_of.items():
            images[row] = moments.count[by_device[one]].max(axis=1).sum(axis=0)
    return Flags(tuple(streams), tuple(names), moments.days, flagged, images)


def _inventory(
    days: NDArray[np.int64], series: Iterable[tuple[Mapping[str, str], Floats]]
) -> Inventory:
    seen: dict[tuple[str, str], list[Build | None]] = {}
    for labels, line in series:
        one = stream(labels)
        row = seen.setdefault((one.truck, one.device), [None] * len(days))
        build = Build(
            labels.get("manufacturer", ""), labels.get("model", ""), labels.get("software", "")
        )
        for day in np.flatnonzero(np.isfinite(line[1:])):
            row[day] = build
    return Inventory(tuple(seen), days, tuple(tuple(row) for row in seen.values()))

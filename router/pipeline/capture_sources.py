"""Which images captures are made of, and under which UIDs: chosen once, and never revised."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.imaging import secondary_capture
from router.imaging.analysis import applying
from router.records.instance import CAPTURE_GONE, Instance, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from router.deid.pseudonyms import Key
    from router.imaging.analysis import Analysis
    from router.records.copies import Copy, Route

#: One capture for a whole series, of the slice in its middle; one per image in all others.
_SLICED = frozenset({"CT", "MR", "PT"})


def by_their_rules(
    instances: Sequence[Instance], routes: Mapping[str, Route]
) -> tuple[list[Instance], list[str]]:
    """Instances that captures may be made of, and ids of those that their rules leave out."""
    wanted: list[Instance] = []
    unwanted: list[str] = []
    for instance in instances:
        if instance.copy is None or applying_to(instance, routes):
            wanted.append(instance)
        elif instance.role is Role.SOURCE and instance.analysis is None:
            unwanted.append(instance.orthanc_id)
    return wanted, unwanted


def applying_to(instance: Instance, routes: Mapping[str, Route]) -> list[Analysis]:
    """The analyses that an image gets: of its modality, and by its rule. It has a copy."""
    route = routes.get(instance.orthanc_id)
    assert instance.copy is not None  # noqa: S101  (only anonymized instances are analysed)
    return applying(instance.copy.modality, route.analyses if route else None)


def capture_uids(key: Key, copy: Copy, name: str, version: str) -> secondary_capture.CaptureUids:
    """Keyed UIDs of the capture that a version of an analysis makes of an image."""
    made_by = f"{name}|{version}"
    return secondary_capture.CaptureUids(
        series=pseudonyms.uid(key, f"{made_by}|{copy.series_uid}"),
        sop=pseudonyms.uid(key, f"{made_by}|{copy.sop_uid}"),
    )


def has_capture(instance: Instance, key: Key, captures: Mapping[str, Instance]) -> bool:
    """Whether one of its captures was begun before the router stopped."""
    copy = instance.copy
    if not captures or copy is None or instance.role is not Role.SOURCE:
        return False
    return any(
        capture_uids(key, copy, one.name, one.version).sop in captures
        for one in applying(copy.modality)
    )


def choose_sources(
    instances: Sequence[Instance], begun: Collection[str] = ()
) -> tuple[list[Instance], list[str]]:
    """Images that captures are made of, and ids of those left out; both only where undecided.

    One per image, but one per series in CT, MR and PET: the middle one by InstanceNumber. What was
    chosen once stays: a late slice never moves the middle. ``begun``: has a capture already.
    """
    chosen: list[Instance] = []
    left_out: list[str] = []
    series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        if instance.role is not Role.SOURCE or instance.copy is None:
            continue
        if instance.analysis == CAPTURE_GONE:
            chosen.append(instance)
        elif instance.copy.modality in _SLICED:
            series[instance.copy.series_uid].append(instance)
        elif instance.stage is Stage.ANONYMIZED and instance.analysis is None:
            chosen.append(instance)
    for members in series.values():
        open_ones = [m for m in members if m.stage is Stage.ANONYMIZED and m.analysis is None]
        if open_ones and all(member.analysis is None for member in members):
            open_ones.sort(key=_place_in_series)
            places = [n for n, one in enumerate(open_ones) if one.orthanc_id in begun]
            chosen.append(open_ones.pop(places[0] if places else len(open_ones) // 2))
        left_out += [member.orthanc_id for member in open_ones]
    return chosen, left_out


def _place_in_series(instance: Instance) -> tuple[int, str]:
    assert instance.copy is not None  # noqa: S101  (the caller has looked)
    return instance.copy.instance_number or 0, instance.copy.sop_uid

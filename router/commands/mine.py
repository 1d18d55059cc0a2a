"""What the fleet's QC does, over a folder of files: each device is compared with the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from router.commands.terminal import ATTENTION, FINE, show
from router.dicom import part10
from router.imaging import analysis, pixels, quality
from router.records.errors import AnalysisSkipped, Code, Hold, OperatorError

if TYPE_CHECKING:
    import argparse

    from fleet_qc.records import Moments
    from router.commands.terminal import Add

_FILES, _IMAGES = "files", "images"


def register(add: Add) -> None:
    """Adds the command that compares devices over a folder of files."""
    sub = add(
        "mine", _mine, "compare the devices of a folder of files, and name who is out of line"
    )
    sub.add_argument("folder", type=Path)
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", required=True)


def _mine(asked: argparse.Namespace) -> int:
    try:
        from fleet_qc import miner, picture  # noqa: PLC0415  (a truck has no need of them)
        from fleet_qc.records import Flags, History, Inventory  # noqa: PLC0415
    except ImportError as error:
        raise OperatorError(
            Code.FLEET_QC_MISSING,
            f"The fleet's QC is not installed here ({error.name}): run this in the image fleet-qc.",
        ) from None
    counted: Counter[str] = Counter()
    moments = _moments(asked.folder, counted)
    days = moments.days
    history = History(
        moments, Flags((), (), days, np.zeros((0, 0, len(days))), np.zeros((0, len(days)))),
        Inventory((), days, ()),
    )  # fmt: skip
    mined = miner.mine(history)
    try:
        asked.output.write_bytes(picture.draw(mined))
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNREADABLE, f"{asked.output} cannot be written ({error.strerror})."
        ) from None
    rows = [
        {
            "device": finding.stream.device, "modality": finding.stream.modality,
            "view": finding.stream.view, "feature": finding.feature, "kind": finding.kind,
            "deviation": round(finding.deviation, 2), "confidence": finding.confidence,
            "detail": finding.detail,
        }
        for finding in mined.findings
    ]  # fmt: skip
    groups = [
        {"modality": g.modality, "view": g.view, "devices": len(g.streams), "groups": g.number,
         "why": g.reason}
        for g in mined.clusters
    ]  # fmt: skip
    lines = [f"{g['modality']} {g['view']}: {g['devices']} devices, {g['groups']} kinds ({g['why']})"
             for g in groups]  # fmt: skip
    lines += [
        f"{r['device']} {r['modality']} {r['view']}: {r['feature']} {r['kind']},"
        f" {r['deviation']:+.1f} robust standard deviations ({r['detail']})"
        for r in rows
    ]
    lines.append(f"{counted[_IMAGES]} of {counted[_FILES]} files compared; {asked.output} written")
    found = {
        "files": counted[_FILES],
        "images": counted[_IMAGES],
        "groups": groups,
        "findings": rows,
    }
    show(asked, found, lines)
    return ATTENTION if rows else FINE


def _moments(folder: Path, counted: Counter[str]) -> Moments:
    """Every image that can be read, by device, modality and view. Raises OperatorError."""
    from fleet_qc.records import Moments, Stream  # noqa: PLC0415

    if not folder.is_dir():
        raise OperatorError(Code.FILE_UNREADABLE, f"{folder} is no folder.")
    seen: dict[Stream, list[tuple[str, dict[str, float]]]] = defaultdict(list)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        counted[_FILES] += 1
        read = _read(path)
        if read is not None:
            acquisition, date, figures = read
            name = " ".join(filter(None, acquisition.build[:2])) or "unknown"
            device = f"{name} {acquisition.machine[:6]}"
            stream = Stream("", device, acquisition.modality, acquisition.view)
            seen[stream].append((date, figures))
            counted[_IMAGES] += 1
    if not counted[_IMAGES]:
        raise OperatorError(Code.FILE_UNREADABLE, f"{folder} holds no image that can be read.")
    streams = tuple(sorted(seen))
    dates = sorted({date for images in seen.values() for date, _ in images})
    features = tuple(name for name in quality.EXPORTED
                     if any(name in f for i in seen.values() for _, f in i))  # fmt: skip
    sums = np.zeros((3, len(streams), len(features), len(dates)))
    for row, stream in enumerate(streams):
        for date, figures in seen[stream]:
            for column, name in enumerate(features):
                if name in figures:
                    value = figures[name]
                    sums[:, row, column, dates.index(date)] += (1.0, value, value * value)
    return Moments(streams, features, _days(dates), sums[0], sums[1], sums[2])


def _days(dates: list[str]) -> np.typing.NDArray[np.int64]:
    """Days since 1970-01-01; images without a date (anonymized ones) are of one day together."""
    known = [np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:8]}") if d else np.datetime64("1970-01-01")
             for d in dates]  # fmt: skip
    return np.array([day.astype("datetime64[D]").astype(np.int64) for day in known], np.int64)


def _read(path: Path) -> tuple[quality.Acquisition, str, dict[str, float]] | None:
    """Header and figures of an image; ``None``: it is none, or cannot be decoded here."""
    try:
        with path.open("rb") as stream:
            source = part10.read(stream)
            frame = pixels.to_frame(source, stream)
    except (OSError, AnalysisSkipped, Hold):
        return None
    acquisition = quality.acquisition(source)
    figures = quality.features(frame) | acquisition.figures | analysis.figures(frame)
    date = str(source.get("StudyDate") or "")
    return acquisition, date if len(date) == 8 and date.isdigit() else "", figures  # noqa: PLR2004

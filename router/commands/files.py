"""Looks at single files, without the truck: inspect, segment, compare."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from router.commands.terminal import ATTENTION, FINE, show
from router.dicom import differences, part10
from router.dicom.differences import What
from router.imaging import content_identity, pixels, quality, secondary_capture
from router.imaging.analysis import density
from router.records.errors import AnalysisSkipped, Code, Hold, OperatorError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    from router.commands.terminal import Add
    from router.imaging.frame import Frame

_LONGEST_LINE = 120


def register(add: Add) -> None:
    """Adds the commands for single files."""
    sub = add("inspect", _inspect, "the header of a file, its figures, and its picture")
    sub.add_argument("file", type=Path)
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", help="write the picture here")
    sub = add("segment", _segment, "the segmentation of a file beside its picture")
    sub.add_argument("file", type=Path)
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", required=True)
    sub.add_argument(
        "-k", "--classes", type=int, default=density.CLASSES, help="classes (default: %(default)s)"
    )
    sub = add("compare", _compare, "what anonymization changed, picture beside picture")
    sub.add_argument("original", type=Path)
    sub.add_argument("anonymized", type=Path)
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", required=True)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[FileDataset, BinaryIO]]:
    """A file's data set, and the file. Raises OperatorError (FILE_UNREADABLE), Hold."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNREADABLE, f"{path} cannot be read ({error.strerror})."
        ) from None
    with stream:
        yield part10.read(stream), stream


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    try:
        Image.fromarray(picture).save(path, format="PNG")
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNWRITABLE, f"{path} cannot be written ({error.strerror})."
        ) from None


def _inspect(asked: argparse.Namespace) -> int:
    with _opened(asked.file) as (dataset, stream):
        header = [line[:_LONGEST_LINE] for line in _header_lines(dataset)]
        acquisition = quality.acquisition(dataset)
        figures = dict(acquisition.figures)
        flags: list[str] = []
        left_out = None
        try:
            frame = pixels.to_frame(dataset, stream, for_processing=True)
        except AnalysisSkipped as skipped:
            left_out = skipped
        else:
            figures |= quality.features(frame)
            flags = [one.flag for one in quality.quality_flags(acquisition.modality, figures)]
            if asked.output is not None:
                _write(asked.output, secondary_capture.panel(frame)[0])
    lines = [*header, "", *(f"{name}: {value:.6g}" for name, value in figures.items())]
    lines += [f"look at: {quality.LOOK[quality.Flag(flag)]} ({flag})" for flag in flags]
    if left_out is not None:
        lines.append(f"no picture: {left_out}")
    show(
        asked,
        {"header": header, "figures": figures, "flags": flags,
         "left_out": left_out.code if left_out else None},
        lines,
    )  # fmt: skip
    return ATTENTION if flags or (left_out is not None and asked.output is not None) else FINE


def _header_lines(dataset: FileDataset) -> list[str]:
    """One line an element, the file header first; long values (pixels) only by their length."""
    return str(dataset).splitlines()


def _segment(asked: argparse.Namespace) -> int:
    if asked.classes < 2:  # noqa: PLR2004
        raise OperatorError(Code.WRONG_ARGUMENT, "At least two classes are needed.")
    with _opened(asked.file) as (dataset, stream):
        frame = pixels.to_frame(dataset, stream)
        finding = density.ANALYSIS.signed(density.analyse(frame, asked.classes))
        raised = quality.quality_flags(
            quality.acquisition(dataset).modality, quality.features(frame)
        )
    flags = [quality.LOOK[one.flag] for one in raised]
    _write(asked.output, secondary_capture.picture(frame, finding, flags))
    classes = [
        {"name": c.name, "fraction": c.fraction, "of": c.whole, "mean": c.centre}
        for c in finding.classes
    ]
    lines = [f"{c.name}: {c.fraction:.1%} {c.whole}, mean {c.centre:.1f}" for c in finding.classes]
    show(
        asked,
        {"algorithm": finding.algorithm, "version": finding.version, "unit": finding.unit,
         "classes": classes, "notes": finding.notes},
        [*lines, *finding.notes, "Not for diagnosis."],
    )  # fmt: skip
    return FINE


def _compare(asked: argparse.Namespace) -> int:
    with (
        _opened(asked.original) as (original, first),
        _opened(asked.anonymized) as (anonymized, second),
    ):
        found = list(differences.changes(original, anonymized))
        before, after = _frame(original, first), _frame(anonymized, second)
        was, now = _pixels(original, first), _pixels(anonymized, second)
    same = None if was is None or now is None else was == now
    summary = differences.summary(found, same_pixels=same)
    _write(asked.output, differences.picture(_panel(before), _panel(after), summary))
    listed = [f"{change.what:<9}{change.path}" for change in found if change.what != What.KEPT]
    show(
        asked,
        {"changes": [{"path": c.path, "what": c.what} for c in found], "same_pixels": same},
        [*listed, *summary],
    )
    return ATTENTION if same is False else FINE


def _pixels(dataset: FileDataset, stream: BinaryIO) -> str | None:
    """What stands for all pages and all bits; ``None``: they cannot be decoded here."""
    view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return content_identity.pixels_digest(dataset, stream, view)
    except (AnalysisSkipped, Hold):
        return None


def _frame(dataset: FileDataset, stream: BinaryIO) -> Frame | None:
    try:
        return pixels.to_frame(dataset, stream, for_processing=True)
    except AnalysisSkipped:
        return None


def _panel(frame: Frame | None) -> NDArray[np.uint8]:
    """An empty panel stands for pixels that are not shown."""
    return (
        np.zeros((64, 256), dtype=np.uint8) if frame is None else secondary_capture.panel(frame)[0]
    )

"""Compares the pixels of a copy with the original's, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid import mask
from router.dicom import part10
from router.dicom.mapped_bytes import PageReleaser, pieces
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from router.deid.gate.expected import Expected


def check_pixels(
    original: FileDataset,
    original_view: memoryview,
    copy: FileDataset,
    view: memoryview,
    expected: Expected,
) -> None:
    """Raises Hold (GATE_PIXELS_CHANGED) unless the pixels are the original's, masked where asked."""
    before = part10.pixel_span(original, original_view)
    after = part10.pixel_span(copy, view)
    if (before is None) != (after is None):
        raise Hold(Code.GATE_PIXELS_CHANGED, "pixels appeared or went away")
    if not before or not after:
        return
    old, new = original_view[slice(*before)], view[slice(*after)]
    if expected.regions:
        _check_masked(mask.layout(copy), old, new, expected)
    elif not _same(old, new):
        raise Hold(Code.GATE_PIXELS_CHANGED, "the pixel bytes differ")


def _check_masked(shape: mask.Layout, old: memoryview, new: memoryview, expected: Expected) -> None:
    """Raises Hold unless the regions are zeros, and all outside of them is as it was."""
    if len(old) != len(new):
        raise Hold(Code.GATE_PIXELS_CHANGED, "the pixel bytes differ")
    trails = PageReleaser(old), PageReleaser(new)
    for plane_row in range(shape.frames * shape.planes * shape.rows):
        start, y = plane_row * shape.row, plane_row % shape.rows
        row, was = bytes(new[start : start + shape.row]), bytes(old[start : start + shape.row])
        hidden = [r for r in expected.regions if r.y <= y < r.y + r.height]
        for region in hidden:
            first = max(0, region.x) * shape.pixel
            last = max(0, region.x + region.width) * shape.pixel
            if any(row[first:last]):
                raise Hold(Code.GATE_PIXELS_CHANGED, "a region was not masked")
            was = was[:first] + bytes(len(was[first:last])) + was[last:]
        if row != was:
            raise Hold(Code.GATE_PIXELS_CHANGED, "pixels outside the masked regions differ")
        for releaser in trails:
            releaser.passed(shape.row)
    if new[shape.size :] != old[shape.size :]:
        raise Hold(Code.GATE_PIXELS_CHANGED, "the bytes behind the pixels differ")


def _same(one: memoryview, other: memoryview) -> bool:
    """Whether the bytes are equal. Piece by piece as bytes: views are compared one byte at a time."""
    return len(one) == len(other) and all(
        bytes(piece) == bytes(beside)
        for piece, beside in zip(pieces(one), pieces(other), strict=True)
    )

"""Regions of pixels that are painted over before an image leaves the truck (113101)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels: column and row of its first pixel, width and height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Layout:
    """How uncompressed pixels lie in the file, in bytes."""

    frames: int
    planes: int
    rows: int
    columns: int
    #: Of one pixel of one plane.
    pixel: int

    @property
    def row(self) -> int:
        """Bytes of one row of one plane."""
        return self.columns * self.pixel

    @property
    def size(self) -> int:
        """Bytes of all frames."""
        return self.frames * self.planes * self.rows * self.row


def layout(dataset: FileDataset) -> Layout:
    """Layout of an image with uncompressed pixels of whole bytes. Raises Hold (BURNED_IN_TEXT).

    What cannot be masked with certainty (compressed, packed bits, subsampled colour) is held.
    """
    samples = int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.get("BitsAllocated") or 0)
    planar = samples > 1 and int(dataset.get("PlanarConfiguration") or 0) == 1
    compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
    subsampled = "422" in str(dataset.get("PhotometricInterpretation", ""))
    if compressed or subsampled or bits not in {8, 16, 32} or "PixelData" not in dataset:
        raise Hold(Code.BURNED_IN_TEXT, "its pixels cannot be masked: they are not uncompressed")
    return Layout(
        frames=int(dataset.get("NumberOfFrames") or 1),
        planes=samples if planar else 1,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        pixel=bits // 8 * (1 if planar else samples),
    )


def runs(shape: Layout, regions: tuple[Region, ...]) -> Iterator[tuple[int, int]]:
    """Offset and length in the pixels of each run of bytes inside a region, row by row."""
    for plane in range(shape.frames * shape.planes):
        base = plane * shape.rows * shape.row
        for region in regions:
            first = min(max(region.x, 0), shape.columns)
            last = min(max(region.x + region.width, 0), shape.columns)
            for row in range(max(region.y, 0), min(region.y + region.height, shape.rows)):
                if last > first:
                    yield base + row * shape.row + first * shape.pixel, (last - first) * shape.pixel

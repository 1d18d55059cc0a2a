"""What the header says of how stored values are read: scale, window, padding, shutters.

Attributes of enhanced multi-frame objects lie in functional groups (PS3.3 C.7.6.16), shared or of
one frame; those of the others at the top level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.multival import MultiValue

from router.imaging.frame import Circle, Polygon, Rectangle, Scale, Shutter, Table, Window
from router.records.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from router.imaging.frame import Pixels

_WINDOW_FUNCTIONS = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
_MOST_ENTRIES = 1 << 16
_LARGEST = 1 << 31
_CORNER = 2


def number(dataset: Dataset, keyword: str, default: float) -> float:
    """The first value of an attribute as a finite number."""
    value = dataset.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    try:
        found = float(str(value)) if value is not None else default
    except ValueError:
        return default
    return found if np.isfinite(found) else default


def integer(dataset: Dataset, keyword: str, default: int) -> int:
    """An attribute as an integer; ``default`` where it is missing, empty, or no integer of 32 bits.

    No element of VR IS, SS or US holds a larger one (PS3.5, 6.2); senders write others ("1A").
    """
    found = int(number(dataset, keyword, default))
    return found if abs(found) <= _LARGEST else default


def functional_group(dataset: Dataset, index: int, keyword: str) -> Dataset | None:
    """The first item of a functional group for a frame: its own, else the shared one."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in [*per_frame[index : index + 1], *shared[:1]]:
        items = groups.get(keyword)
        if items:
            item: Dataset = items[0]
            return item
    return None


def stored_limits(dataset: Dataset) -> tuple[int, int]:
    """The lowest and the highest stored value that the bits allow."""
    allocated = integer(dataset, "BitsAllocated", 16)
    bits = integer(dataset, "BitsStored", allocated)
    bits = bits if 0 < bits <= allocated else allocated
    if dataset.get("PixelRepresentation") == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def lowest_bit(dataset: Dataset) -> int:
    """The place of the lowest stored bit in its word: 0 unless HighBit says otherwise."""
    allocated = integer(dataset, "BitsAllocated", 16)
    stored = integer(dataset, "BitsStored", allocated)
    place = integer(dataset, "HighBit", stored - 1) + 1 - stored
    return place if 0 < place <= allocated - stored else 0


def scale(dataset: Dataset, index: int) -> Scale:
    """The modality LUT, or slope and intercept (PS3.3 C.11.1, C.7.6.16.2.9)."""
    tables = dataset.get("ModalityLUTSequence")
    table = _table(dataset, tables[0]) if tables else None
    if table is not None:
        return Scale(table=table)
    holder = functional_group(dataset, index, "PixelValueTransformationSequence") or dataset
    slope = number(holder, "RescaleSlope", 1.0)
    return Scale(slope or 1.0, number(holder, "RescaleIntercept", 0.0))


def voi(dataset: Dataset, index: int) -> Window | Table | None:
    """How the image is to be shown (PS3.3 C.11.2, C.7.6.16.2.10): the first of each kind.

    A table is preferred to a window where there are both: mammography units send the look that
    they mean as a table. Of several windows the first is taken, as viewers do.
    """
    holder = functional_group(dataset, index, "FrameVOILUTSequence") or dataset
    tables = holder.get("VOILUTSequence")
    table = _table(dataset, tables[0]) if tables else None
    if table is not None:
        span = float(table.outputs.max() - table.outputs.min())
        if span > 0:
            return Table(table.first, (table.outputs - table.outputs.min()) / span)
    function = str(holder.get("VOILUTFunction") or "LINEAR")
    if function not in _WINDOW_FUNCTIONS:
        function = "LINEAR"
    width = number(holder, "WindowWidth", 0.0)
    if width <= (1 if function == "LINEAR" else 0) or holder.get("WindowCenter") is None:
        return None
    return Window(number(holder, "WindowCenter", 0.0), width, function)


def _table(dataset: Dataset, item: Dataset) -> Table | None:
    """A look-up table; ``None`` where its descriptor and its data do not fit."""
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or data is None or len(descriptor) != 3:  # noqa: PLR2004
        return None
    try:
        entries, first, bits = (int(value) for value in descriptor)
        outputs = _entries(data, bits)
    except (TypeError, ValueError):
        return None
    entries = entries % _MOST_ENTRIES or _MOST_ENTRIES  # 0 stands for 2^16
    if first >= 1 << 15 and dataset.get("PixelRepresentation") == 1:
        first -= 1 << 16  # senders write the signed first value as US
    if len(outputs) > entries:
        # 8-bit entries that were allocated 16 bits each, two to a word (PS3.3 C.11.1.1.1)
        outputs = outputs[:entries]
    return Table(first, outputs) if len(outputs) == entries else None


def _entries(data: Any, bits: int) -> NDArray[np.float64]:  # noqa: ANN401
    if isinstance(data, bytes | bytearray):
        return np.frombuffer(data, "<u1" if bits <= 8 else "<u2").astype(np.float64)  # noqa: PLR2004
    values = data if isinstance(data, MultiValue | list | tuple) else [data]
    return np.array([int(value) for value in values], dtype=np.float64)


def padding(dataset: Dataset) -> tuple[int, int] | None:
    """PixelPaddingValue to PixelPaddingRangeLimit, in stored values (PS3.3 C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit", value)
    try:
        first, last = _as_stored(dataset, int(value)), _as_stored(dataset, int(limit))
    except (TypeError, ValueError):
        return None
    return min(first, last), max(first, last)


def _as_stored(dataset: Dataset, value: int) -> int:
    """A value of VR US or SS as the signedness of the pixels has it; senders mix them up."""
    bits = int(dataset.BitsAllocated)
    if dataset.PixelRepresentation == 1 and value >= 1 << (bits - 1):
        return value - (1 << bits)
    if dataset.PixelRepresentation == 0 and value < 0:
        return value + (1 << bits)
    return value


@dataclass(frozen=True)
class Quantised:
    """A frame of 32 bits in 16: stored values less the lowest, without their last bits."""

    pixels: Pixels
    scale: Scale
    padding: tuple[int, int] | None
    lowest: int
    shift: int

    def of(self, stored: int) -> int:
        """The level that a stored value became."""
        return (stored - self.lowest) >> self.shift


def quantised(pixels: Pixels, scale: Scale, padding: tuple[int, int] | None) -> Quantised:
    """At most 65,536 levels between the frame's own ends, so that a histogram has a bin for each.

    Raises AnalysisSkipped (BIT_DEPTH_NOT_ANALYSED) for a modality LUT: its inputs are 16 bits.
    """
    if scale.table is not None:
        raise AnalysisSkipped(Code.BIT_DEPTH_NOT_ANALYSED, "a modality LUT of 32 bits")
    lowest, highest = int(pixels.min()), int(pixels.max())
    shift = max(0, (highest - lowest).bit_length() - 16)
    small = np.empty(pixels.shape, dtype=np.uint16)
    for row, values in enumerate(pixels):  # row by row: no wide copy of the image
        small[row] = (values.astype(np.int64) - lowest) >> shift
    moved = Scale(
        scale.slope * (1 << shift),
        # A level stands for the middle of the values that fall into it.
        scale.intercept + scale.slope * (lowest + ((1 << shift) - 1) / 2),
    )
    made = Quantised(small, moved, None, lowest, shift)
    if padding is None or padding[1] < lowest:
        return made
    return Quantised(small, moved, (made.of(padding[0]), made.of(padding[1])), lowest, shift)


def shutters(dataset: Dataset) -> tuple[Shutter, ...]:
    """What display shutter and X-ray collimator leave open (PS3.3 C.7.6.11, C.8.7.3).

    Edges are given in rows and columns from 1, and belong to what is covered.
    """
    found: list[Shutter] = []
    for prefix in ("Shutter", "Collimator"):
        shapes = dataset.get(f"{prefix}Shape")
        shapes = [shapes] if isinstance(shapes, str) else shapes or []
        for shape in shapes:
            shutter = _shutter(dataset, prefix, str(shape))
            if shutter is not None:
                found.append(shutter)
    return tuple(found)


def _shutter(dataset: Dataset, prefix: str, shape: str) -> Shutter | None:
    if shape == "RECTANGULAR":
        names = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge",
                 "RightVerticalEdge")  # fmt: skip
        edges = [dataset.get(f"{prefix}{name}") for name in names]
        if any(edge is None for edge in edges):
            return None
        top, bottom, left, right = (int(edge) for edge in edges)
        return Rectangle(top, bottom - 2, left, right - 2)
    if shape == "CIRCULAR":
        centre = dataset.get(f"CenterOfCircular{prefix}")
        radius = number(dataset, f"RadiusOfCircular{prefix}", 0.0)
        if not centre or len(centre) != _CORNER or radius <= 0:
            return None
        return Circle(float(centre[0]) - 1, float(centre[1]) - 1, radius)
    corners = dataset.get(f"VerticesOfThePolygonal{prefix}")
    if shape != "POLYGONAL" or not corners or len(corners) % _CORNER:
        return None
    return Polygon(
        tuple((int(r) - 1, int(c) - 1) for r, c in zip(corners[::2], corners[1::2], strict=True))
    )

"""Which part of an image shows the patient: inside shutters and the field of view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from router.imaging.analysis import histogram
from router.imaging.frame import UNLABELLED, Circle, Polygon, Rectangle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from router.imaging.analysis.histogram import Histogram
    from router.imaging.frame import Frame, Labels, Pixels

_ROWS = 64
#: A side of the small picture that collimation is looked for in.
_SMALL = 256
#: A line of collimated border is flat: its spread is below this share of the image's.
_FLAT = 0.03
#: At most this share of a side is taken for collimation.
_WIDEST = 0.4
#: A header whose shutters leave less than this share of the image is not believed: some units
#: write their edges in another matrix or in millimetres.
_LEAST_OPEN = 0.1


@dataclass(frozen=True)
class Field:
    """The open part of an image: a rectangle, and in it a mask where it is no rectangle."""

    open: Rectangle
    #: True where open; shape of the image. ``None``: all of the rectangle.
    mask: NDArray[np.bool_] | None = None

    @property
    def columns(self) -> slice:
        """The columns of the open rectangle."""
        return slice(self.open.left, self.open.right + 1)

    def parts(self, pixels: Pixels) -> Iterator[Pixels]:
        """The open pixels, some rows at a time."""
        for row in range(self.open.top, self.open.bottom + 1, _ROWS):
            rows = slice(row, min(row + _ROWS, self.open.bottom + 1))
            part = pixels[rows, self.columns]
            yield part if self.mask is None else part[self.mask[rows, self.columns]]

    def histogram(self, pixels: Pixels) -> Histogram:
        """The histogram of the open pixels."""
        if self.mask is None and self.open == whole(pixels).open:
            return histogram.of_planes([pixels])
        return histogram.of_planes(self.parts(pixels))

    def close(self, labels: Labels) -> None:
        """Takes the label of every pixel that is not open."""
        inside = self.open
        labels[: inside.top] = UNLABELLED
        labels[inside.bottom + 1 :] = UNLABELLED
        labels[:, : inside.left] = UNLABELLED
        labels[:, inside.right + 1 :] = UNLABELLED
        if self.mask is not None:
            labels[~self.mask] = UNLABELLED


def whole(pixels: Pixels) -> Field:
    """All of an image."""
    return Field(Rectangle(0, pixels.shape[0] - 1, 0, pixels.shape[1] - 1))


def of_shutters(frame: Frame) -> Field:
    """What the shutters of the header leave open; all of it where that cannot be right."""
    rows, columns = frame.pixels.shape
    top, bottom, left, right = 0, rows - 1, 0, columns - 1
    mask: NDArray[np.bool_] | None = None
    for shutter in frame.shutters:
        if isinstance(shutter, Rectangle):
            top, bottom = max(top, shutter.top), min(bottom, shutter.bottom)
            left, right = max(left, shutter.left), min(right, shutter.right)
        else:
            drawn = _drawn(shutter, rows, columns)
            mask = drawn if mask is None else mask & drawn
    if bottom <= top or right <= left:
        return whole(frame.pixels)
    found = Field(Rectangle(top, bottom, left, right), mask)
    inside = (bottom + 1 - top) * (right + 1 - left)
    if mask is not None:
        inside = int(mask[top : bottom + 1, found.columns].sum())
    return found if inside >= _LEAST_OPEN * rows * columns else whole(frame.pixels)


def _drawn(shutter: Circle | Polygon, rows: int, columns: int) -> NDArray[np.bool_]:
    image = Image.new("1", (columns, rows))
    draw = ImageDraw.Draw(image)
    if isinstance(shutter, Circle):
        draw.circle((shutter.column, shutter.row), shutter.radius, fill=1)
    else:
        draw.polygon([(column, row) for row, column in shutter.corners], fill=1, outline=1)
    return np.array(image, dtype=np.bool_)


def without_collimation(frame: Frame, field: Field) -> Field:
    """Less the borders that the collimator kept the X-rays from.

    Such a border is flat along the whole line and bright, or one value where the unit has
    blackened it. A border of direct exposure is flat too, but dark and noisy; it belongs to the
    image.
    """
    box = field.open
    step = max(1, max(frame.pixels.shape) // _SMALL)
    small = frame.pixels[box.top : box.bottom + 1 : step, box.left : box.right + 1 : step]
    brightness = small.astype(np.float64) * (-1 if frame.inverted else 1)
    if min(brightness.shape) < 8:  # noqa: PLR2004  (nothing to tell a border by)
        return field
    low, high = np.percentile(brightness, (1, 99))
    middle, flat = (low + high) / 2, _FLAT * (high - low)
    top = _covered(brightness, middle, flat)
    bottom = _covered(brightness[::-1], middle, flat)
    left = _covered(brightness.T, middle, flat)
    right = _covered(brightness.T[::-1], middle, flat)
    return Field(
        Rectangle(
            box.top + top * step,
            box.bottom - bottom * step,
            box.left + left * step,
            box.right - right * step,
        ),
        field.mask,
    )


def _covered(lines: NDArray[np.float64], bright: float, flat: float) -> int:
    """How many lines from the first on are covered, with the penumbra behind them."""
    ends = np.percentile(lines, (5, 50, 95), axis=1)
    spread = ends[2] - ends[0]
    covered = ((spread <= flat) & (ends[1] >= bright)) | (np.ptp(lines, axis=1) == 0)
    found = _leading(covered)
    if not found:
        return 0
    found += _leading(ends[0, found:] >= bright)
    # A little more than seen: a line of the small picture stands for several.
    return found + 1 if found <= _WIDEST * len(lines) else 0


def _leading(true: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    false = np.flatnonzero(~true)
    return int(false[0]) if len(false) else len(true)


def corner_value(frame: Frame) -> int | None:
    """The one value of all four corners, where it is an end of the scale: outside the field of view.

    Reconstructions are round; what lies outside is filled with a value that the header need not
    declare as padding. Corners that show air are noisy.
    """
    pixels = frame.pixels
    size = max(2, min(pixels.shape) // 64)
    if min(pixels.shape) < 4 * size:
        return None
    value = pixels[0, 0]
    for rows in (slice(None, size), slice(-size, None)):
        for columns in (slice(None, size), slice(-size, None)):
            if (pixels[rows, columns] != value).any():
                return None
    return int(value)

"""One image in memory, and what an analysis found in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.integer]
    Labels: TypeAlias = NDArray[np.uint8]
    Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A look-up table (PS3.3 C.11.1, C.11.2): inputs below and above it get its end values."""

    #: The input that the first entry stands for.
    first: int
    #: Outputs, shape (n,), float64.
    outputs: Values

    def of(self, inputs: Values) -> Values:
        """The outputs for these inputs, float64, of the same shape."""
        places = np.clip(np.asarray(inputs) - self.first, 0, len(self.outputs) - 1)
        mapped: Values = self.outputs[places.astype(np.int64)]
        return mapped


@dataclass(frozen=True)
class Scale:
    """From stored values to modality values (PS3.3 C.11.1): HU for CT.

    Linear, or by a table of the stored values. Cuts and legends go through it; pixels never do.
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: Table | None = None

    def of(self, stored: Values) -> Values:
        """The modality values of stored values, float64, of the same shape."""
        if self.table is not None:
            return self.table.of(stored)
        return np.asarray(stored, dtype=np.float64) * self.slope + self.intercept


@dataclass(frozen=True)
class Window:
    """A window (PS3.3 C.11.2.1.2), centre and width in modality values."""

    centre: float
    width: float
    #: LINEAR, LINEAR_EXACT or SIGMOID.
    function: str = "LINEAR"

    def of(self, values: Values) -> Values:
        """Brightness, 0 to 1."""
        if self.function == "SIGMOID":
            exponent = np.clip(-4 * (values - self.centre) / self.width, -700, 700)
            return 1 / (1 + np.exp(exponent))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        # LINEAR with a width of 1 is a step.
        width = max(self.width - 1, 1e-9)
        return np.clip((values - (self.centre - 0.5)) / width + 0.5, 0, 1)

    def __str__(self) -> str:
        kind = "" if self.function == "LINEAR" else f" ({self.function.lower().replace('_', ' ')})"
        return f"centre {self.centre:.6g}, width {self.width:.6g}{kind}"


@dataclass(frozen=True)
class Rectangle:
    """What a rectangular shutter leaves open: rows and columns from 0, both ends included."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Circle:
    """What a circular shutter leaves open; centre and radius in pixels."""

    row: float
    column: float
    radius: float


@dataclass(frozen=True)
class Polygon:
    """What a polygonal shutter leaves open; (row, column) of its corners, from 0."""

    corners: tuple[tuple[int, int], ...]


Shutter: TypeAlias = Rectangle | Circle | Polygon
#: Gives every plane of an image, one after the other; each lives only until the next.
Planes: TypeAlias = "Callable[[], Iterator[Pixels]]"


@dataclass(frozen=True)
class Frame:
    """A single greyscale frame with what is needed to read its values."""

    #: Stored values, shape (rows, columns), an integer type. Never converted to float.
    pixels: Pixels
    modality: str
    scale: Scale = Scale()
    #: Stored values that are padding and not the patient, both ends included; ``None``: no padding.
    padding: tuple[int, int] | None = None
    #: MONOCHROME1: the smallest value is the brightest.
    inverted: bool = False
    #: How it is shown; ``None``: the whole range.
    voi: Window | Table | None = None
    #: The lowest and highest stored value that the bits allow.
    limits: tuple[int, int] = (0, 0xFFFF)
    #: What collimator and display shutter leave open; all of it must be.
    shutters: tuple[Shutter, ...] = ()
    #: Of a mammogram: CC, MLO …; "" where it is not known.
    view: str = ""
    #: Of a tomosynthesis: all its planes, whose values are analysed together.
    pool: Planes | None = None

    def modality_value(self, stored: float) -> float:
        """The modality value of one stored value."""
        return float(self.scale.of(np.array([stored], dtype=np.float64))[0])


@dataclass(frozen=True)
class ImageClass:
    """One class of a segmentation."""

    name: str
    colour: tuple[int, int, int]
    #: Its share of ``whole``, 0 to 1.
    fraction: float
    #: Mean of the class, in modality values.
    centre: float
    #: What the share is taken of; padding never counts.
    whole: str = "of the area"
    #: The background of a mammogram is shown as it is.
    tinted: bool = True


@dataclass(frozen=True)
class Finding:
    """What an analysis says of a frame."""

    algorithm: str
    version: str
    #: Class ``i`` is label ``i``: in ascending order of modality value, or of brightness on film.
    classes: tuple[ImageClass, ...]
    #: Shape (rows, columns); UNLABELLED where there is padding.
    labels: Labels
    #: "HU" for CT, otherwise "" (values without a unit).
    unit: str
    #: What a reader must know besides.
    notes: tuple[str, ...] = field(default=())


#: The label of a pixel that belongs to no class.
UNLABELLED = 255

"""One image in memory, and what an analysis found in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Labels: TypeAlias = "NDArray[np.uint8]"


@dataclass(frozen=True)
class Frame:
    """A single greyscale frame with what is needed to read its values."""

    #: Stored values, shape (rows, columns), any integer type. Never converted to float.
    pixels: NDArray[np.integer]
    modality: str
    #: Modality value = stored value * slope + intercept (PS3.3 C.7.6.3.1.4); HU for CT.
    slope: float
    intercept: float
    #: Stored values that are padding and not the patient, both ends included; ``None``: no padding.
    padding: tuple[int, int] | None
    #: MONOCHROME1: the smallest value is the brightest.
    inverted: bool
    #: Centre and width in modality values, for showing; ``None``: the whole range.
    window: tuple[float, float] | None

    def modality_value(self, stored: float) -> float:
        return stored * self.slope + self.intercept


@dataclass(frozen=True)
class ImageClass:
    """One class of a segmentation."""

    name: str
    colour: tuple[int, int, int]
    #: Share of the pixels that are not padding, 0 to 1.
    fraction: float
    #: Mean of the class, in modality values.
    centre: float


@dataclass(frozen=True)
class Finding:
    """What an analysis says of a frame."""

    algorithm: str
    version: str
    #: In ascending order of modality value; class ``i`` is label ``i``.
    classes: tuple[ImageClass, ...]
    #: Shape (rows, columns); UNLABELLED where there is padding.
    labels: Labels
    #: "HU" for CT, otherwise "" (values without a unit).
    unit: str


#: The label of a pixel that belongs to no class.
UNLABELLED = 255

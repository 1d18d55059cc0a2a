"""An analysis that is no part of the router: one file and one line. Run as a module it is a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from router.imaging.analysis import ANALYSES, Analysis
from router.imaging.frame import UNLABELLED, Finding, ImageClass
from router.imaging.worker_process.__main__ import main

if TYPE_CHECKING:
    from router.imaging.frame import Frame


def _halves(frame: Frame) -> Finding:
    """The upper and the lower half of an image."""
    labels = np.full(frame.pixels.shape, UNLABELLED, np.uint8)
    middle = frame.pixels.shape[0] // 2
    labels[:middle], labels[middle:] = 0, 1
    classes = tuple(
        ImageClass(name, (0, 0, 255 * n), 0.5, 0.0) for n, name in enumerate(("upper", "lower"))
    )
    return Finding("", "", classes, labels, "")


HALVES = Analysis("halves", "1", _halves, modalities=("CR", "DX"))

if __name__ == "__main__":
    ANALYSES[HALVES.name] = HALVES
    main()

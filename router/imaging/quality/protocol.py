"""Which views a screening study should have, and which were exposed more than once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.imaging.quality.acquisition import Acquisition

#: Two views of each breast (European guidelines for quality assurance in breast cancer
#: screening, 4th edition, 2006).
EXPECTED_VIEWS = ("R-CC", "L-CC", "R-MLO", "L-MLO")

#: Only their studies can lack a view.
BREAST = frozenset({"MG", "DBT"})
#: Partial images that together show the whole of a large breast.
_MOSAIC = 2


@dataclass(frozen=True)
class Shown:
    """One image of a study."""

    instance: str
    acquisition: Acquisition


def missing_views(images: Iterable[Shown], expected: Sequence[str]) -> list[str]:
    """Those of the expected views (side-view) that no image of the study shows, in their order.

    A raw image never counts, nor a spot, magnified or otherwise partial one; two partial images
    of a view count as the whole (a large breast). An implant-displaced image counts as its view.
    A study without mammograms misses nothing.
    """
    breast = [shown.acquisition for shown in images if shown.acquisition.modality in BREAST]
    if not breast:
        return []
    whole: set[str] = set()
    pieces: Counter[str] = Counter()
    for image in breast:
        if image.for_processing or image.kind == "projection" or image.part:
            continue
        sides = ("L", "R") if image.side == "B" else (image.side,)
        names = {f"{side}-{image.view}" for side in sides}
        if image.partial:
            pieces.update(names)
        else:
            whole |= names
    whole |= {name for name, number in pieces.items() if number >= _MOSAIC}
    return [view for view in expected if view not in whole]


def repeated(images: Sequence[Shown]) -> list[str]:
    """The instances that expose again what an earlier one of the study shows, in order of arrival.

    Images of one exposure (raw and processed, several reconstructions) do not repeat each other,
    nor do images whose exposure is not known, partial ones, or a tomosynthesis its mammogram.
    """
    first: dict[tuple[object, ...], str] = {}
    again = []
    for shown in images:
        image = shown.acquisition
        has_view = image.view not in {"none", "OTHER"}
        if not has_view or image.for_processing or image.partial or not image.exposure:
            continue
        what = (image.modality, image.kind, image.view, image.side, image.part,
                image.implant_displaced)  # fmt: skip
        if first.setdefault(what, image.exposure) != image.exposure:
            again.append(shown.instance)
    return again

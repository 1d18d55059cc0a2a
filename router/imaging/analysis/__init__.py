"""The analyses. To add one: write an ``Analysis`` in a file, and name it here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.imaging.analysis import density
from router.imaging.analysis.contract import Analysis

if TYPE_CHECKING:
    from collections.abc import Collection

    from router.imaging.frame import Frame

__all__ = ["ANALYSES", "Analysis", "applying", "figures"]

#: By name, in the order in which they are made.
ANALYSES: dict[str, Analysis] = {one.name: one for one in (density.ANALYSIS,)}


def applying(modality: str, names: Collection[str] | None = None) -> list[Analysis]:
    """The analyses that an image of the modality gets; ``names``: those that its rule asks for."""
    return [
        analysis
        for name, analysis in ANALYSES.items()
        if (names is None or name in names) and analysis.applies_to(modality)
    ]


def figures(frame: Frame) -> dict[str, float]:
    """What all analyses count as figures of the image's quality."""
    return {k: v for one in ANALYSES.values() for k, v in one.figures_of(frame).items()}

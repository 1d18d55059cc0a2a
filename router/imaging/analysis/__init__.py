"""The analyses. To add one: write ``analyse(Frame) -> Finding`` in a file, and name it here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.imaging.analysis import density

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.imaging.frame import Finding, Frame

#: Name → what makes a finding of a frame, or raises AnalysisSkipped.
ANALYSES: dict[str, Callable[[Frame], Finding]] = {density.ALGORITHM: density.analyse}

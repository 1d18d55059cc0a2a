"""What an analysis is to the rest of the router: nobody else calls one by its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.records.errors import AnalysisSkipped

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from router.imaging.frame import Finding, Frame


def _no_figures(_: Finding) -> dict[str, float]:
    return {}


@dataclass(frozen=True)
class Analysis:
    """One analysis. It is a function of the frame: no clock, no chance, no file."""

    #: In settings and rules, in the capture (Manufacturer's Model Name) and its UIDs. Never changed.
    name: str
    #: A part of the capture's UID: a new version makes new captures, for new studies only.
    version: str
    #: What it finds in a frame. Raises AnalysisSkipped where it has nothing to say of it.
    find: Callable[[Frame], Finding]
    #: Versions whose captures may be on trucks and in the cloud: an image that has one gets no other.
    earlier_versions: tuple[str, ...] = ()
    #: Values of Modality that it is made for; ``None``: every one.
    modalities: Collection[str] | None = None
    #: What of a finding is counted as a figure of the image's quality, by the name of the figure.
    figures: Callable[[Finding], dict[str, float]] = _no_figures

    @property
    def label(self) -> str:
        """Name and version, as metrics and files of results have them."""
        return f"{self.name} {self.version}"

    def applies_to(self, modality: str) -> bool:
        """Whether images of the modality get a capture of it."""
        return self.modalities is None or modality in self.modalities

    def run(self, frame: Frame) -> Finding:
        """The finding, signed with name and version. Raises AnalysisSkipped."""
        return self.signed(self.find(frame))

    def signed(self, finding: Finding) -> Finding:
        """A finding of this analysis with its name and version, which the capture tells."""
        return replace(finding, algorithm=self.name, version=self.version)

    def figures_of(self, frame: Frame) -> dict[str, float]:
        """The figures of a frame; none where it has nothing to say of it."""
        if self.figures is _no_figures or not self.applies_to(frame.modality):
            return {}
        try:
            return self.figures(self.run(frame))
        except AnalysisSkipped:
            return {}

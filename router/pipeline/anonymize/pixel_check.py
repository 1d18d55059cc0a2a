"""What is asked of an original's pixels before they go anywhere: all declared, and to be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.imaging.pixels import undeclared
from router.records.errors import AnalysisSkipped, Code, Hold
from router.truck import decoded

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from router.deid.eligibility import Release
    from router.imaging.worker_process import Analyser
    from router.records.instance import Instance
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body, Spool

#: What says that nobody will open it. That it took too long, or too much memory, says nothing.
_CANNOT_BE_OPENED = frozenset(
    {Code.PIXELS_BROKEN_OFF, Code.PIXELS_UNDECODABLE, Code.ANALYSIS_CRASHED}
)


class PixelCheck:
    """Looks at the pixels of originals. Thread-safe."""

    def __init__(self, orthanc: TruckOrthanc, spool: Spool, opener: Analyser | None) -> None:
        """``opener``: tries to open what is compressed; ``None``: it goes unopened."""
        self._orthanc = orthanc
        self._spool = spool
        self._opener = opener

    def check(self, instance: Instance, dataset: FileDataset, body: Body, release: Release) -> None:
        """Raises Hold (PIXELS_UNDECLARED, PIXELS_UNDECODABLE) unless a person has cleared it."""
        if Code.PIXELS_UNDECLARED not in release.clears:
            undeclared.check(dataset, body.view)
        if (
            self._opener is not None
            and Code.PIXELS_UNDECODABLE not in release.clears
            and dataset.file_meta.TransferSyntaxUID.is_encapsulated
        ):
            try:
                self._open(instance, body, self._opener)
            except AnalysisSkipped as skipped:
                if skipped.code in _CANNOT_BE_OPENED:
                    raise Hold(Code.PIXELS_UNDECODABLE, skipped.sentence) from None

    def _open(self, instance: Instance, body: Body, opener: Analyser) -> None:
        with self._spool.as_file(body) as path:
            opened = opener.opens(path)

        def again(_: Body, path: Path) -> None:
            opener.opens(path)

        if not opened:
            decoded.by_orthanc(self._orthanc, self._spool, instance.orthanc_id, again)

"""What is asked of an original's pixels before they go anywhere: all declared, and to be opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.dicom import part10
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

    def __init__(
        self, orthanc: TruckOrthanc, spool: Spool, opener: Analyser, *, holds_unopenable: bool
    ) -> None:
        """``opener``: opens what is compressed. ``holds_unopenable``: else it goes unopened."""
        self._orthanc = orthanc
        self._spool = spool
        self._opener = opener
        self._holds_unopenable = holds_unopenable

    def check(self, instance: Instance, dataset: FileDataset, body: Body, release: Release) -> None:
        """Raises Hold (PIXELS_UNDECLARED, PIXELS_UNDECODABLE) unless a person has cleared it."""
        must_declare = Code.PIXELS_UNDECLARED not in release.clears
        must_open = self._holds_unopenable and Code.PIXELS_UNDECODABLE not in release.clears
        if must_declare:
            undeclared.check(dataset, body.view)
        if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            return
        if not (must_declare or must_open):
            return
        try:
            self._open(instance, body, must_declare=must_declare)
        except AnalysisSkipped as skipped:
            if must_open and skipped.code in _CANNOT_BE_OPENED:
                raise Hold(Code.PIXELS_UNDECODABLE, skipped.sentence) from None

    def _open(self, instance: Instance, body: Body, *, must_declare: bool) -> None:
        with self._spool.as_file(body) as path:
            opened = self._opener.opens(path)
        if opened.here:
            if must_declare and opened.undeclared:
                raise Hold(Code.PIXELS_UNDECLARED, opened.undeclared)
            return

        def again(decoded_body: Body, path: Path) -> None:
            self._opener.opens(path)
            if must_declare:
                undeclared.check_bits(part10.read(decoded_body.stream()), decoded_body.view)

        decoded.by_orthanc(self._orthanc, self._spool, instance.orthanc_id, again)

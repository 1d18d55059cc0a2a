"""Whether a copy is compressed without loss, and whether its pixels are the same then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.deid.planning.identity import identity_of
from router.dicom import lossless
from router.imaging.worker_process import Analyser, Comparison
from router.records.errors import AnalysisSkipped
from router.truck.orthanc import TruckOrthanc, instance_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.pipeline.anonymize.source import Source
    from router.truck.spool import Body, Spool


class Compression:
    """Decides for each image whether it is compressed. Thread-safe."""

    def __init__(
        self, orthanc: TruckOrthanc, spool: Spool, checker: Analyser, pays: Callable[[], bool]
    ) -> None:
        """``checker``: compares pixels; ``pays``: whether compressing saves time now."""
        self._orthanc = orthanc
        self._spool = spool
        self._checker = checker
        self._pays = pays

    def is_wanted(self, source: Source) -> bool:
        """Whether a compressed copy is to be tried. Raises OrthancError.

        Made again, a copy becomes what it was: its first bytes may have been sent. Where the
        journal was lost, the truck's Orthanc still has them.
        """
        if source.regions or not lossless.compressible(source.dataset):
            return False
        earlier = source.instance.copy
        syntax = earlier.transfer_syntax if earlier else self._syntax_there(source)
        return self._pays() if syntax is None else syntax == lossless.SYNTAX

    def same_pixels(self, original: Body, copy: Body) -> bool:
        """Whether both have the same pixels, as far as can be told."""
        with self._spool.as_file(original) as one, self._spool.as_file(copy) as other:
            try:
                return self._checker.same_pixels(Comparison(one, other))
            except AnalysisSkipped:
                return False

    def _syntax_there(self, source: Source) -> str | None:
        original, key = source.dataset, source.key
        uids = (original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID)
        patient = identity_of(original, key).pseudonym
        copy = instance_id(patient, *(pseudonyms.uid(key, str(uid)) for uid in uids))
        return self._orthanc.transfer_syntax(copy)

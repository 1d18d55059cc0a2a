"""The identity of an image's content, of files that are on the truck: asked where two may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.dicom import bounds
from router.imaging.pixels.decoding import DECODED_BY_ORTHANC
from router.records.errors import AnalysisSkipped, Hold
from router.truck import decoded

if TYPE_CHECKING:
    from pathlib import Path

    from router.imaging.worker_process import Analyser, HeaderCheck
    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body, Spool


class StoredContent:
    """Asks the analysis process, and Orthanc for its codecs. Thread-safe."""

    def __init__(
        self, orthanc: TruckOrthanc, spool: Spool, analyser: Analyser, headers: HeaderCheck
    ) -> None:
        self._orthanc = orthanc
        self._spool = spool
        self._analyser = analyser
        self._headers = headers

    def of_repeated(self, digest: str, body: Body) -> str | None:
        """Of the file with this digest that came under the UID of an earlier one, and is not stored.

        ``None``: it cannot be said. Raises OrthancError.
        """
        if bounds.transfer_syntax(body.view) not in DECODED_BY_ORTHANC:
            return self._of_file(body)
        try:
            self._headers.is_plain(body)  # before anything else of it is read
            return decoded.repeated_by_orthanc(
                self._orthanc,
                self._spool,
                digest,
                lambda decoded_body, _: self._of_file(decoded_body),
            )
        except (AnalysisSkipped, Hold):
            return None

    def _of_file(self, body: Body) -> str | None:
        """``None``: it cannot be said, for want of a codec for instance."""
        try:
            self._headers.is_plain(body)
            with self._spool.as_file(body) as path:
                return self._analyser.content(path)
        except (AnalysisSkipped, Hold):
            return None

    def of_stored(self, instance: str, body: Body) -> str | None:
        """Of the file of a stored instance; ``None``: it cannot be said. Raises OrthancError."""
        if bounds.transfer_syntax(body.view) not in DECODED_BY_ORTHANC:
            return self._of_file(body)

        def content(decoded_body: Body, _: Path) -> str | None:
            return self._of_file(decoded_body)

        try:
            return decoded.by_orthanc(self._orthanc, self._spool, instance, content)
        except AnalysisSkipped:
            return None

"""A Secondary Capture of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.imaging import pixels, secondary_capture
from router.imaging.analysis import density
from tests.support import data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

KEY = pseudonyms.Key("test", bytes(range(32)))
PATIENT = data.Patient.made("capture")
UIDS = secondary_capture.CaptureUids(series="2.25.111", sop="2.25.222")


def captured(source: FileDataset) -> bytes:
    frame = pixels.to_frame(source)
    finding = density.ANALYSIS.run(frame)
    return secondary_capture.secondary_capture(
        source, secondary_capture.picture(frame, finding), finding, UIDS
    )

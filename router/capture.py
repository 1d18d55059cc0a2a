"""From a finding to a DICOM Secondary Capture: the picture beside its segmentation.

The same source, finding and program always give the same bytes. The capture identifies no one:
it takes its patient and study from the anonymized source, and its legend holds no text of it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from router.frame import UNLABELLED, Finding, Frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pydicom.tag import BaseTag

DESCRIPTION = "K-Means segmentation (not for diagnosis)"
#: What a capture says of itself in attributes that de-identification removes elsewhere.
OWN_ATTRIBUTES: Mapping[BaseTag, str] = {
    Tag("SeriesDescription"): DESCRIPTION,
    Tag("DerivationDescription"): DESCRIPTION,
}
#: Drawn once for this project, so that the bytes do not change with the library that writes them.
IMPLEMENTATION_UID = "2.25.175091379530429861734926153708245160934"

#: A panel is scaled down to at most this many pixels, and a small image up to about that many.
_WIDEST, _HIGHEST = 750, 1000
_SMALLEST = 384
_LINE = 18
_MARGIN = 8
_OVERLAY = 0.45
_INK, _PAPER = (235, 235, 235), (24, 24, 24)

_COPIED = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID",
    "AccessionNumber", "StationName", "SeriesDate", "SeriesTime", "ContentDate", "ContentTime",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)  # fmt: skip
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip


@dataclass(frozen=True)
class CaptureUids:
    """The keyed UIDs of a capture, made from its sources, the algorithm and its version."""

    series: str
    sop: str


def picture(frame: Frame, finding: Finding) -> NDArray[np.uint8]:
    """Original | overlay with a legend, shape (rows, columns, 3), RGB of 8 bits."""
    grey, low, high = _windowed(frame)
    size = _panel_size(grey.shape[1], grey.shape[0])
    shown = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    labels = np.asarray(Image.fromarray(finding.labels).resize(size, Image.Resampling.NEAREST))
    left = np.repeat(shown[:, :, np.newaxis], 3, axis=2)
    panels = np.concatenate((left, _overlaid(left, labels, finding)), axis=1)
    legend = _legend(panels.shape[1], finding, low, high)
    return np.ascontiguousarray(np.concatenate((panels, legend), axis=0))


def _windowed(frame: Frame) -> tuple[NDArray[np.uint8], float, float]:
    """Grey levels of 8 bits by a linear window, and the window's ends in modality values."""
    if frame.window is not None:
        low = frame.window[0] - frame.window[1] / 2
        high = frame.window[0] + frame.window[1] / 2
    else:
        ends = frame.modality_value(frame.pixels.min()), frame.modality_value(frame.pixels.max())
        low, high = min(ends), max(ends)
    # One entry per stored value instead of a float per pixel.
    lowest, highest = int(frame.pixels.min()), int(frame.pixels.max())
    values = np.arange(lowest, highest + 1) * frame.slope + frame.intercept
    levels = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    table = np.round(255 - levels if frame.inverted else levels).astype(np.uint8)
    grey = np.empty(frame.pixels.shape, dtype=np.uint8)
    for row, values_of_row in enumerate(frame.pixels):  # row by row: an index is 8 bytes a pixel
        grey[row] = table[values_of_row.astype(np.int64) - lowest]
    return grey, low, high


def _panel_size(columns: int, rows: int) -> tuple[int, int]:
    scale = min(_WIDEST / columns, _HIGHEST / rows)
    if scale > 1:
        scale = max(1.0, min(scale, _SMALLEST / max(columns, rows)))
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def _overlaid(
    grey: NDArray[np.uint8], labels: NDArray[np.uint8], finding: Finding
) -> NDArray[np.uint8]:
    colours = np.zeros((256, 3), dtype=np.float32)
    opacity = np.zeros((256, 1), dtype=np.float32)
    for index, image_class in enumerate(finding.classes):
        colours[index] = image_class.colour
        opacity[index] = _OVERLAY
    opacity[UNLABELLED] = 0
    mixed = grey * (1 - opacity[labels]) + colours[labels] * opacity[labels]
    return np.round(mixed).astype(np.uint8)


def _legend(width: int, finding: Finding, low: float, high: float) -> NDArray[np.uint8]:
    unit = f" {finding.unit}" if finding.unit else ""
    lines = [
        (c.colour, f"{c.name}: {c.fraction:.1%} of the area, mean {c.centre:.0f}{unit}")
        for c in finding.classes
    ]
    notes = [
        "Not for diagnosis.",
        f"Window {low:.0f} to {high:.0f}{unit}",
        f"{finding.algorithm} {finding.version}, edge-router",
    ]
    height = _MARGIN * 2 + _LINE * (len(lines) + len(notes))
    strip = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size=13)
    y = _MARGIN
    for colour, text in lines:
        draw.rectangle((_MARGIN, y + 2, _MARGIN + 12, y + 14), fill=colour)
        draw.text((_MARGIN + 20, y), text, fill=_INK, font=font)
        y += _LINE
    for text in notes:
        draw.text((_MARGIN, y), text, fill=_INK, font=font)
        y += _LINE
    return np.asarray(strip)


def secondary_capture(
    source: FileDataset, rgb: NDArray[np.uint8], finding: Finding, uids: CaptureUids
) -> bytes:
    """A Secondary Capture Image (PS3.3 A.8.1) of the anonymized source, as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uids.sop)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "EDGE_ROUTER"
    capture = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in _COPIED:
        if keyword in source:
            capture[keyword] = source[keyword]
    for keyword in _TYPE_2:
        if keyword not in capture:
            setattr(capture, keyword, "")
    _describe(capture, source, finding, uids)
    _set_pixels(capture, rgb)
    buffer = io.BytesIO()
    capture.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _describe(capture: Dataset, source: FileDataset, finding: Finding, uids: CaptureUids) -> None:
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.SOPInstanceUID = uids.sop
    capture.SeriesInstanceUID = uids.series
    # Behind the series of the scanner, in their order.
    capture.SeriesNumber = 9000 + int(source.get("SeriesNumber") or 0) % 1000
    capture.InstanceNumber = int(source.get("InstanceNumber") or 1)
    capture.Modality = "OT"
    capture.Manufacturer = "edge-router"
    capture.ManufacturerModelName = finding.algorithm
    capture.SoftwareVersions = finding.version
    capture.SeriesDescription = DESCRIPTION
    capture.ConversionType = "WSD"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = "NO"
    capture.RecognizableVisualFeatures = "NO"
    capture.PatientOrientation = ""
    capture.Laterality = ""
    capture.DerivationDescription = DESCRIPTION
    capture.DerivationCodeSequence = Sequence([_code("113076", "Segmentation")])
    image = Dataset()
    image.ReferencedSOPClassUID = source.SOPClassUID
    image.ReferencedSOPInstanceUID = source.SOPInstanceUID
    purpose = _code("121322", "Source image for image processing operation")
    image.PurposeOfReferenceCodeSequence = Sequence([purpose])
    capture.SourceImageSequence = Sequence([image])


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = meaning
    return code


def _set_pixels(capture: Dataset, rgb: NDArray[np.uint8]) -> None:
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.Rows, capture.Columns = rgb.shape[:2]
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    data = rgb.tobytes()
    capture.PixelData = data + b"\0" * (len(data) % 2)

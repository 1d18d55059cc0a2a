"""From a finding to a DICOM Secondary Capture: the picture beside its segmentation.

The same source, finding and program always give the same bytes. The capture identifies no one:
it takes its patient and study from the anonymized source, and its legend holds no text of it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import UID, JPEGLSLossless, SecondaryCaptureImageStorage

from router.imaging.frame import Table, Window
from router.imaging.pixels import header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pydicom.tag import BaseTag

    from router.imaging.frame import Finding, Frame, Pixels

DESCRIPTION = "K-Means segmentation (not for diagnosis)"
#: What a capture says of itself in attributes that de-identification removes elsewhere.
OWN_ATTRIBUTES: Mapping[BaseTag, str] = {
    Tag("SeriesDescription"): DESCRIPTION,
    Tag("DerivationDescription"): DESCRIPTION,
}
#: Drawn once for this project, so that the bytes do not change with the library that writes them.
IMPLEMENTATION_UID = "2.25.175091379530429861734926153708245160934"

IMPLEMENTATION_NAME = "EDGE_ROUTER"
MANUFACTURER = "edge-router"
_MADE_BY = ("113076", "Segmentation")
_MADE_FROM = ("121322", "Source image for image processing operation")
#: The other constants that it writes. A patient whose number is one of them is not told by it.
OWN_TEXTS = frozenset({
    DESCRIPTION, IMPLEMENTATION_UID, IMPLEMENTATION_NAME, MANUFACTURER, *_MADE_BY, *_MADE_FROM,
    "DCM", "OT", "WSD", "DERIVED", "SECONDARY", "RGB", "NO", "00",
})  # fmt: skip

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


def picture(frame: Frame, finding: Finding, flags: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Original | overlay with a legend, shape (rows, columns, 3), RGB of 8 bits.

    ``flags``: what was seen in the image's quality, a sentence each.
    """
    grey, shown = panel(frame)
    factor = _factor(frame)
    labels = finding.labels[factor // 2 :: factor, factor // 2 :: factor]
    rows, columns = (side // factor for side in frame.pixels.shape)
    labels = labels[:rows, :columns]
    if labels.shape != grey.shape:
        size = grey.shape[::-1]
        labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    left = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    panels = np.concatenate((left, _overlaid(grey, labels, finding)), axis=1)
    legend = _legend(panels.shape[1], finding, shown, flags)
    return np.ascontiguousarray(np.concatenate((panels, legend), axis=0))


def panel(frame: Frame) -> tuple[NDArray[np.uint8], str]:
    """The image in grey levels of 8 bits, as large as it is shown, and how they were made."""
    small = _reduced(frame.pixels, _factor(frame))
    values = frame.scale.of(small)
    if isinstance(frame.voi, Table):
        # The table's inputs are modality values (PS3.3 C.11.2.1.1).
        brightness, shown = frame.voi.of(np.rint(values)), "VOI LUT of the image"
    else:
        window = frame.voi if frame.voi is not None else _whole_range(frame)
        brightness, shown = window.of(values), f"Window {window}"
    levels = np.round(np.clip(brightness, 0, 1) * 255).astype(np.uint8)
    grey = 255 - levels if frame.inverted else levels
    size = _grown(grey.shape[1], grey.shape[0])
    if size != grey.shape[::-1]:
        grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.NEAREST))
    return grey, shown


def _factor(frame: Frame) -> int:
    """By how much a large image is scaled down, so that a panel has no more than its size."""
    rows, columns = (int(side) for side in frame.pixels.shape)
    factor = max(-(-rows // _HIGHEST), -(-columns // _WIDEST))
    return max(1, min(int(factor), rows, columns))


def _whole_range(frame: Frame) -> Window:
    """From the lowest to the highest value that is not padding."""
    low, high = int(frame.pixels.min()), int(frame.pixels.max())
    if frame.padding is not None and frame.padding[0] <= low <= frame.padding[1]:
        kept = frame.pixels[frame.pixels > frame.padding[1]]
        low = int(kept.min()) if kept.size else low
    ends = frame.modality_value(low), frame.modality_value(high)
    return Window(sum(ends) / 2, max(abs(ends[1] - ends[0]), 1e-6), "LINEAR_EXACT")


def _reduced(pixels: Pixels, factor: int) -> NDArray[np.float64]:
    """Means of blocks of ``factor`` rows and columns; what is left over at the ends is dropped.

    Rows are added first: whole rows at a time are fast, and the sum is a small image.
    """
    if factor == 1:
        return pixels.astype(np.float64)
    rows, columns = (side // factor for side in pixels.shape)
    lines = np.zeros((rows, columns * factor), dtype=np.int32)
    for offset in range(factor):
        lines += pixels[offset : rows * factor : factor, : columns * factor]
    total = np.zeros((rows, columns), dtype=np.int64)
    for offset in range(factor):
        total += lines[:, offset::factor]
    means: NDArray[np.float64] = total / (factor * factor)
    return means


def _grown(columns: int, rows: int) -> tuple[int, int]:
    """A small image is shown larger, each pixel as a block of pixels where that comes out even."""
    scale = max(1.0, _SMALLEST / max(columns, rows))
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def _overlaid(
    grey: NDArray[np.uint8], labels: NDArray[np.uint8], finding: Finding
) -> NDArray[np.uint8]:
    """Each class's colour mixed into the grey, by a table of all greys of all classes."""
    greys = np.arange(256, dtype=np.float32)[:, np.newaxis]
    table = np.repeat(greys[np.newaxis], 256, axis=0).repeat(3, axis=2)
    for index, image_class in enumerate(finding.classes):
        if image_class.tinted:
            colour = np.array(image_class.colour, dtype=np.float32)
            table[index] = greys * (1 - _OVERLAY) + colour * _OVERLAY
    mixed: NDArray[np.uint8] = np.round(table).astype(np.uint8)[labels, grey]
    return mixed


def _legend(width: int, finding: Finding, shown: str, flags: Sequence[str]) -> NDArray[np.uint8]:
    unit = f" {finding.unit}" if finding.unit else ""
    lines = [
        (c.colour, f"{c.name}: {c.fraction:.1%} {c.whole}, mean {c.centre:.0f}{unit}")
        for c in finding.classes
    ]
    notes = ["Not for diagnosis.", *finding.notes]
    notes += [f"{shown}{unit}", f"{finding.algorithm} {finding.version}, edge-router"]
    notes += [f"Look at: {flag}" for flag in flags]
    height = _MARGIN * 2 + _LINE * (len(lines) + len(notes))
    strip = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(strip)
    font = _font()
    y = _MARGIN
    for colour, text in lines:
        draw.rectangle((_MARGIN, y + 2, _MARGIN + 12, y + 14), fill=colour)
        draw.text((_MARGIN + 20, y), text, fill=_INK, font=font)
        y += _LINE
    for text in notes:
        draw.text((_MARGIN, y), text, fill=_INK, font=font)
        y += _LINE
    return np.asarray(strip)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=13)


def secondary_capture(
    source: FileDataset, rgb: NDArray[np.uint8], finding: Finding, uids: CaptureUids
) -> bytes:
    """A Secondary Capture Image (PS3.3 A.8.1) of the anonymized source, as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uids.sop)
    meta.TransferSyntaxUID = JPEGLSLossless
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    capture = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in _COPIED:
        if keyword in source:
            capture[keyword] = source[keyword]
    # Senders leave it empty; it must not be.
    if not capture.get("SpecificCharacterSet"):
        capture.pop("SpecificCharacterSet", None)
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
    capture.SeriesNumber = 9000 + header.integer(source, "SeriesNumber", 0) % 1000
    capture.InstanceNumber = header.integer(source, "InstanceNumber", 1) or 1
    capture.Modality = "OT"
    capture.Manufacturer = MANUFACTURER
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
    capture.DerivationCodeSequence = Items([_code(*_MADE_BY)])
    image = Dataset()
    image.ReferencedSOPClassUID = source.SOPClassUID
    image.ReferencedSOPInstanceUID = source.SOPInstanceUID
    purpose = _code(*_MADE_FROM)
    image.PurposeOfReferenceCodeSequence = Items([purpose])
    capture.SourceImageSequence = Items([image])
    shown = Dataset()
    shown.ReferencedSOPClassUID = source.SOPClassUID
    shown.ReferencedSOPInstanceUID = source.SOPInstanceUID
    capture.ReferencedImageSequence = Items([shown])


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue = value
    code.CodingSchemeDesignator = "DCM"
    code.CodeMeaning = meaning
    return code


def _set_pixels(capture: FileDataset, rgb: NDArray[np.uint8]) -> None:
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.Rows, capture.Columns = rgb.shape[:2]
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    capture.LossyImageCompression = "00"
    # A tenth of the plain size, and no slower than writing that: see docs/imaging.md.
    capture.compress(JPEGLSLossless, rgb, encoding_plugin="pyjpegls", generate_instance_uid=False)

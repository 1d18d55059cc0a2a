"""Figures and circumstances of an exposure, from the header. Units are fixed; traps are known.

Everything is a number, a code or a short word of the equipment; nothing of the patient.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pydicom import uid

from router.dicom import date_values
from router.dicom.presentation_intent import is_for_processing
from router.imaging.pixels import header
from router.imaging.pixels.views import view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

_TOMOSYNTHESIS = frozenset({uid.BreastTomosynthesisImageStorage})
_PROJECTION = frozenset({
    uid.BreastProjectionXRayImageStorageForPresentation,
    uid.BreastProjectionXRayImageStorageForProcessing,
})  # fmt: skip
_MODALITIES = frozenset({"CT", "MR", "CR", "DX", "MG"})
_WORD = re.compile(r"[^A-Za-z0-9]+")
#: An organ dose above this is no breast's in decigray: the unit wrote milligray.
_MOST_ORGAN_DOSE_DGY = 0.5
_KILO = 1000.0
#: When the patient was examined.
_DATES = {
    "StudyDate": "DA", "SeriesDate": "DA", "AcquisitionDate": "DA", "ContentDate": "DA",
    "AcquisitionDateTime": "DT",
}  # fmt: skip


@dataclass(frozen=True)
class Acquisition:
    """What an image shows, and how it was made."""

    #: CT, MR, CR, DX, MG, DBT or OTHER: bounded, for metrics.
    modality: str
    #: CC, MLO, AP …, OTHER, or "none" where the modality has no views.
    view: str
    #: L, R, B or "".
    side: str
    #: Why it is not the whole view; "" where it is.
    part: str
    implant_displaced: bool
    #: The header says that it shows only a part of the view (PartialView).
    partial: bool
    for_processing: bool
    #: 2D, DBT or projection: different images of one view do not repeat each other.
    kind: str
    #: Stands for the exposure: images of one exposure have the same. "" where it is not known.
    exposure: str
    #: Stands for the device, and how it reconstructs or processes: baselines are per such group.
    device: str
    #: Where a person finds it on the scanner; 0 where the header does not say it.
    series_number: int
    image_number: int
    #: Figures of the header, by the names of router.imaging.quality.features.EXPORTED.
    figures: dict[str, float]
    #: What the device says of itself: Manufacturer, Manufacturer's Model Name, Software Versions.
    build: tuple[str, str, str] = ("", "", "")
    #: Stands for the machine: the same through another detector, another version, another kernel.
    machine: str = ""
    #: How many of the examination's dates are written in another way than DICOM does.
    odd_dates: int = 0

    @property
    def machine_kind(self) -> str:
        """The modality that the machine is known by: a mammograph makes tomosyntheses too."""
        return "MG" if self.modality == "DBT" else self.modality


@dataclass(frozen=True)
class Device:
    """A machine, by the name that the fleet knows it by."""

    name: str
    kind: str
    manufacturer: str
    model: str
    software: str
    images: int
    seen_at: float


def acquisition(dataset: Dataset) -> Acquisition:
    """Reads the header of an original."""
    seen = view_of(dataset)
    sop_class = dataset.get("SOPClassUID")
    kind = "DBT" if sop_class in _TOMOSYNTHESIS else "2D"
    kind = "projection" if sop_class in _PROJECTION else kind
    modality = str(dataset.get("Modality") or "")
    modality = modality if modality in _MODALITIES else "OTHER"
    has_views = modality in {"MG", "CR", "DX"}
    part = "" if modality == "MG" else _word(dataset, "BodyPartExamined")
    for_processing = is_for_processing(dataset)
    return Acquisition(
        modality="DBT" if kind == "DBT" else modality,
        view=(seen.view or "OTHER") if has_views else "none",
        side=seen.side,
        part=seen.part or part,
        implant_displaced=seen.implant_displaced,
        partial=str(dataset.get("PartialView") or "") == "YES",
        for_processing=for_processing,
        kind=kind,
        exposure=_exposure(dataset),
        device=_hash(
            *(_word(dataset, k) for k in ("Manufacturer", "ManufacturerModelName", "StationName",
              "DeviceSerialNumber", "DetectorID", "ConvolutionKernel")),
            for_processing, kind,
        ),
        series_number=header.integer(dataset, "SeriesNumber", 0),
        image_number=header.integer(dataset, "InstanceNumber", 0),
        figures={name: value for name, read in _FIGURES.items()
                 if (value := read(dataset)) is not None},
        build=(_word(dataset, "Manufacturer"), _word(dataset, "ManufacturerModelName"),
               _word(dataset, "SoftwareVersions")),
        machine=_hash(*(_word(dataset, k) for k in ("Manufacturer", "ManufacturerModelName",
                        "StationName", "DeviceSerialNumber"))),
        odd_dates=sum(_is_odd(dataset, keyword, vr) for keyword, vr in _DATES.items()),
    )  # fmt: skip


def _is_odd(dataset: Dataset, keyword: str, vr: str) -> bool:
    value = str(dataset.get(keyword) or "").strip(" \0")
    return bool(value) and not date_values.is_of_the_standard(value, vr)


def _word(dataset: Dataset, keyword: str) -> str:
    return _WORD.sub(" ", str(dataset.get(keyword) or "")).strip().upper()[:32]


def _hash(*parts: object) -> str:
    joined = "|".join(map(str, parts))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _exposure(dataset: Dataset) -> str:
    """One irradiation event makes a raw and a processed image, or several reconstructions."""
    for keywords in (
        ("IrradiationEventUID",),
        ("AcquisitionUID",),
        ("AcquisitionDateTime",),
        ("AcquisitionDate", "AcquisitionTime"),
    ):
        values = [str(dataset.get(keyword) or "") for keyword in keywords]
        if all(values):
            return _hash(*values)
    return ""


def _figure(keyword: str, factor: float = 1.0) -> Callable[[Dataset], float | None]:
    def read(dataset: Dataset) -> float | None:
        value = header.number(dataset, keyword, float("nan"))
        return None if value != value else value * factor  # noqa: PLR0124  (not a number)

    return read


def _kvp(dataset: Dataset) -> float | None:
    """kV (0018,0060). Some units write volts."""
    value = _figure("KVP")(dataset)
    if value is None or value <= 0:
        return None
    return value / _KILO if value > _KILO else value


def _exposure_mas(dataset: Dataset) -> float | None:
    """mAs: from µAs (0018,1153) where it is given, since (0018,1152) is rounded to whole mAs."""
    for keyword, factor in (("ExposureInuAs", 1 / _KILO), ("ExposureInmAs", 1.0),
                            ("Exposure", 1.0)):  # fmt: skip
        value = _figure(keyword, factor)(dataset)
        if value is not None:
            return value
    return None


def _compression_n(dataset: Dataset) -> float | None:
    """Newton (0018,11A2). The Senographe DS writes decanewton."""
    value = _figure("CompressionForce")(dataset)
    model = str(dataset.get("ManufacturerModelName") or "").upper()
    return value * 10 if value is not None and "SENOGRAPHE DS" in model else value


def _organ_dose_mgy(dataset: Dataset) -> float | None:
    """mGy, from decigray (0040,0316); some units write milligray there."""
    value = _figure("OrganDose")(dataset)
    if value is None:
        return None
    return value if value > _MOST_ORGAN_DOSE_DGY else value * 100


def _calibration_age_d(dataset: Dataset) -> float | None:
    """Days from the detector's last calibration (0018,700C) to the acquisition."""
    calibrated = _date(dataset.get("DateOfLastDetectorCalibration"))
    for keyword in ("AcquisitionDate", "ContentDate", "StudyDate"):
        made = _date(dataset.get(keyword))
        if made is not None and calibrated is not None:
            return float((made - calibrated).days)
    return None


def _date(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value or "").replace(".", ""))
    except ValueError:
        return None


def _ctdi(dataset: Dataset) -> float | None:
    """CTDIvol in mGy: of the image, or of the first exposure of an enhanced one."""
    group = header.functional_group(dataset, 0, "CTExposureSequence")
    return _figure("CTDIvol")(group if group is not None else dataset)


_FIGURES: dict[str, Callable[[Dataset], float | None]] = {
    "kvp_kv": _kvp,
    "exposure_mas": _exposure_mas,
    "compression_n": _compression_n,
    "thickness_mm": _figure("BodyPartThickness"),
    "organ_dose_mgy": _organ_dose_mgy,
    "exposure_index": _figure("ExposureIndex"),
    "deviation_index": _figure("DeviationIndex"),
    "detector_temperature_c": _figure("DetectorTemperature"),
    "calibration_age_d": _calibration_age_d,
    "ctdi_vol_mgy": _ctdi,
}

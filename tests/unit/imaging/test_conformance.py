"""Every capture is a valid object, whatever its source is: dciodvfy and dcentvfy find no error."""

from __future__ import annotations

import io
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from router.deid import pseudonyms
from router.deid.planning import plan
from router.imaging import pixels, quality, secondary_capture
from router.imaging.analysis import density
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import FileDataset

pytestmark = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dicom3tools are not installed"
)

KEY = pseudonyms.Key("test", bytes(range(32)))
PATIENT = data.Patient.made("conformance")
UIDS = secondary_capture.CaptureUids(series="2.25.111", sop="2.25.222")
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big_endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg_ls": JPEGLSLossless,
    "jpeg_2000": JPEG2000Lossless,
}


def _ct() -> FileDataset:
    return next(data.ct_series("conformance", PATIENT, slices=1, size=64))


def _pet() -> FileDataset:
    dataset = _ct()
    dataset.Modality = "PT"
    dataset.SOPClassUID = PositronEmissionTomographyImageStorage
    return dataset


def _mr() -> FileDataset:
    return data.pydicom_file("MR_small.dcm", "conformance", PATIENT)


def _cr() -> FileDataset:
    return data.radiograph("conformance", PATIENT, 96, 80)


def _dx() -> FileDataset:
    dataset = _cr()
    dataset.Modality = "DX"
    return dataset


def _mg() -> FileDataset:
    return next(data.mammogram_study("conformance", PATIENT, 128, 104))


def _tomosynthesis() -> FileDataset:
    return data.tomosynthesis("conformance", PATIENT, planes=3, rows=96, columns=78)


SOURCES: dict[str, Callable[[], FileDataset]] = {
    "CT": _ct, "PT": _pet, "MR": _mr, "CR": _cr, "DX": _dx, "MG": _mg, "DBT": _tomosynthesis,
}  # fmt: skip


def _no_numbers(dataset: FileDataset) -> None:
    dataset.SeriesNumber = dataset.InstanceNumber = None


def _no_dates(dataset: FileDataset) -> None:
    for keyword in ("StudyDate", "StudyTime", "SeriesDate", "SeriesTime"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _empty_patient(dataset: FileDataset) -> None:
    dataset.PatientName = dataset.PatientSex = dataset.PatientBirthDate = ""
    dataset.SpecificCharacterSet = ""


def _no_laterality(dataset: FileDataset) -> None:
    for keyword in ("Laterality", "ImageLaterality", "BodyPartExamined", "PatientOrientation"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _wild_values(dataset: FileDataset) -> None:
    dataset.PatientSex = "X"
    dataset.SeriesNumber = "99999"
    dataset.WindowCenter = dataset.WindowWidth = ["1", "2"]
    dataset.RescaleSlope, dataset.RescaleIntercept = "0", ""
    dataset.add_new((0x0028, 0x0120), "US", 65535)


BROKEN: dict[str, Callable[[FileDataset], None]] = {
    "whole": lambda _: None,
    "no_numbers": _no_numbers,
    "no_dates": _no_dates,
    "empty_patient": _empty_patient,
    "no_laterality": _no_laterality,
    "wild_values": _wild_values,
}


def written(dataset: FileDataset, syntax: str) -> bytes:
    """The file of a data set in another transfer syntax."""
    uid = SYNTAXES[syntax]
    if uid.is_encapsulated:
        dataset.compress(uid, generate_instance_uid=False)
        return data.file_bytes(dataset)
    dataset.file_meta.TransferSyntaxUID = uid
    if uid != ExplicitVRBigEndian:
        return data.file_bytes(dataset)
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True
    )
    return buffer.getvalue()


def errors_of(tool: str, *arguments: str) -> list[str]:
    done = subprocess.run([tool, *arguments], capture_output=True, check=False, timeout=60)
    text = (done.stdout + done.stderr).decode("latin-1")
    return [line for line in text.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("modality", SOURCES)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_capture_has_no_errors(modality: str, syntax: str, broken: str, tmp_path: Path) -> None:
    if syntax == "big_endian" and broken == "wild_values":
        pytest.skip("what anonymization takes away is left in it")
    original = SOURCES[modality]()
    BROKEN[broken](original)
    file = written(original, syntax)
    source = apply_plan.read(file)
    if syntax != "big_endian":  # pydicom cannot write it again
        made = plan.make(source, KEY, "T1")
        source = apply_plan.read(apply_plan.apply(file, made))
    frame = pixels.to_frame(source)
    finding = density.ANALYSIS.run(frame)
    flags = list(quality.LOOK.values())
    rgb = secondary_capture.picture(frame, finding, flags)
    path = tmp_path / "capture.dcm"
    path.write_bytes(secondary_capture.secondary_capture(source, rgb, finding, UIDS))
    assert errors_of("dciodvfy", str(path)) == []
    assert errors_of("dcentvfy", str(path)) == []


def test_captures_of_one_study_fit_together(tmp_path: Path) -> None:
    paths = []
    for number, original in enumerate(data.mammogram_study("entities", PATIENT, 128, 104)):
        if "PixelData" not in original:
            continue
        file = data.file_bytes(original)
        copied = apply_plan.apply(file, plan.make(apply_plan.read(file), KEY, "T1"))
        source = apply_plan.read(copied)
        frame = pixels.to_frame(source)
        finding = density.ANALYSIS.run(frame)
        uids = secondary_capture.CaptureUids(
            series=f"2.25.{number + 1}00", sop=f"2.25.{number + 1}01"
        )
        made = secondary_capture.secondary_capture(
            source, secondary_capture.picture(frame, finding), finding, uids
        )
        for name, content in (("source", copied), ("capture", made)):
            path = tmp_path / f"{name}-{number}.dcm"
            path.write_bytes(content)
            paths.append(str(path))
    assert len(paths) == 8
    assert errors_of("dcentvfy", *paths) == []
    assert np.all([errors_of("dciodvfy", path) == [] for path in paths if "capture" in path])

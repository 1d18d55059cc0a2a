"""Descriptions as scanners write them. Counts once the work on privacy is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cases import lab
from tests.cases.case import Case
from tools.audit import content_of

if TYPE_CHECKING:
    from tests.cases.scene import Scene

_TEXTS = (
    "R CC", "L MLO", "RCC", "LMLO", "R-CC", "L CC C-View", "R MLO Tomosynthesis Reconstruction",
    "L CC Tomo", "MAMMO SCREENING 3D", "MAMMOGRAPHY SCREENING BILATERAL",
    "Mammo Diagnostic Bilat", "BI SCREENING MAMMO", "MG Screening Bilateral", "Routine3D_CC",
    "RCC ID", "L ML", "R XCCL", "R CC MAG", "Topogram 0.6 T20f", "Thorax 1.0 B31f",
    "ThorRoutine 5.0 B31f", "Lung 1.0 B70f", "Abdomen 5.0 B30f", "CT CHEST W/O CONTRAST",
    "CT CHEST WITH CONTRAST", "CT ABDOMEN PELVIS W CONTRAST", "CT THORAX NATIV",
    "LOW DOSE LUNG SCREENING", "LDCT", "HRCT", "Scout", "Surview", "Chest PA", "CHEST 2 VIEWS",
    "THORAX AP", "Axial 5mm", "COR MPR", "SAG MPR", "Bone Plus", "LUNG", "STANDARD",
    "Dose Report", "Patient Protocol", "AX T2 FLAIR", "SAG T1", "t2_tse_sag", "AX DWI b1000",
    "3D TOF", "Recon 2: CHEST", "1.25mm Lung", "ARTERIAL", "PORTAL VENOUS", "Non Contrast",
    "Head 5.0 H31s", "Brain 3mm", "Calcium Score", "Liver 3 phase",
)  # fmt: skip


def _described(scene: Scene) -> None:
    images = {text: lab.ct(f"c27{text}", study="c27") for text in _TEXTS}
    for text, image in images.items():
        image.SeriesDescription = text
    scene.take([lab.file_of(image) for image in images.values()], 180)
    there = scene.by_pixels()
    gone = [
        text
        for text, image in images.items()
        if (one := there.get(content_of(image))) is None
        or str(one.dataset.get("SeriesDescription", "")) != text
    ]
    scene.must(not gone, f"{len(gone)} of {len(_TEXTS)} are gone: {gone}")


CASES = (
    Case("27_descriptions", "names of protocols that are usual in radiology stay",
         "OHIF #4080, #2249, DICOMAnonymizer #19, #23", _described, "the issue on privacy"),
)  # fmt: skip

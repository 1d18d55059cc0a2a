"""Pixels and views as devices make them. These count once the work on real images is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import JPEGLSLossless

from tests.cases import lab
from tests.cases.case import Case

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from tests.cases.scene import Scene

_LATER = "the issue on real images"
_VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def _decimal_comma(scene: Scene) -> None:
    slice_, view = lab.ct("c06a"), lab.mg("c06b")
    for keyword, value in (("RescaleIntercept", b"-1024,0"), ("RescaleSlope", b"1,0"),
                           ("PixelSpacing", b"0,7\\0,7")):  # fmt: skip
        lab.set_raw(slice_, keyword, "DS", value)
    for keyword, value in (("ImagerPixelSpacing", b"0,07\\0,07"), ("WindowCenter", b"1600,5"),
                           ("OrganDose", b"0,0123")):  # fmt: skip
        lab.set_raw(view, keyword, "DS", value)
    scene.take([lab.file_of(slice_), lab.file_of(view)])
    scene.must_not_be_held()
    scene.must(len(scene.arrived()) == 2, f"{len(scene.arrived())} of 2 are in the cloud")


def _scout(seed: str, series: str, number: int) -> FileDataset:
    made = lab.ct(seed, number=number, study="c08", series=series)
    made.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    made.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    hu = -900 + 1000 * np.clip(1 - x**2 / 0.5 - y**2 / 1.4, 0, 1) + 500 * (np.abs(x) < 0.08)
    lab.set_pixels(made, (np.clip(hu, -1000, 1500) + 1024).astype(np.int32), 16, signed=True)
    return made


def _scouts(scene: Scene) -> None:
    scouts = [_scout("c08s", "c08scout", 1), _scout("c08m", "c08mix", 2)]
    slices = [lab.ct(f"c08{n}", number=n, study="c08", series="c08ax") for n in (1, 2, 3)]
    slices += [lab.ct(f"c08m{n}", number=n, study="c08", series="c08mix") for n in (1, 3)]
    scene.take([lab.file_of(image) for image in (*scouts, *slices)])
    number = {str(one.dataset.SOPInstanceUID): one.dataset for one in scene.arrived()}
    for capture in (one.dataset for one in scene.files() if one.is_capture):
        shown = number[str(capture.SourceImageSequence[0].ReferencedSOPInstanceUID)]
        scene.must("LOCALIZER" not in shown.ImageType, "a scout was segmented into tissues")


def _fuji(scene: Scene) -> None:
    for where in ("AcquisitionDeviceProcessingDescription", "SeriesDescription", "ViewPosition"):
        scene.mark()
        files = []
        for side, view in _VIEWS:
            image = lab.mg(f"c10{where}{side}{view}", side, view, study=f"c10{where}", codes=False)
            image.Manufacturer, image.ViewPosition = "FUJIFILM Corporation", ""
            setattr(image, where, f"{side}-{view}")
            files.append(lab.file_of(image))
        missing = [study["missing_views"] for study in scene.take(files)]
        scene.must(missing == [[]], f"view in {where}: told as missing {missing}")


def _bits(scene: Scene) -> None:
    left, ones = lab.mg("c21a"), lab.mg("c21b")
    left.BitsStored, left.HighBit = 12, 15
    left.PixelData = (lab.breast(512, 416, 5, "L") << 4).astype("<u2").tobytes()
    ones.PixelData = (lab.breast(512, 416, 6, "L") | 0xF000).astype("<u2").tobytes()
    for name, image in (("left-justified", left), ("ones in the unused bits", ones)):
        scene.mark()
        scene.take([lab.file_of(image)])
        scene.must_not_be_held()
        for one in scene.arrived():
            if one.dataset.file_meta.TransferSyntaxUID == JPEGLSLossless:
                one.dataset.decompress()
            same = one.dataset.PixelData == image.PixelData
            scene.must(same, f"{name}: other pixels in the cloud")
        scene.must(len(scene.arrived()) == 1, f"{name}: not in the cloud")


def _combo(scene: Scene) -> None:
    files = []
    for number, (side, view) in enumerate(_VIEWS):
        image = lab.mg(f"c24{side}{view}", side, view, study="c24")
        image.AcquisitionTime = f"1015{10 + number}"
        computed = lab.mg(f"c24s{side}{view}", side, view, study="c24")
        computed.ImageType = ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]
        computed.AcquisitionTime = f"1016{10 + number}"
        files += [lab.file_of(image), lab.file_of(computed)]
    (study,) = scene.take(files)
    flags = {flag["flag"] for image in study["look_at"] for flag in image["flags"]}
    scene.must("REPEATED_EXPOSURE" not in flags, "a computed picture is told as a repeat")
    scene.must(not study["missing_views"], f"told as missing: {study['missing_views']}")


CASES = (
    Case("06_decimal_comma",
         "delivered; a segmentation without a tissue's name where the scale cannot be read",
         "dcmjs #287", _decimal_comma, _LATER),
    Case("08_ct_scout", "no segmentation into tissues of a scout, which stands for no series",
         "vtk-dicom #98, Slicer #5055, z-rad #67", _scouts, _LATER),
    Case("10_fuji_view_elsewhere", "four views complete: none is missing that is there",
         "Mirai pull 11, OHIF #4080, MIMIC-CXR #15", _fuji, _LATER),
    Case("21_highbit_and_bits", "delivered unchanged",
         "cornerstoneWADOImageLoader #528, fo-dicom #1992, fmjpeg2koj #6", _bits, _LATER),
    Case("24_mammography_combo",
         "no 'exposed before' for a picture that was computed, no view missing",
         "Hologic's conformance statement, OHIF #2019, #4080", _combo, _LATER),
)  # fmt: skip

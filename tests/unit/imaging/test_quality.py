"""Quality: figures, flags, baselines, views. Injected faults are found, good images are not."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom.data
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import BreastTomosynthesisImageStorage

from router.dicom import part10
from router.imaging import pixels, quality
from router.imaging.frame import Frame, Rectangle, Scale
from router.imaging.quality import EXPECTED_VIEWS, Acquisition, Flag, Shown
from router.imaging.quality.baseline import COLD, ENOUGH, WINDOW, Baseline
from router.records.errors import EdgeRouterError
from tests.support import data, image_faults

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


def test_dates_that_are_written_otherwise_are_counted() -> None:
    image = image_faults.clean("MG", "dates")
    assert quality.acquisition(image).odd_dates == 0
    image.StudyDate, image.SeriesDate, image.AcquisitionDate = "2026.03.11", "", "2026-03-11"
    assert quality.acquisition(image).odd_dates == 1
    image.StudyDate, image.AcquisitionDateTime = "20260311101500", "2026-03-11 10:15"
    assert quality.acquisition(image).odd_dates == 3


RIGHT = {
    "blank": Flag.BLANK,
    "saturated": Flag.SATURATED,
    "low_contrast": Flag.LOW_CONTRAST,
    "lost_rows": Flag.LOST_LINES,
    "kvp_step": Flag.EXPOSURE_UNUSUAL,
    "wrong_padding": Flag.PADDING_WRONG,
}
#: Public files beside the repository; not needed.
SHARED = Path(__file__).parents[4] / "shared" / "data"


def look(image: FileDataset) -> tuple[Acquisition, dict[str, float]]:
    seen = quality.acquisition(image)
    return seen, quality.features(pixels.to_frame(image, for_processing=True)) | seen.figures


def flags(image: FileDataset, baseline: Baseline = COLD) -> set[Flag]:
    seen, features = look(image)
    return {raised.flag for raised in quality.quality_flags(seen.modality, features, baseline)}


@pytest.fixture(scope="module", params=["CT", "CR", "MG"])
def modality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def learned(modality: str) -> Baseline:
    images = (image_faults.clean(modality, f"learned-{n}") for n in range(ENOUGH + 2))
    return Baseline.of([look(image)[1] for image in images])


@pytest.mark.parametrize("fault", image_faults.FAULTS)
@pytest.mark.parametrize("seed", range(2))
def test_a_fault_gets_its_flag(modality: str, learned: Baseline, fault: str, seed: int) -> None:
    image = image_faults.clean(modality, f"{fault}-{seed}")
    image_faults.FAULTS[fault](image, np.random.default_rng(seed))
    assert RIGHT[fault] in flags(image, learned)
    if fault != "kvp_step":  # what is usual has to be learned first
        assert RIGHT[fault] in flags(image)


@pytest.mark.parametrize("seed", range(4))
def test_a_good_image_gets_none(modality: str, learned: Baseline, seed: int) -> None:
    image = image_faults.clean(modality, f"good-{seed}")
    assert flags(image, learned) == set()
    assert flags(image) == set()


def real_files() -> list[Path]:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return sorted([*folder.glob("*.dcm"), *SHARED.glob("*.dcm")])


@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_a_real_image_gets_none(path: Path) -> None:
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # files of others, broken on purpose
        try:
            dataset = part10.read(stream)
            frame = pixels.to_frame(dataset, stream)
        except EdgeRouterError:
            return  # not an image that is looked at
        assert (
            quality.quality_flags(quality.acquisition(dataset).modality, quality.features(frame))
            == []
        )


def test_an_image_of_padding_is_flagged_as_that_alone() -> None:
    values = np.full((64, 64), -2000, dtype=np.int16)
    values[30, 30:34] = [1, 2, 3, 40]
    frame = Frame(values, "CT", padding=(-2000, -2000), limits=(-32768, 32767))
    assert [one.flag for one in quality.quality_flags("CT", quality.features(frame))] == [
        Flag.PADDING_ONLY
    ]


def test_values_cut_off_below_the_end_of_the_scale_are_clipped() -> None:
    image = image_faults.clean("CR", "clipped")
    values = image_faults.pixels_of(image)
    image_faults.set_pixels(image, np.minimum(values, int(np.quantile(values, 0.4))))
    assert flags(image) == {Flag.CLIPPED}


# --- figures --------------------------------------------------------------------------------------


def test_figures_are_those_of_the_pixels() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(500, 40, (300, 300)).round().astype(np.int16)
    frame = Frame(values, "MR", Scale(2.0, -10.0), limits=(0, 4095))
    found = quality.features(frame)
    real = values * 2.0 - 10
    assert found["mean"] == pytest.approx(real.mean())
    assert found["standard_deviation"] == pytest.approx(real.std())
    assert (found["minimum"], found["maximum"]) == (real.min(), real.max())
    assert found["p01"] == pytest.approx(np.percentile(real, 1), abs=2)
    assert found["p99"] == pytest.approx(np.percentile(real, 99), abs=2)
    assert found["contrast"] == found["p99"] - found["p01"]
    assert found["noise"] == pytest.approx(80, rel=0.05)
    assert found["full_scale"] == 8190
    shares = np.unique(values, return_counts=True)[1] / values.size
    assert found["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum())
    assert found["share_highest"] == pytest.approx(shares[-1])


def test_padding_and_what_shutters_cover_count_for_nothing() -> None:
    values = np.full((100, 100), 7000, dtype=np.uint16)
    values[20:80, 20:80] = np.arange(3600).reshape(60, 60)
    covered = Frame(values, "DX", shutters=(Rectangle(20, 79, 20, 79),))
    assert quality.features(covered)["maximum"] == 3599
    padded = Frame(values, "DX", padding=(7000, 7000))
    assert quality.features(padded)["maximum"] == 3599
    assert quality.features(padded)["share_padding"] == pytest.approx(0.64)


@pytest.mark.parametrize("columns", [False, True])
def test_lost_lines_are_counted(columns: bool) -> None:  # noqa: FBT001
    values = np.random.default_rng(1).normal(900, 5, (200, 200)).round().astype(np.uint16)
    values[50:53] = 0
    frame = Frame(values.T.copy() if columns else values, "DX")
    assert quality.features(frame)["lost_lines"] == 3


def test_a_border_that_is_one_value_is_not_lost() -> None:
    values = np.random.default_rng(1).normal(900, 5, (200, 200)).round().astype(np.uint16)
    values[:20] = values[190:] = 0
    assert quality.features(Frame(values, "DX"))["lost_lines"] == 0


# --- the header -----------------------------------------------------------------------------------


def header(**values: object) -> dict[str, float]:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return quality.acquisition(dataset).figures


@pytest.mark.parametrize(
    ("values", "figures"),
    [
        ({"KVP": "28.5"}, {"kvp_kv": 28.5}),
        ({"KVP": "120000"}, {"kvp_kv": 120}),
        ({"KVP": "0"}, {}),
        ({"KVP": ""}, {}),
        ({"Exposure": 85}, {"exposure_mas": 85}),
        ({"Exposure": 85, "ExposureInuAs": 84700}, {"exposure_mas": 84.7}),
        ({"CompressionForce": "120"}, {"compression_n": 120}),
        (
            {"CompressionForce": "12", "ManufacturerModelName": "Senographe DS ADS_54.11"},
            {"compression_n": 120},
        ),
        (
            {"CompressionForce": "118", "ManufacturerModelName": "Senographe Pristina"},
            {"compression_n": 118},
        ),
        ({"BodyPartThickness": "54"}, {"thickness_mm": 54}),
        ({"OrganDose": "0.0142"}, {"organ_dose_mgy": 1.42}),
        ({"OrganDose": "1.42"}, {"organ_dose_mgy": 1.42}),
        ({"ExposureIndex": "310"}, {"exposure_index": 310}),
        ({"DeviationIndex": "-1.2"}, {"deviation_index": -1.2}),
        ({"DetectorTemperature": "31"}, {"detector_temperature_c": 31}),
        (
            {"DateOfLastDetectorCalibration": "20260301", "AcquisitionDate": "20260311"},
            {"calibration_age_d": 10},
        ),
        ({"DateOfLastDetectorCalibration": "soon", "AcquisitionDate": "20260311"}, {}),
        ({"CTDIvol": 9.3}, {"ctdi_vol_mgy": 9.3}),
    ],
)
def test_figures_of_the_header_have_fixed_units(
    values: dict[str, object], figures: dict[str, float]
) -> None:
    assert header(**values) == pytest.approx(figures)


def test_images_of_one_exposure_are_told_by_its_time_and_devices_by_their_names() -> None:
    first, second = image_faults.clean("MG", "same"), image_faults.clean("MG", "same")
    assert quality.acquisition(first) == quality.acquisition(second)
    second.AcquisitionTime = "235959"
    second.DeviceSerialNumber = "OTHER"
    assert quality.acquisition(first).exposure != quality.acquisition(second).exposure
    assert quality.acquisition(first).device != quality.acquisition(second).device


def test_what_is_read_of_the_header_names_no_one() -> None:
    image = image_faults.clean("MG", "secret")
    text = repr(quality.acquisition(image))
    assert [v for v in data.Patient.made("secret").identifiers() if v in text] == []


# --- baselines ------------------------------------------------------------------------------------


def test_a_baseline_is_robust_and_made_of_the_newest() -> None:
    rows: list[dict[str, float]] = [{"contrast": 100.0 + n % 3} for n in range(WINDOW)]
    rows[3]["contrast"] = rows[17]["contrast"] = 9_999.0
    found = Baseline.of([*rows, *({"contrast": -5.0} for _ in range(1_000))]).usual["contrast"]
    assert found.median == 101
    assert found.spread == pytest.approx(1.4826)


def test_a_few_images_make_no_baseline() -> None:
    assert Baseline.of([{"contrast": 1.0}] * (ENOUGH - 1)).usual == {}


def test_a_deviation_index_beyond_three_is_unusual_anywhere() -> None:
    image = image_faults.clean("CR", "deviation")
    image.DeviationIndex = "3.4"
    assert flags(image) == {Flag.EXPOSURE_UNUSUAL}


# --- views ----------------------------------------------------------------------------------------

IMAGE = Acquisition(
    modality="MG", view="CC", side="R", part="", implant_displaced=False, partial=False,
    for_processing=False, kind="2D", exposure="e", device="d", series_number=1, image_number=1,
    figures={},
)  # fmt: skip


def image(name: str, **other: Any) -> Shown:
    side, _, view = name.partition("-")
    exposure = {"exposure": name} | other
    return Shown(f"{name}{other}", replace(IMAGE, side=side, view=view, **exposure))


def missing(*images: Shown) -> list[str]:
    return quality.missing_views(images, EXPECTED_VIEWS)


FOUR = [image(name) for name in EXPECTED_VIEWS]


def test_four_views_miss_nothing_in_any_order() -> None:
    assert missing(*FOUR[::-1]) == []


@pytest.mark.parametrize("left_out", range(4))
def test_a_view_that_is_not_there_is_missing(left_out: int) -> None:
    there = [shown for number, shown in enumerate(FOUR) if number != left_out]
    assert missing(*there) == [EXPECTED_VIEWS[left_out]]


@pytest.mark.parametrize(
    "other",
    [
        {"for_processing": True},
        {"part": "spot"},
        {"part": "magnified"},
        {"partial": True},
        {"kind": "projection"},
        {"view": "XCCL"},
        {"side": ""},
    ],
)
def test_what_does_not_show_the_whole_view_does_not_count(other: dict[str, Any]) -> None:
    changed = Shown("changed", replace(FOUR[0].acquisition, **other))
    assert missing(changed, *FOUR[1:]) == ["R-CC"]


@pytest.mark.parametrize(
    "other", [{"implant_displaced": True}, {"modality": "DBT", "kind": "DBT"}, {"side": "B"}]
)
def test_what_shows_the_whole_view_in_another_way_counts(other: dict[str, Any]) -> None:
    changed = Shown("changed", replace(FOUR[0].acquisition, **other))
    assert missing(changed, *FOUR[1:]) == []


def test_two_partial_images_show_a_large_breast() -> None:
    parts = [image("R-CC", partial=True, exposure=str(n)) for n in range(2)]
    assert missing(*parts, *FOUR[1:]) == []


def test_only_mammography_has_expected_views() -> None:
    assert missing(Shown("ct", replace(IMAGE, modality="CT", view="none"))) == []
    assert missing() == []
    assert quality.missing_views(FOUR[:1], ()) == []


def test_a_second_exposure_of_a_view_repeats_it() -> None:
    again = image("R-CC", exposure="later")
    assert quality.repeated([*FOUR, again]) == [again.instance]


@pytest.mark.parametrize(
    "other",
    [
        {"exposure": "R-CC"},  # another image of the same exposure
        {"exposure": ""},
        {"for_processing": True},
        {"part": "spot"},
        {"partial": True},
        {"implant_displaced": True},
        {"kind": "DBT", "modality": "DBT"},
        {"view": "OTHER"},
    ],
)
def test_another_kind_of_image_of_a_view_repeats_nothing(other: dict[str, Any]) -> None:
    changed = Shown("changed", replace(FOUR[0].acquisition, **{"exposure": "later"} | other))
    assert quality.repeated([*FOUR, changed]) == []


def coded(code: str, *modifiers: str) -> Acquisition:
    dataset = image_faults.clean("MG", "coded")
    view = Dataset()
    view.CodeValue = code
    items = []
    for modifier in modifiers:
        item = Dataset()
        item.CodeValue = modifier
        items.append(item)
    view.ViewModifierCodeSequence = Sequence(items)
    dataset.ViewCodeSequence = Sequence([view])
    dataset.ViewPosition = ""
    return quality.acquisition(dataset)


@pytest.mark.parametrize(
    ("code", "view"),
    [
        ("399162004", "CC"), ("R-10242", "CC"), ("399368009", "MLO"), ("R-10226", "MLO"),
        ("399260004", "ML"), ("399192008", "XCCL"), ("unknown", "OTHER"),
    ],
)  # fmt: skip
def test_views_are_read_from_codes_new_and_old(code: str, view: str) -> None:
    assert coded(code).view == view


def test_modifiers_say_what_is_only_a_part_and_what_an_implant_changes() -> None:
    assert coded("399162004", "399055006").part == "spot"
    assert coded("399162004", "R-102D6").part == "magnified"
    found = coded("399162004", "399209000")
    assert (found.part, found.implant_displaced) == ("", True)


def test_without_codes_the_view_position_is_believed_where_it_is_known() -> None:
    dataset = image_faults.clean("MG", "position")
    del dataset.ViewCodeSequence
    dataset.ViewPosition = "MLO"
    assert quality.acquisition(dataset).view == "MLO"
    dataset.ViewPosition = "Mrs Smith"
    assert quality.acquisition(dataset).view == "OTHER"


def test_the_side_of_a_tomosynthesis_is_that_of_its_frames() -> None:
    dataset = data.tomosynthesis("side", data.Patient.made("side"), 3, 96, 78)
    found = quality.acquisition(dataset)
    assert dataset.SOPClassUID == BreastTomosynthesisImageStorage
    assert (found.modality, found.kind, found.side, found.view) == ("DBT", "DBT", "R", "CC")

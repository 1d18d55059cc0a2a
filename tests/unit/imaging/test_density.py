from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from router.imaging.analysis import ANALYSES, density, histogram
from router.imaging.frame import UNLABELLED, Frame, Scale
from router.records.errors import AnalysisSkipped, Code

Pixels = NDArray[np.integer]


def frame_of(
    pixels: Pixels,
    modality: str = "MR",
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    padding: tuple[int, int] | None = None,
) -> Frame:
    return Frame(
        pixels=pixels,
        modality=modality,
        scale=Scale(slope, intercept),
        padding=padding,
    )


def of_values(*values: int, dtype: type[np.integer] = np.int16) -> Pixels:
    """An image of one row in which each value occurs."""
    return np.array([values], dtype=dtype)


def heaps(seed: int, *centres: int, dtype: type[np.integer] = np.int16) -> Pixels:
    """An image with values around some centres, shape (40, 50)."""
    rng = np.random.default_rng(seed)
    around = rng.choice(np.array(centres), (40, 50)) + rng.integers(-40, 41, (40, 50))
    return around.astype(dtype)


def test_the_analysis_is_known_by_its_name() -> None:
    assert {"density-kmeans": density.ANALYSIS} == ANALYSES


def test_a_finding_says_which_analysis_in_which_version_made_it() -> None:
    finding = density.ANALYSIS.run(frame_of(of_values(1, 50, 90)))
    assert (finding.algorithm, finding.version) == ("density-kmeans", "2")


# --- tissue names -------------------------------------------------------------------------------


def test_the_classes_of_a_thorax_carry_tissue_names() -> None:
    finding = density.analyse(frame_of(heaps(1, -850, 40, 700), "CT"))
    assert [c.name for c in finding.classes] == ["air", "soft tissue", "bone"]
    assert finding.unit == "HU"


def test_the_rescale_of_the_file_decides_where_tissue_lies() -> None:
    stored = heaps(1, -850 + 1024, 40 + 1024, 700 + 1024, dtype=np.uint16)
    finding = density.analyse(frame_of(stored, "CT", intercept=-1024))
    assert [c.name for c in finding.classes] == ["air", "soft tissue", "bone"]
    assert finding.classes[1].centre == pytest.approx(40, abs=5)


@pytest.mark.parametrize(
    ("centres", "names"),
    [
        # A head without air: the lowest class is fluid, and no tissue name is made up for it.
        ((0, 40, 900), ["unlabelled", "soft tissue", "bone"]),
        # Nothing but lung.
        ((-950, -800, -600), ["air", "unlabelled", "unlabelled"]),
        ((-900, -120, 60), ["air", "soft tissue", "unlabelled"]),
        # The ends of the guards belong to the tissue, what lies beyond them does not.
        ((-300, -200, 130), ["air", "soft tissue", "bone"]),
        ((-300, 200, 201), ["air", "soft tissue", "bone"]),
        ((-299, -201, 129), ["unlabelled", "unlabelled", "unlabelled"]),
        ((-299, 201, 202), ["unlabelled", "unlabelled", "bone"]),
    ],
)
def test_a_centre_where_no_such_tissue_lies_gets_no_tissue_name(
    centres: tuple[int, int, int], names: list[str]
) -> None:
    finding = density.analyse(frame_of(of_values(*centres), "CT"))
    assert [c.centre for c in finding.classes] == list(centres)
    assert [c.name for c in finding.classes] == names


@pytest.mark.parametrize("modality", ["MR", "PT", "NM", "XA"])
def test_outside_ct_classes_are_intensities_and_nothing_more(modality: str) -> None:
    finding = density.analyse(frame_of(heaps(2, -850, 40, 700), modality))
    assert [c.name for c in finding.classes] == [
        "low intensity", "medium intensity", "high intensity",
    ]  # fmt: skip
    assert finding.unit == ""


# --- what is not the patient --------------------------------------------------------------------


def test_padding_is_in_no_class() -> None:
    pixels = of_values(-2_000, -2_000, -1_999, 5, 5, 5, 60, 100)
    finding = density.analyse(frame_of(pixels, padding=(-2_000, -1_999)))
    assert finding.labels.tolist() == [[UNLABELLED] * 3 + [0, 0, 0, 1, 2]]
    assert [c.fraction for c in finding.classes] == [3 / 5, 1 / 5, 1 / 5]
    assert [c.centre for c in finding.classes] == [5, 60, 100]


def test_padding_in_the_middle_of_the_scale_is_in_no_class() -> None:
    finding = density.analyse(frame_of(of_values(5, 50, 60, 100), padding=(50, 50)))
    assert finding.labels.tolist() == [[0, UNLABELLED, 1, 2]]


def test_below_the_hounsfield_scale_there_is_no_tissue() -> None:
    pixels = of_values(-3_024, -1_025, -1_024, 40, 700)
    finding = density.analyse(frame_of(pixels, "CT"))
    assert finding.labels.tolist() == [[UNLABELLED, UNLABELLED, 0, 1, 2]]
    assert finding.classes[0].centre == -1_024


def test_outside_ct_a_low_value_is_a_value_like_any_other() -> None:
    finding = density.analyse(frame_of(of_values(-3_024, 40, 700), "MR"))
    assert finding.labels.tolist() == [[0, 1, 2]]


def test_the_hounsfield_scale_is_that_of_the_rescaled_values() -> None:
    pixels = of_values(0, 1, 1_064, 1_724, dtype=np.uint16)
    finding = density.analyse(frame_of(pixels, "CT", intercept=-1_025))
    assert finding.labels.tolist() == [[UNLABELLED, 0, 1, 2]]


# --- the scale ----------------------------------------------------------------------------------


def test_classes_ascend_by_modality_value_also_when_the_slope_is_negative() -> None:
    pixels = of_values(0, 0, 0, 100, 100, 400, 999)
    rising = density.analyse(frame_of(pixels, padding=(999, 999)))
    falling = density.analyse(frame_of(pixels, slope=-2.0, intercept=10.0, padding=(999, 999)))
    assert rising.labels.tolist() == [[0, 0, 0, 1, 1, 2, UNLABELLED]]
    assert falling.labels.tolist() == [[2, 2, 2, 1, 1, 0, UNLABELLED]]
    assert [c.centre for c in falling.classes] == [-790, -190, 10]
    assert [c.fraction for c in falling.classes] == [1 / 6, 2 / 6, 3 / 6]
    assert [c.name for c in falling.classes] == [c.name for c in rising.classes]
    assert [c.colour for c in falling.classes] == [c.colour for c in rising.classes]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_every_integer_type_is_cut_alike(dtype: type[np.integer]) -> None:
    pixels = heaps(3, 60, 120, 200, dtype=np.int16)
    pixels = np.clip(pixels, 0, 255)
    finding = density.analyse(frame_of(pixels.astype(dtype)))
    assert np.array_equal(finding.labels, density.analyse(frame_of(pixels)).labels)


def test_the_ends_of_sixteen_bits_are_cut_without_overflow() -> None:
    finding = density.analyse(frame_of(of_values(0, 30_000, 65_535, dtype=np.uint16)))
    assert finding.labels.tolist() == [[0, 1, 2]]
    finding = density.analyse(frame_of(of_values(-32_768, 0, 32_767)))
    assert finding.labels.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("values", [(7,), (7, 7, 7), (7, 9), (7, 9, 9)])
def test_too_few_values_make_no_classes(values: tuple[int, ...]) -> None:
    with pytest.raises(AnalysisSkipped) as raised:
        density.analyse(frame_of(of_values(*values)))
    assert raised.value.code is Code.TOO_FEW_VALUES
    assert raised.value.sentence == f"{len(set(values))} distinct values"


def test_padding_counts_for_no_value() -> None:
    with pytest.raises(AnalysisSkipped) as raised:
        density.analyse(frame_of(of_values(-2_000, 7, 9), padding=(-2_000, -2_000)))
    assert raised.value.code is Code.TOO_FEW_VALUES
    with pytest.raises(AnalysisSkipped) as raised:
        density.analyse(frame_of(of_values(-3_000, -2_000, -1_500), "CT"))
    assert raised.value.sentence == "0 distinct values"


# --- against the obvious way --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_the_histogram_is_that_of_numpy(dtype: type[np.integer]) -> None:
    rng = np.random.default_rng(5)
    # More than one chunk, and not a whole number of them.
    pixels = rng.integers(3, 250, (700, 777)).astype(dtype)
    found = histogram.of_planes([pixels])
    values, expected = np.unique(pixels, return_counts=True)
    assert np.array_equal(found.values, values)
    assert np.array_equal(found.counts, expected)


def test_the_histogram_of_a_view_is_that_of_what_it_shows() -> None:
    pixels = heaps(6, 0, 300, 900)
    view = pixels[::2, ::-3]
    found = histogram.of_planes([view])
    values, expected = np.unique(view, return_counts=True)
    assert np.array_equal(found.values, values)
    assert np.array_equal(found.counts, expected)


@pytest.mark.parametrize("seed", range(5))
def test_every_pixel_has_the_label_of_the_nearest_centre(seed: int) -> None:
    pixels = heaps(seed, -700, 0, 300, 1_000)
    padding = (-20, 5)
    finding = density.analyse(frame_of(pixels, padding=padding))
    centres = np.array([c.centre for c in finding.classes])
    is_padding = (pixels >= padding[0]) & (pixels <= padding[1])
    distances = np.abs(pixels[..., np.newaxis] - centres)
    assert np.array_equal(finding.labels == UNLABELLED, is_padding)
    nearest = distances.argmin(axis=-1)
    assert np.array_equal(finding.labels[~is_padding], nearest[~is_padding])
    for index, found in enumerate(finding.classes):
        members = pixels[finding.labels == index]
        assert found.centre == pytest.approx(members.mean())
        assert found.fraction == pytest.approx(len(members) / (~is_padding).sum())


@pytest.mark.parametrize("seed", range(3))
def test_no_other_two_cuts_are_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.choice(rng.integers(0, 4_000, 14), (20, 20)).astype(np.uint16)
    finding = density.analyse(frame_of(pixels))

    def squares(labels: Pixels) -> float:
        groups = (pixels[labels == label].astype(float) for label in range(3))
        return float(sum(((group - group.mean()) ** 2).sum() for group in groups))

    values = np.unique(pixels)
    every = (
        (pixels >= low).astype(np.uint8) + (pixels >= high)
        for low, high in itertools.combinations(values[1:], 2)
    )
    assert squares(finding.labels) == pytest.approx(min(map(squares, every)))


def test_the_shares_of_the_classes_make_a_whole() -> None:
    finding = density.analyse(frame_of(heaps(9, -850, 40, 700), "CT"))
    assert sum(c.fraction for c in finding.classes) == pytest.approx(1)
    assert finding.labels.shape == (40, 50)
    assert finding.labels.dtype == np.uint8

"""The miner's parts: each says what is there, and nothing where nothing is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image
from prometheus_client import CollectorRegistry, generate_latest
from scipy import stats
from sklearn.cluster import KMeans

from fleet_qc import (
    changes,
    clusters,
    condition,
    drift,
    miner,
    outliers,
    picture,
    prometheus,
    report,
    robust,
)
from fleet_qc.exporter import Exporter
from fleet_qc.records import Build, Finding, Flags, History, Inventory, Kind, Mined, Moments, Stream
from tests.support import fleet_sim

DAYS = 30


def _moments(values: np.ndarray, count: np.ndarray, features: tuple[str, ...]) -> Moments:
    streams = tuple(Stream(f"T{n}", "D", "MG", "CC") for n in range(len(values)))
    images = np.repeat(count[:, None, :], len(features), axis=1)
    return Moments(
        streams, features, np.arange(values.shape[2]), images,
        np.nan_to_num(images * values), np.nan_to_num(images * values**2),
    )  # fmt: skip


def test_moments_give_back_the_mean_and_the_variance_of_the_images() -> None:
    images = np.random.default_rng(1).normal(-300, 20, 500)
    moments = Moments(
        (Stream("T", "D", "CT", "none"),), ("mean",), np.array([0, 1]),
        np.array([[[500.0, 0.0]]]), np.array([[[images.sum(), 0.0]]]),
        np.array([[[(images**2).sum(), 0.0]]]),
    )  # fmt: skip
    assert moments.mean()[0, 0, 0] == pytest.approx(images.mean())
    assert moments.variance()[0, 0, 0] == pytest.approx(images.var())
    assert np.isnan(moments.mean()[0, 0, 1])


# --- spread and significance --------------------------------------------------------------------


def test_centre_and_spread_are_not_bent_by_one_device_in_ten() -> None:
    values = np.random.default_rng(2).normal(10, 2, 1000)
    values[:100] = 1e6
    assert float(robust.median(values)) == pytest.approx(10, abs=0.5)
    assert float(robust.spread(values)) == pytest.approx(2, abs=0.4)


def test_day_noise_is_that_of_the_days_and_not_that_of_a_step_or_a_drift() -> None:
    draw = np.random.default_rng(3)
    weights = draw.integers(20, 120, (300, DAYS)).astype(float)
    quiet = draw.normal(0, 1, (300, DAYS)) * 9 / np.sqrt(weights)
    for moved in (np.where(np.arange(DAYS) >= 15, 50.0, 0.0), np.arange(DAYS) * 0.1):
        variance, freedom = robust.day_noise(quiet + moved, weights)
        assert np.median(variance) == pytest.approx(81, rel=0.3)
        assert np.all(freedom > 5)


def test_a_streams_own_noise_counts_where_the_fleet_is_not_alike() -> None:
    draw = np.random.default_rng(4)
    scale = np.where(np.arange(400) % 2, 1.0, 10.0)[:, None]
    values = draw.normal(0, 1, (400, DAYS)) * scale
    variance, _ = robust.day_noise(values, np.ones((400, DAYS)))
    assert np.median(variance[0::2]) > 25 * np.median(variance[1::2])


@pytest.mark.parametrize("freedom", [3.0, 10.0, 1e6])
def test_the_normal_deviate_is_as_rare_as_students_t(freedom: float) -> None:
    statistic = np.array([-4.0, 0.0, 4.0])
    deviate = robust.two_sided_z(statistic, freedom)
    assert stats.norm.sf(deviate[2]) == pytest.approx(stats.t.sf(4.0, freedom))
    assert deviate[0] == -deviate[2]
    assert deviate[1] == 0


def test_confidence_falls_with_the_number_of_comparisons() -> None:
    assert robust.confidence(5.0, 1) > robust.confidence(5.0, 1000) > 0.99
    assert robust.confidence(2.0, 1000) == 0


# --- conditioning -------------------------------------------------------------------------------


def test_thicker_breasts_are_no_finding() -> None:
    draw = np.random.default_rng(5)
    thickness = 55 + draw.normal(0, 4, (50, 1)) + draw.normal(0, 2, (50, DAYS))
    mean = 1000 + draw.normal(0, 30, (50, 1)) - 6 * (thickness - 55)
    values = np.stack([thickness, mean], axis=1)
    found = condition.conditioned(
        _moments(values, np.full((50, DAYS), 80.0), ("thickness_mm", "mean"))
    )
    assert np.nanstd(found[:, 1], axis=1).max() < 1e-6


def test_one_truck_with_a_gain_drift_does_not_bend_the_slope() -> None:
    draw = np.random.default_rng(6)
    thickness = 55 + draw.normal(0, 2, (50, DAYS))
    mean = 1000 - 6 * (thickness - 55) + draw.normal(0, 2, (50, DAYS))
    mean[0] += 40 * np.arange(DAYS)
    moments = _moments(
        np.stack([thickness, mean], axis=1), np.full((50, DAYS), 80.0), ("thickness_mm", "mean")
    )
    left = condition.conditioned(moments)[1:, 1]
    slopes = [np.polyfit(thickness[i + 1], left[i], 1)[0] for i in range(49)]
    assert abs(np.mean(slopes)) < 0.1


def test_what_moves_the_whole_fleet_is_taken_out_and_one_trucks_step_stays() -> None:
    values = np.random.default_rng(7).normal(100, 1, (40, DAYS))
    values[:, 20:] += 30
    values[3, 10:] += 15
    left = condition.without_common(values)
    assert abs(np.mean(left[5, 20:]) - np.mean(left[5, :20])) < 2
    assert np.mean(left[3, 10:]) - np.mean(left[3, :10]) == pytest.approx(15, abs=2)


def test_a_small_fleet_has_no_common_movement() -> None:
    values = np.random.default_rng(8).normal(100, 1, (5, DAYS))
    assert np.array_equal(condition.without_common(values), values)


# --- changes ------------------------------------------------------------------------------------


def _quiet(streams: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 1, (streams, DAYS))


def test_a_step_is_found_with_its_day_and_its_size() -> None:
    values = _quiet(100, 9)
    values[7, 18:] += 8
    found = changes.find(values, np.full(values.shape, 50.0))
    assert found.deviate[7] > miner.NAMED
    assert not found.ramp[7]
    assert found.begin[7] == 18
    assert found.size[7] == pytest.approx(8, abs=1)
    assert np.abs(np.delete(found.deviate, 7)).max() < miner.NAMED


def test_a_slow_drift_is_told_from_a_step() -> None:
    values = _quiet(100, 10)
    values[7, 12:] -= 0.9 * np.arange(1, DAYS - 11)
    found = changes.find(values, np.full(values.shape, 50.0))
    assert found.deviate[7] < -miner.NAMED
    assert found.ramp[7]
    assert abs(found.begin[7] - 12) <= 2


def test_one_odd_day_and_days_without_images_are_no_change() -> None:
    values = _quiet(100, 11)
    values[7, 29] += 30
    values[8, 5:20] = np.nan
    found = changes.find(values, np.where(np.isfinite(values), 50.0, 0.0))
    assert np.abs(found.deviate[7:9]).max() < miner.NAMED


@pytest.mark.parametrize("days", [0, 1, 6])
def test_nothing_is_said_of_a_few_days(days: int) -> None:
    assert not changes.find(np.ones((3, days)), np.ones((3, days))).deviate.any()


def test_what_was_found_needs_no_later_day() -> None:
    values = _quiet(100, 12)
    values[7, 18:] += 8
    early = changes.find(values[:, :20], np.full((100, 20), 50.0))
    assert early.deviate[7] > miner.NAMED


# --- clusters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_a_fleet_of_one_kind_is_not_split(seed: int) -> None:
    draw = np.random.default_rng(seed)
    stretched = draw.normal(0, 1, (200, 5)) @ draw.normal(0, 1, (5, 5))
    assert clusters.split(clusters.standardised(stretched)).number == 1


@pytest.mark.parametrize("number", [2, 3, 4])
def test_kinds_of_scanner_are_told_apart(number: int) -> None:
    draw = np.random.default_rng(number)
    truth = np.arange(300) % number
    values = draw.normal(0, 1, (300, 5)) + 12 * np.eye(5)[truth]
    found = clusters.split(clusters.standardised(values))
    assert found.number == number
    assert len({(int(a), int(b)) for a, b in zip(truth, found.labels, strict=True)}) == number


def test_one_kind_with_broken_scanners_is_not_split() -> None:
    values = np.random.default_rng(1).normal(0, 1, (200, 5))
    values[:3] += 40
    found = clusters.split(clusters.standardised(values))
    assert found.number == 1
    assert np.isnan(found.silhouette)


def test_plain_k_means_would_have_split_it() -> None:
    # Why the number has to be justified.
    values = np.random.default_rng(1).normal(0, 1, (200, 5))
    assert len(set(KMeans(3, n_init=1, random_state=0).fit(values).labels_)) == 3
    assert clusters.split(clusters.standardised(values)).number == 1


def test_a_handful_of_streams_is_one_group() -> None:
    assert clusters.split(np.eye(4)).number == 1


def test_a_feature_that_never_differs_tells_nothing() -> None:
    scores = clusters.standardised(np.column_stack([np.ones(20), np.full(20, np.nan)]))
    assert not scores.any()


# --- outliers -----------------------------------------------------------------------------------


def test_a_device_is_compared_with_its_own_kind() -> None:
    draw = np.random.default_rng(13)
    labels = np.arange(100) % 2
    level = draw.normal(0, 1, 100) + 50 * labels
    level[0] = 25
    deviates = outliers.against_fleet(level, np.zeros(100), labels)
    assert deviates[0] > miner.NAMED
    assert np.abs(deviates[1:]).max() < miner.NAMED


@pytest.mark.parametrize("trucks", [5, 8, 10, 16, 24])
def test_a_small_fleet_of_two_vendors_has_no_outlier(trucks: int) -> None:
    for seed in range(10):
        assert not miner.mine(fleet_sim.fleet(trucks, DAYS, seed=seed).history).findings


def test_a_value_that_most_share_does_not_make_every_other_one_an_outlier() -> None:
    level = np.full(50, 29.0)
    level[0], level[1] = 29.01, 31.0
    deviates = outliers.against_fleet(level, np.zeros(50), np.zeros(50, np.int64))
    assert abs(deviates[0]) < 1
    assert deviates[1] > miner.NAMED


def _flags(flagged: list[float], images: float = 80.0) -> Flags:
    row = np.array([[flagged]])
    quiet = np.zeros((9, 1, len(flagged)))
    return Flags(
        tuple(Stream(f"T{n}", "D", "MG", "CC") for n in range(10)), ("LOST_ROWS",),
        np.arange(len(flagged)), np.concatenate([row, quiet]), np.full((10, len(flagged)), images),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flagged", "named"),
    [([0, 0, 0, 0, 0, 60], True), ([0, 1, 0, 0, 1, 1], False), ([40, 40, 40, 40, 40, 45], False)],
)
def test_more_flags_than_before_are_named(flagged: list[float], *, named: bool) -> None:
    deviates = outliers.flag_rates(_flags(flagged))
    assert bool(deviates[0, 0] >= miner.NAMED) is named
    assert not deviates[1:].any()


def test_software_that_nobody_else_runs_is_named_with_its_day() -> None:
    usual, wrong = Build("A", "M", "4"), Build("A", "M", "3")
    rows = [(usual,) * 5] * 39 + [(usual, usual, usual, wrong, wrong)]
    devices = tuple((f"T{n}", "D") for n in range(40))
    (found,) = outliers.strange_software(Inventory(devices, np.arange(100, 105), tuple(rows)), {})
    assert (found.stream.truck, found.kind, found.since) == ("T39", Kind.SOFTWARE, 103)


def test_an_update_that_many_have_is_not_wrong() -> None:
    usual, new = Build("A", "M", "4"), Build("A", "M", "5")
    rows = [(usual, None)] * 30 + [(usual, new)] * 10
    devices = tuple((f"T{n}", "D") for n in range(40))
    assert not outliers.strange_software(Inventory(devices, np.arange(2), tuple(rows)), {})


# --- distributions ------------------------------------------------------------------------------


def test_psi_of_the_same_distribution_is_nothing_and_of_another_it_is_what_the_formula_says() -> (
    None
):
    same = np.array([10.0, 20.0, 70.0])
    assert drift.index(same, same * 7) == pytest.approx(0)
    other = np.array([20.0, 20.0, 60.0])
    expected = 0.1 * np.log(2) - 0.1 * np.log(60 / 70)
    assert drift.index(same, other) == pytest.approx(expected)
    assert drift.index(same, np.zeros(3)) == 0


@pytest.mark.parametrize(("moved", "drifted"), [(0.0, False), (0.2, False), (1.0, True)])
def test_psi_from_moments_is_that_of_the_images(moved: float, *, drifted: bool) -> None:
    draw = np.random.default_rng(14)
    before, now = draw.normal(100, 10, 5000), draw.normal(100 + 10 * moved, 10, 2000)
    edges = drift.deciles(np.array([5000.0]), np.array([before.mean()]), np.array([before.var()]))
    bins = np.concatenate([[-np.inf], edges, [np.inf]])
    exact = float(drift.index(np.histogram(before, bins)[0], np.histogram(now, bins)[0]))
    pair = [
        drift.histograms(
            np.array([float(len(x))]), np.array([x.mean()]), np.array([x.var()]), edges
        )[0]
        for x in (before, now)
    ]
    estimated = float(drift.index(*pair))
    assert estimated == pytest.approx(exact, abs=0.05)
    assert drift.drifted(estimated, drift.BINS, 5000, 2000) is drifted


def test_a_few_images_are_no_drift_whatever_their_index() -> None:
    assert not drift.drifted(0.5, 10, 15, 12)
    assert drift.drifted(0.5, 10, 15_000, 12_000)
    assert not drift.drifted(9.0, 1, 100, 100)


@pytest.mark.parametrize("shift", list(fleet_sim.Shift))
def test_what_happens_to_the_whole_fleet_is_drift_of_that_and_of_no_device(
    shift: fleet_sim.Shift,
) -> None:
    history = fleet_sim.fleet(24, 20, seed=51).history
    assert not [s for s in miner.mine(history).shifts if s.drifted]
    mined = miner.mine(fleet_sim.moved(history, shift, 13))
    assert {s.feature for s in mined.shifts if s.drifted and not s.truck} == {str(shift)}
    assert not mined.findings


def test_another_maker_is_drift() -> None:
    psi, bins, old, new = drift.categories({"A": 90, "B": 10}, {"A": 40, "C": 60})
    assert drift.drifted(psi, bins, old, new)


# --- the whole ----------------------------------------------------------------------------------


def test_every_planted_fault_is_named_with_its_unit_and_its_feature() -> None:
    fleet = fleet_sim.fleet(120, DAYS, seed=15, faults=20, second_unit_every=3)
    mined = miner.mine(fleet.history)
    named = {(finding.stream.truck, finding.stream.device) for finding in mined.findings}
    assert named == set(fleet.faults)
    assert {device for _, device in named} == {"MG-1", "MG-2"}
    assert all(finding.confidence > 0.9 for finding in mined.findings)
    for unit, planted in fleet.faults.items():
        first = next(f for f in mined.findings if (f.stream.truck, f.stream.device) == unit)
        assert first.feature in fleet_sim.SHOWS[planted.fault], first


def test_a_step_of_one_of_two_units_is_found_because_they_are_told_apart() -> None:
    """Two units under one name hide it: their mean moves by half, and by who scanned how much."""
    moments = fleet_sim.fleet(60, DAYS, seed=15, second_unit_every=1).history.moments
    place = moments.features.index("contrast")
    second = np.array([s.device == "MG-2" and s.truck < "T0010" for s in moments.streams])
    changed = [moments.total.copy(), moments.squares.copy()]
    for sums, factor in zip(changed, (0.95, 0.95**2), strict=True):
        sums[second, place, 22:] *= factor
    broken = Moments(moments.streams, moments.features, moments.days, moments.count, *changed)
    of = sorted({stream.truck for stream in moments.streams})
    row = [of.index(stream.truck) for stream in moments.streams]
    sums = np.zeros((3, len(of), *broken.count.shape[1:]))
    for total, part in zip(sums, (broken.count, broken.total, broken.squares), strict=True):
        np.add.at(total, row, part)
    one_name = Moments(
        tuple(Stream(truck, "MG", "MG", "CC") for truck in of),
        moments.features,
        moments.days,
        *sums,
    )
    assert _steps(broken) == {(truck, "MG-2") for truck in of[:10]}
    assert not _steps(one_name)


def _steps(moments: Moments) -> set[tuple[str, str]]:
    days = len(moments.days)
    history = History(
        moments, Flags((), (), moments.days, np.zeros((0, 0, days)), np.zeros((0, days))),
        Inventory((), moments.days, ()),
    )  # fmt: skip
    return {(f.stream.truck, f.stream.device) for f in miner.mine(history).findings}


def test_a_sound_fleet_of_two_vendors_has_two_groups_and_no_finding() -> None:
    mined = miner.mine(fleet_sim.fleet(200, DAYS, seed=16, views=("CC", "MLO")).history)
    assert [group.number for group in mined.clusters] == [2, 2]
    assert not mined.findings
    assert not [shift for shift in mined.shifts if shift.drifted]


def test_a_sound_fleet_of_one_vendor_is_one_group() -> None:
    mined = miner.mine(fleet_sim.fleet(200, DAYS, seed=17, vendors=1).history)
    assert [group.number for group in mined.clusters] == [1]
    assert not mined.findings


def test_the_same_history_gives_the_same_findings() -> None:
    history = fleet_sim.fleet(60, DAYS, seed=18, faults=10).history
    assert miner.mine(history).findings == miner.mine(history).findings


def test_a_fleet_that_changes_its_protocol_has_drifted_as_a_whole() -> None:
    fleet = fleet_sim.fleet(60, DAYS, seed=19)
    moments = fleet.history.moments
    place = moments.features.index("contrast")
    moved = moments.total.copy()
    moved[:, place, 23:] *= 1.25
    squares = moments.squares.copy()
    squares[:, place, 23:] *= 1.25**2
    history = type(fleet.history)(
        Moments(moments.streams, moments.features, moments.days, moments.count, moved, squares),
        fleet.history.flags, fleet.history.inventory,
    )  # fmt: skip
    shifts = {s.feature: s for s in miner.mine(history).shifts if not s.truck}
    assert shifts["contrast"].drifted
    assert not shifts["mean"].drifted


@pytest.mark.parametrize("days", [0, 1, 3])
def test_a_fleet_that_has_hardly_begun_has_nothing_to_be_found(days: int) -> None:
    history = fleet_sim.fleet(30, DAYS, seed=20, faults=0).history.until(days)
    assert not miner.mine(history).findings


# --- what is read and what is shown -------------------------------------------------------------


def test_a_days_moments_are_the_difference_of_two_totals() -> None:
    nan = np.nan
    totals = np.array([[nan, 500.0, 520.0, nan, 560.0], [0.0, 10.0, 30.0, 5.0, 6.0]])
    assert np.array_equal(
        prometheus.daily(totals), np.array([[nan, 20, nan, 40], [10, 20, -25, 1.0]]), equal_nan=True
    )


def test_a_truck_that_names_no_device_has_one_of_each_modality() -> None:
    assert prometheus.stream({"truck": "T1", "modality": "MG"}) == Stream("T1", "MG", "MG", "")


def test_the_metrics_name_the_device_and_the_feature() -> None:
    fleet = fleet_sim.fleet(60, DAYS, seed=21, faults=5)
    exporter = Exporter()
    registry = CollectorRegistry()
    registry.register(exporter)
    assert "fleet_qc_outlier{" not in generate_latest(registry).decode()
    exporter.show(miner.mine(fleet.history), 1000.0, 0.5)
    text = generate_latest(registry).decode()
    assert (
        'fleet_qc_outlier{device="MG-1",feature="kvp_kv",kind="step",modality="MG",truck="T0002",'
        'view="CC"} 1.0' in text
    )
    assert 'fleet_qc_clusters{modality="MG",view="CC"}' in text
    assert "fleet_qc_last_success_timestamp_seconds 1000.0" in text


def test_the_report_shows_the_picture_and_names_who_is_out_of_line() -> None:
    mined = miner.mine(fleet_sim.fleet(60, DAYS, seed=22, faults=5, views=("CC", "MLO")).history)
    png = picture.draw(mined)
    with Image.open(io.BytesIO(png)) as drawn:
        assert drawn.width > 800
    page = report.page(mined, png)
    for truck in ("T0000", "T0001", "T0002", "T0003", "T0004"):
        assert f">{truck}</td>" in page
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page


def test_no_name_in_the_picture_lies_over_another_or_over_the_panel_and_all_are_within_it() -> None:
    mined = miner.mine(fleet_sim.fleet(80, DAYS, seed=24, faults=40).history)
    figure = picture.figure(mined)
    figure.draw_without_rendering()
    (panel,) = figure.axes
    shown = [text for text in panel.texts if text.get_text()]
    assert len(shown) == picture.MOST_NAMES + 1
    assert shown[-1].get_text().startswith("... and ")
    # Without its arrow: that one is to cross the panel.
    boxes = [Text.get_window_extent(text) for text in shown]
    across = panel.get_window_extent().x1
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
        assert across < box.x0
        assert box.x1 < figure.bbox.x1
    assert panel.get_xlabel() == "contrast (p99 - p01) [pixel value]"


def test_a_device_of_a_strange_version_is_shown_in_the_picture() -> None:
    mined = miner.mine(fleet_sim.fleet(60, DAYS, seed=22, faults=5).history)
    (panel,) = picture.figure(mined).axes
    assert "T0004 MG-1: software" in {text.get_text() for text in panel.texts}


def test_what_is_wrong_in_many_ways_does_not_hide_who_is_wrong_in_one() -> None:
    streams = [Stream(f"T{n:04d}", "MG-1", "MG", "CC") for n in range(400)]
    loud = [
        Finding(stream, feature, Kind.STEP, 30, 1, 1, "moved")
        for stream in streams[:399]
        for feature in ("mean", "noise")
    ]
    quiet = Finding(streams[399], "contrast", Kind.STEP, 6, 1, 1, "moved")
    page = report.page(Mined((*loud, quiet), (), (), np.arange(1), 400, 400), b"")
    assert all(f'<td rowspan="2">{stream.truck}</td>' in page for stream in streams[:399])
    assert '<td rowspan="1">T0399</td>' in page


def test_a_report_of_a_fleet_without_images_says_so() -> None:
    mined = miner.mine(fleet_sim.fleet(3, DAYS, seed=23).history.until(0))
    assert picture.draw(mined).startswith(b"\x89PNG")
    assert "Nothing." in report.page(mined, b"")


def test_what_devices_call_themselves_cannot_write_into_the_page() -> None:
    usual, wrong = Build("A", "M", "4"), Build("A", "M", "<script>")
    rows = [(usual,)] * 39 + [(wrong,)]
    devices = tuple((f"T{n}", "D") for n in range(40))
    found = outliers.strange_software(Inventory(devices, np.arange(1), tuple(rows)), {})
    page = report.page(Mined(tuple(found), (), (), np.arange(1), 40, 40), b"")
    assert "&lt;script&gt;" in page
    assert "<script>" not in page

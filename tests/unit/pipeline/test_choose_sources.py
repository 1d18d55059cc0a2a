from __future__ import annotations

import random
from dataclasses import replace

import pytest

from router.imaging.analysis import density
from router.pipeline.capture_sources import by_their_rules, choose_sources
from router.records.copies import Copy, Route
from router.records.errors import Code
from router.records.instance import CAPTURED, Instance, Role, Stage
from router.records.study import Priority


def instance(
    name: str,
    *,
    number: int | None = 1,
    modality: str = "CT",
    series: str = "2.25.1",
    stage: Stage = Stage.ANONYMIZED,
    analysis: str | None = None,
) -> Instance:
    copy = Copy(
        orthanc_id=f"copy-{name}",
        study_uid="2.25.9",
        series_uid=series,
        sop_uid=f"2.25.{name}",
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        modality=modality,
        transfer_syntax="1.2.840.10008.1.2.1",
        instance_number=number,
        digest="",
        md5="",
        size=1,
    )
    return Instance(
        orthanc_id=name,
        study="study",
        role=Role.SOURCE,
        stage=stage,
        attempts=0,
        copy=copy,
        analysis=analysis,
        hold=None,
        policy="",
    )


def slices(count: int, series: str = "2.25.1") -> list[Instance]:
    return [
        instance(f"{series}-{number:03}", number=number, series=series)
        for number in range(1, count + 1)
    ]


def decided(instances: list[Instance]) -> list[Instance]:
    """The instances after the step: what was chosen has a capture, what was left out a code."""
    chosen, left_out = choose_sources(instances)
    made = dict.fromkeys((i.orthanc_id for i in chosen), CAPTURED)
    made.update(dict.fromkeys(left_out, Code.NOT_CHOSEN.value))
    return [replace(i, analysis=made.get(i.orthanc_id, i.analysis)) for i in instances]


def names(chosen: list[Instance]) -> list[str]:
    return [i.orthanc_id for i in chosen]


@pytest.mark.parametrize(("count", "middle"), [(1, 1), (2, 2), (3, 2), (4, 3), (9, 5), (100, 51)])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_of_a_series_the_middle_slice_is_chosen(count: int, middle: int, modality: str) -> None:
    series = [instance(str(n), number=n, modality=modality) for n in range(1, count + 1)]
    chosen, left_out = choose_sources(series)
    assert names(chosen) == [str(middle)]
    assert sorted(left_out) == sorted({i.orthanc_id for i in series} - {str(middle)})


def test_the_middle_is_that_of_the_instance_numbers_and_not_of_the_arrival() -> None:
    series = slices(21)
    random.Random(4).shuffle(series)
    chosen, _ = choose_sources(series)
    assert [i.copy.instance_number for i in chosen if i.copy] == [11]


def test_slices_without_numbers_are_ordered_by_their_uid() -> None:
    series = [instance(name, number=None) for name in ("c", "a", "b")]
    chosen, left_out = choose_sources(series)
    assert names(chosen) == ["b"]
    assert sorted(left_out) == ["a", "c"]


@pytest.mark.parametrize("modality", ["MG", "CR", "DX", "NM", ""])
def test_outside_sliced_modalities_every_image_is_chosen(modality: str) -> None:
    images = [instance(str(n), number=n, modality=modality) for n in range(4)]
    chosen, left_out = choose_sources(images)
    assert names(chosen) == ["0", "1", "2", "3"]
    assert left_out == []


def test_each_series_has_its_own_middle() -> None:
    chosen, left_out = choose_sources(slices(5, "2.25.1") + slices(3, "2.25.2"))
    assert names(chosen) == ["2.25.1-003", "2.25.2-002"]
    assert len(left_out) == 6


def test_a_late_slice_never_moves_the_middle() -> None:
    before = decided(slices(5))
    late = [instance(f"late-{number}", number=number) for number in range(6, 40)]
    chosen, left_out = choose_sources(before + late)
    assert chosen == []
    assert left_out == [i.orthanc_id for i in late]
    assert {i.orthanc_id for i in decided(before + late) if i.analysis == CAPTURED} == {
        "2.25.1-003"
    }


def test_a_late_series_of_a_known_study_has_a_middle_of_its_own() -> None:
    chosen, _ = choose_sources(decided(slices(5)) + slices(3, "2.25.2"))
    assert names(chosen) == ["2.25.2-002"]


def test_a_slice_that_could_not_be_analysed_is_not_replaced_by_another() -> None:
    series = slices(3)
    series[1] = replace(series[1], analysis=Code.TOO_FEW_VALUES.value)
    chosen, left_out = choose_sources(series)
    assert chosen == []
    assert left_out == ["2.25.1-001", "2.25.1-003"]


def test_a_late_image_beside_decided_ones_is_chosen() -> None:
    first = decided([instance("a", modality="MG")])
    chosen, _ = choose_sources([*first, instance("b", modality="MG")])
    assert names(chosen) == ["b"]


@pytest.mark.parametrize("stage", [Stage.HELD, Stage.DISCARDED, Stage.RECEIVED])
def test_what_is_not_anonymized_is_neither_chosen_nor_left_out(stage: Stage) -> None:
    series = slices(5)
    series[2] = replace(series[2], stage=stage)
    chosen, left_out = choose_sources(series)
    assert names(chosen) == ["2.25.1-004"]
    assert "2.25.1-003" not in left_out
    assert choose_sources([instance("a", modality="MG", stage=stage)]) == ([], [])


def test_a_held_slice_without_a_copy_is_skipped() -> None:
    series = slices(3)
    series[1] = replace(series[1], stage=Stage.HELD, copy=None)
    chosen, left_out = choose_sources(series)
    assert names(chosen) == ["2.25.1-003"]
    assert left_out == ["2.25.1-001"]


def test_a_capture_is_made_of_no_capture() -> None:
    capture = replace(instance("capture", modality="OT"), role=Role.CAPTURE)
    assert choose_sources([capture]) == ([], [])


def test_what_is_decided_is_never_decided_again() -> None:
    after = decided([*slices(7), instance("x", modality="MG")])
    assert choose_sources(after) == ([], [])


def test_a_study_without_images_has_nothing_to_choose() -> None:
    assert choose_sources([]) == ([], [])


def test_a_rule_can_leave_images_out_and_what_was_decided_stays() -> None:
    def route(*analyses: str) -> Route:
        return Route("rule", None, Priority.NORMAL, "shipped", analyses)

    images = [instance(name) for name in ("1", "2", "3", "4")]
    images.append(instance("5", analysis=CAPTURED))
    routes = {"1": route(), "2": route(density.ANALYSIS.name), "5": route()}
    routes["3"] = replace(route(), analyses=None)
    wanted, unwanted = by_their_rules(images, routes)
    assert [image.orthanc_id for image in wanted] == ["2", "3", "4"]
    assert unwanted == ["1"]

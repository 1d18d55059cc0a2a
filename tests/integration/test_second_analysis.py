"""A second analysis, added from outside the package by one file and one line in the list."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pydicom

from router.imaging import worker_process
from router.imaging.analysis import ANALYSES
from tests.support import data, scanner
from tests.support.second_analysis import HALVES

if TYPE_CHECKING:
    import pytest

    from tests.support.in_process import AtRest, Router
    from tests.support.orthancs import Orthanc


def _captures(cloud: Orthanc) -> list[str]:
    """The analyses that made what lies in the cloud."""
    files = [
        pydicom.dcmread(io.BytesIO(cloud.request("GET", f"/instances/{one}/file").content))
        for one in cloud.instances()
    ]
    return sorted(
        f.ManufacturerModelName for f in files if f.SOPClassUID.name.startswith("Secondary Capture")
    )


def _add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANALYSES, HALVES.name, HALVES)
    monkeypatch.setattr(worker_process, "WORKER", "tests.support.second_analysis")


def test_each_analysis_makes_its_own_capture_of_what_it_is_made_for(
    router: Router,
    truck: Orthanc,
    cloud: Orthanc,
    at_rest: AtRest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _add(monkeypatch)
    patient = data.Patient.made("two analyses")
    scanner.store([data.radiograph("two analyses", patient, 256, 192)], truck.dicom_port)
    scanner.store(data.ct_series("two analyses", patient, 1, 64), truck.dicom_port)
    with router.running() as app:
        at_rest(app, 2)
    assert _captures(cloud) == ["density-kmeans", "density-kmeans", "halves"]


def test_a_rule_that_names_only_the_new_one_gets_the_new_one(
    router: Router,
    truck: Orthanc,
    cloud: Orthanc,
    at_rest: AtRest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _add(monkeypatch)
    router.write_config(
        truck.url,
        cloud.url,
        """
[[rules]]
name = "chest"
when = { modality = "CR" }
analyses = ["halves"]
""",
    )
    patient = data.Patient.made("only the new one")
    scanner.store([data.radiograph("only the new one", patient, 256, 192)], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
    assert _captures(cloud) == ["halves"]

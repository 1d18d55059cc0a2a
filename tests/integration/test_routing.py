"""Routing rules over real Orthancs: two destinations, and what goes to which, when."""

from __future__ import annotations

import io
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import UID
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing as MammogramForProcessing

from router.journal import Journal
from tests.support import data, scanner
from tests.support.orthancs import Orthanc, start
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from router.records.receipt import Receipt
    from tests.support.in_process import AtRest, Router

#: Nobody listens there.
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def research_container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    yield from start("cloud", tmp_path_factory.mktemp("research"), ["truck", "health"])


@pytest.fixture
def research(research_container: Orthanc) -> Orthanc:
    """A second destination, empty."""
    research_container.wipe()
    return research_container


def _destination(router: Router, name: str, url: str) -> str:
    return f"""
[[destinations]]
kind = "stow"
name = "{name}"
url = "{url}/dicom-web"
user = "truck"
password_file = "{router.folder}/password"
connect_timeout_s = 2
"""


def _for_processing(dataset: FileDataset) -> FileDataset:
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MammogramForProcessing
    dataset.PresentationIntentType = "FOR PROCESSING"
    return dataset


def _held_there(orthanc: Orthanc) -> list[tuple[str, str]]:
    """Modality and presentation intent of each instance that an Orthanc holds."""
    found = [pydicom.dcmread(io.BytesIO(orthanc.file(i))) for i in orthanc.instances()]
    return sorted((d.Modality, d.get("PresentationIntentType", "")) for d in found)


def _receipts(router: Router, *, waiting: bool = False) -> list[Receipt]:
    with closing(Journal(router.folder / "journal.db")) as journal:
        every = [
            r for study in journal.studies.all() for r in journal.outbox.of_study(study.orthanc_id)
        ]
    return [receipt for receipt in every if receipt.verified_at is None or not waiting]


def _states(router: Router) -> list[str]:
    studies: list[dict[str, Any]] = json.loads(router.command("status").stdout)["studies"]
    return [study["state"] for study in studies]


def test_each_image_goes_to_the_destinations_of_its_rule_and_to_no_other(
    router: Router, truck: Orthanc, cloud: Orthanc, research: Orthanc, at_rest: AtRest
) -> None:
    rules = """
[[rules]]
name = "raw-mammograms"
when = { modality = "MG", presentation_intent = "FOR PROCESSING" }
destinations = ["research"]
[[rules]]
name = "ct"
when = { modality = "CT" }
analyses = []
"""
    router.write_config(
        truck.url, cloud.url, _destination(router, "research", research.url) + rules
    )
    patient = data.Patient.made("rules")
    shown, raw, *_ = data.mammogram_study("rules", patient, rows=512, columns=416)
    scanner.store([shown, _for_processing(raw)], truck.dicom_port)
    scanner.store(data.ct_series("rules", patient, slices=3, size=64), truck.dicom_port)
    with router.running() as app:
        studies = at_rest(app, 2)
    assert {study["state"] for study in studies} == {"DELIVERED"}
    everywhere = [("CT", "")] * 3 + [("MG", "FOR PRESENTATION"), ("OT", "")]
    assert _held_there(cloud) == everywhere
    assert _held_there(research) == sorted([*everywhere, ("MG", "FOR PROCESSING")])
    rows: list[dict[str, Any]] = []
    for study in studies:
        rows += json.loads(router.command("receipts", study["study"]).stdout)["receipts"]
    assert {row["rule"] for row in rows} == {"raw-mammograms", "ct", "fallback"}
    raw_rows = [row for row in rows if row["rule"] == "raw-mammograms"]
    assert [row["destination"] for row in raw_rows] == ["research"]


def test_after_an_outage_the_urgent_study_goes_first(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    rules = """
[[rules]]
name = "emergency"
when = { station = "emergency*" }
priority = "urgent"
"""
    router.write_config(truck.url, NOBODY, f"most_connections = 1\n{rules}")
    ordered = list(data.ct_series("normal", data.Patient.made("normal"), slices=4, size=64))
    urgent = list(data.ct_series("urgent", data.Patient.made("urgent"), slices=4, size=64))
    asked = list(data.ct_series("stat", data.Patient.made("stat"), slices=4, size=64))
    for dataset in urgent:
        dataset.StationName = "EMERGENCY 2"
    asked[0].RequestedProcedurePriority = "HIGH"
    with router.running() as app:
        for number, images in enumerate((ordered, asked, urgent), start=1):
            scanner.store(images, truck.dicom_port)
            until(lambda n=number: _states(router) == ["ANALYSED"] * n, what="its copies")  # type: ignore[misc]
        assert app.port
    router.write_config(truck.url, cloud.url, f"most_connections = 1\n{rules}")
    with router.running() as app:
        at_rest(app, 3)
    begun: dict[str, list[float]] = {}
    for receipt in _receipts(router):
        assert receipt.begun_at is not None
        begun.setdefault(receipt.study, []).append(receipt.begun_at)
    with closing(Journal(router.folder / "journal.db")) as journal:
        came = [study.orthanc_id for study in reversed(journal.studies.all())]
    first, second, third = (begun[study] for study in (came[2], came[1], came[0]))
    assert max(first) <= min(second)
    assert max(second) <= min(third)


def test_other_rules_re_route_nothing_that_was_decided(
    router: Router, truck: Orthanc, cloud: Orthanc, research: Orthanc, at_rest: AtRest
) -> None:
    there = _destination(router, "research", research.url)
    rule = '[[rules]]\nname = "ct"\nwhen = { modality = "CT" }\ndestinations = ["research"]\n'
    nowhere = _destination(router, "research", NOBODY)
    router.write_config(truck.url, cloud.url, nowhere + rule)
    patient = data.Patient.made("decided")
    first, second = data.ct_series("decided", patient, slices=2, size=64)
    scanner.store([first], truck.dicom_port)
    with router.running():
        until(lambda: _states(router) == ["ANALYSED"], what="its copy")
    assert {receipt.destination for receipt in _receipts(router)} == {"research"}

    router.write_config(truck.url, cloud.url)  # the destination is gone: held, and not delivered
    with router.running():
        until(lambda: _states(router) == ["HELD"], what="the hold")
    rows = json.loads(router.command("held").stdout)["held"]
    assert {row["code"] for row in rows} == {"NO_DESTINATION"}

    router.write_config(truck.url, cloud.url, there)  # it is back, and the rule is not
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert study["state"] == "DELIVERED"
        assert cloud.instances() == []
        assert len(research.instances()) == 2  # the image and its capture
        scanner.store([second], truck.dicom_port)
        until(lambda: len(cloud.instances()) == 1, what="the late image, by the rules of today")
        at_rest(app, 1)
    assert len(research.instances()) == 3


def test_what_a_rule_holds_goes_on_when_a_person_has_looked_at_it(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    router.write_config(truck.url, cloud.url, '[fallback]\npolicy = "hold"\nanalyses = []\n')
    patient = data.Patient.made("sealed")
    scanner.store(data.ct_series("sealed", patient, slices=1, size=64), truck.dicom_port)
    with router.running() as app:
        (study,) = at_rest(app, 1)
        assert study["state"] == "HELD"
        (row,) = json.loads(router.command("held").stdout)["held"]
        assert row["code"] == "HELD_BY_RULE"
        router.command(
            "release", row["instance"], "--policy", "pixels-checked", "--reason", "looked at it"
        )
        until(lambda: len(cloud.instances()) == 1, what="the image in the cloud")
        (study,) = at_rest(app, 1)
    assert (study["state"], study["way"]) == ("DELIVERED", "1 delivered, 0 held")


def test_a_look_at_what_a_rule_holds_answers_for_nothing_else(
    router: Router, truck: Orthanc, cloud: Orthanc, at_rest: AtRest
) -> None:
    router.write_config(truck.url, cloud.url, '[fallback]\npolicy = "hold"\n')
    patient = data.Patient.made("unknown")
    (dataset,) = data.ct_series("unknown", patient, slices=1, size=64)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.113619.4.30")
    scanner.store([dataset], truck.dicom_port)
    with router.running() as app:
        at_rest(app, 1)
        (before,) = json.loads(router.command("held").stdout)["held"]
        router.command(
            "release", before["instance"], "--policy", "pixels-checked", "--reason", "looked at it"
        )
        until(lambda: _held_since(router) > [before["since"]], what="a new hold")
        (study,) = at_rest(app, 1)
    (after,) = json.loads(router.command("held").stdout)["held"]
    assert (study["state"], after["code"]) == ("HELD", "UNKNOWN_SOP_CLASS")
    assert cloud.instances() == []


def _held_since(router: Router) -> list[float]:
    return [row["since"] for row in json.loads(router.command("held").stdout)["held"]]

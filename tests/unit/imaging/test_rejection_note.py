"""The note that tells an archive to reject images: what it says, and that it names nobody."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pydicom
import pytest

from router.deid import gate, pseudonyms
from router.deid.planning import plan
from router.deid.profile import BASIC, SCREENING, Profile
from router.dicom import part10
from router.imaging.rejection_note import MEANINGS, Rejected, Title, note
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

KEY = pseudonyms.Key("test", bytes(range(32)))
CT = "1.2.840.10008.5.1.4.1.1.2"
IMAGES = [
    Rejected("2.25.31", "2.25.42", CT),
    Rejected("2.25.30", "2.25.41", CT),
    Rejected("2.25.31", "2.25.43", CT),
]


@pytest.fixture(params=[BASIC, Profile.of(SCREENING)], ids=["basic", "screening"])
def chosen(request: pytest.FixtureRequest) -> Profile:
    assert isinstance(request.param, Profile)
    return request.param


def sent(chosen: Profile) -> tuple[FileDataset, FileDataset]:
    """An original and its anonymized copy."""
    (original,) = data.ct_series("reject", data.Patient.made("reject"), slices=1, size=16)
    file = data.file_bytes(original)
    planned = plan.make(part10.read(io.BytesIO(file)), KEY, "TRUCK1", chosen)
    copy = apply_plan.apply(file, planned)
    return part10.read(io.BytesIO(file)), part10.read(io.BytesIO(copy))


@pytest.mark.parametrize("title", Title)
def test_it_names_every_image_in_its_series_and_says_why(title: Title, chosen: Profile) -> None:
    _, copy = sent(chosen)
    made = pydicom.dcmread(io.BytesIO(note(copy, IMAGES, title, "2.25.9", "2.25.8")))
    assert (made.SOPClassUID.name, made.Modality) == (
        "Key Object Selection Document Storage", "KO",
    )  # fmt: skip
    assert made.StudyInstanceUID == copy.StudyInstanceUID
    assert made.PatientID == copy.PatientID
    (concept,) = made.ConceptNameCodeSequence
    assert (concept.CodeValue, concept.CodeMeaning) == (title.value, MEANINGS[title])
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    named = {
        (series.SeriesInstanceUID, one.ReferencedSOPInstanceUID, one.ReferencedSOPClassUID)
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert named == {(i.series_uid, i.sop_uid, i.sop_class) for i in IMAGES}
    assert len(study.ReferencedSeriesSequence) == 2
    listed = [i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in made.ContentSequence]
    assert sorted(listed) == ["2.25.41", "2.25.42", "2.25.43"]
    # Its own day would tell by how much the study's was moved.
    assert made.ContentDate == (copy.ContentDate or "19000101")


def test_the_same_images_in_any_order_make_the_same_bytes(chosen: Profile) -> None:
    _, copy = sent(chosen)
    one = note(copy, IMAGES, Title.WORKLIST, "2.25.9", "2.25.8")
    assert one == note(copy, IMAGES[::-1], Title.WORKLIST, "2.25.9", "2.25.8")


def test_the_gate_lets_it_pass(chosen: Profile) -> None:
    original, copy = sent(chosen)
    file = note(copy, IMAGES, Title.WORKLIST, "2.25.9", "2.25.8")
    expected = gate.Expected.of(original, KEY, "TRUCK1", chosen).for_capture("2.25.9", "2.25.8")
    traces = gate.Traces.of(original, "TRUCK1")
    header = gate.header(copy, memoryview(data.file_bytes(copy)))
    gate.check_outgoing(
        part10.read(io.BytesIO(file)), memoryview(file), expected, traces, {}, header
    )

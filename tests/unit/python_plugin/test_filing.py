"""Which images Orthanc can file, by their headers alone."""

from __future__ import annotations

import copy
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

import identifiers
from tests.support import data

_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def image() -> Dataset:
    """An image with nested sequences before its identifiers."""
    patient = data.Patient.made("filing")
    made = next(iter(data.ct_series("filing", patient, slices=1, size=16)))
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.StudyInstanceUID = "1.2.3.4"
    outer = Dataset()
    outer.ReferencedSOPSequence = [inner, inner]
    made.ReferencedStudySequence = [outer]
    return made


IMAGE = image()


def written(dataset: Dataset, syntax: UID, *, undefined: bool) -> bytes:
    """A file; ``undefined``: its sequences and items have no length."""
    dataset = copy.deepcopy(dataset)
    for element in dataset.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for one in element.value:
                one.is_undefined_length_sequence_item = undefined
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dcmwrite(
        buffer, dataset, enforce_file_format=True,
        little_endian=syntax != ExplicitVRBigEndian, implicit_vr=syntax == ImplicitVRLittleEndian,
    )  # fmt: skip
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", _SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_what_is_whole_can_be_filed_and_what_lacks_a_uid_cannot(
    syntax: UID, undefined: bool  # noqa: FBT001
) -> None:  # fmt: skip
    assert identifiers.can_be_filed(written(IMAGE, syntax, undefined=undefined))
    for name in ("StudyInstanceUID", "SeriesInstanceUID"):
        lacking = copy.deepcopy(IMAGE)
        del lacking[name]
        assert not identifiers.can_be_filed(written(lacking, syntax, undefined=undefined))
    long = copy.deepcopy(IMAGE)
    long["PatientID"]._value = "1" * 300
    assert not identifiers.can_be_filed(written(long, syntax, undefined=undefined))
    del long["PatientID"]
    assert identifiers.can_be_filed(written(long, syntax, undefined=undefined))


def test_what_cannot_be_read_is_left_to_orthanc() -> None:
    assert identifiers.can_be_filed(written(IMAGE, DeflatedExplicitVRLittleEndian, undefined=False))
    assert identifiers.can_be_filed(b"")
    assert identifiers.can_be_filed(bytes(5000))


def test_the_stand_in_is_an_image_that_can_be_filed() -> None:
    assert identifiers.can_be_filed(identifiers.STAND_IN)


@given(st.data())
def test_no_damage_makes_it_fail_or_last(drawn: st.DataObject) -> None:
    file = bytearray(written(IMAGE, drawn.draw(st.sampled_from(_SYNTAXES)), undefined=True))
    for _ in range(drawn.draw(st.integers(1, 5))):
        file[drawn.draw(st.integers(132, 1500))] = drawn.draw(st.integers(0, 255))
    assert identifiers.can_be_filed(bytes(file)) in {True, False}

"""Identifiers in writings that nobody planned for, in attributes that stay: the gate finds each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage

from router.deid.planning.unlisted import NAMING
from router.records.errors import Code
from tests.support import data
from tests.support.deidentified import copy_of, image, passed

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


def held_with(text: str, keyword: str = "SoftwareVersions", **patient: object) -> bool:
    """Whether the patient's image is held for the text, and passes without it."""
    passed(image(SpecificCharacterSet="ISO_IR 192", **patient))
    dataset = image(SpecificCharacterSet="ISO_IR 192", **patient)
    setattr(dataset, keyword, text)
    return copy_of(dataset) is Code.GATE_IDENTIFIER


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dvorak-Lindt^Ann", "for Dvorak"),
        ("O'Hanlon^Ann", "Hanlon"),
        ("NOVAKOVA_ZDENKA", "for Zdenka"),
        ("Novakova/Zdenka", "for novakova"),
        ("Müller^Jörg", "for Mueller"),
        ("Müller^Jörg", "for Joerg"),
        ("Mueller^Hans", "for Müller"),
        ("Muller^Hans", "MÜLLER"),
        ("Wałęsa^Lech", "for Walesa"),
        ("Walesa^Lech", "for Wałęsa"),
        ("Strauß^Ann", "STRAUSS"),
        ("Ødegård^Ann", "Oedegaard"),
        ("Đorđević^Ana", "Dordevic"),
    ],
)
def test_a_name_is_found_in_each_of_its_spellings(name: str, text: str) -> None:
    assert held_with(text, PatientName=name)


@pytest.mark.parametrize("text", ["monitor", "Lindenthal", "NA", "Version A"])
def test_a_part_of_another_word_is_no_name(text: str) -> None:
    assert not held_with(text, PatientName="Na-Lind^Ito")


@pytest.mark.parametrize(
    ("number", "text"), [("MRN00123456", "no 123456"), ("MRN00123456", "00123456")]
)
def test_a_number_is_found_without_the_letters_around_it(number: str, text: str) -> None:
    assert held_with(text, PatientID=number)


def test_a_short_accession_number_is_no_trace() -> None:
    passed(image(AccessionNumber="12", PatientID="1", StudyID="12", SoftwareVersions="12"))


@pytest.mark.parametrize(
    "text",
    [
        "19610312", "12031961", "03121961", "120361", "610312", "1961-03-12", "12.03.61",
        "born 12 MAR 1961", "12-Mar-61", "March 12", "Mar 12, 1961", "mar121961",
    ],
)  # fmt: skip
def test_a_date_of_birth_is_found_in_each_of_its_writings(text: str) -> None:
    assert held_with(text, PatientBirthDate="19610312") == (text != "March 12")


@pytest.mark.parametrize(
    "text",
    ["job 20260311", "2026-03-11", "11.03.2026", "03/11/2026", "11 Mar 2026", "MR20260311101500"],
)
def test_an_original_date_in_a_text_that_stays_is_found(text: str) -> None:
    assert held_with(text, StudyDate="20260311")


def test_an_original_date_as_a_number_is_found() -> None:
    assert held_with("20260311", "AcquisitionNumber", StudyDate="20260311")


@pytest.mark.parametrize("text", ["2026", "VB20A 2026.1", "20260312", "11.03"])
def test_another_date_is_nobody_s(text: str) -> None:
    assert not held_with(text, StudyDate="20260311")


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.1961.312.4711234", "1.2.840.10008.5.1.4.1.1.2.4711234"]
)
def test_a_uid_under_the_standard_s_root_that_the_standard_does_not_know_is_replaced(
    uid: str,
) -> None:
    dataset = image(FrameOfReferenceUID=uid, SOPInstanceUID=uid)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    data.reference_to(dataset, CTImageStorage, uid)
    copy = passed(dataset)
    reference = copy.ReferencedImageSequence[0]
    assert reference.ReferencedSOPClassUID == CTImageStorage
    assert reference.ReferencedSOPInstanceUID == copy.SOPInstanceUID != uid
    assert copy.FrameOfReferenceUID == copy.SOPInstanceUID

    def put_back(copy: FileDataset) -> None:
        copy.ReferencedImageSequence[0].ReferencedSOPInstanceUID = uid

    assert copy_of(dataset, fault=put_back) is Code.GATE_FOREIGN_UID


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.6.1.1234", "1.2.840.10008.2.16.4", "1.2.840.10008.1.4.1.1"]
)
def test_a_uid_of_the_standard_stays(uid: str) -> None:
    assert passed(image(RelatedFrameOfReferenceUID=uid)).RelatedFrameOfReferenceUID == uid


def test_a_uid_in_the_file_header_is_the_standard_s_or_the_image_is_held() -> None:
    dataset = image()
    dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1961.312.4711234")

    def as_it_came(copy: FileDataset) -> None:
        copy.file_meta.MediaStorageSOPClassUID = dataset.file_meta.MediaStorageSOPClassUID

    assert copy_of(dataset, fault=as_it_came) is Code.GATE_FILE_META


def _encrypted() -> Sequence:
    item = Dataset()
    item.EncryptedContentTransferSyntaxUID = "1.2.840.10008.1.2"
    item.EncryptedContent = b"an envelope with the original "
    return Sequence([item])


@pytest.mark.parametrize("keyword", sorted(map(keyword_for_tag, NAMING)))
def test_what_the_table_forgot_and_names_somebody_goes(keyword: str) -> None:
    """None of these values is among the identifiers that the gate would find by their text."""
    values = {"EncryptedAttributesSequence": _encrypted(), "EncryptedContent": b"abcdefgh"}
    value = values.get(keyword, "LEEDS-07")
    nested = Dataset()
    setattr(nested, keyword, value)
    dataset = image(AnatomicRegionSequence=Sequence([nested]), **{keyword: value})
    copy = passed(dataset)
    assert keyword not in copy
    assert keyword not in copy.AnatomicRegionSequence[0]

    def at_the_top(copy: FileDataset) -> None:
        setattr(copy, keyword, value)

    def in_an_item(copy: FileDataset) -> None:
        setattr(copy.AnatomicRegionSequence[0], keyword, value)

    assert copy_of(dataset, fault=at_the_top) is Code.GATE_WRONG_ACTION
    assert copy_of(dataset, fault=in_an_item) is Code.GATE_WRONG_ACTION

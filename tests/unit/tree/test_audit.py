"""The auditor that demo and faults believe: whether a file names anyone."""

from __future__ import annotations

import io

import pydicom

from tests.support import data
from tools.audit import names_anyone

PATIENT = data.Patient.made("audit")


def named(**values: str) -> bool:
    (dataset,) = data.ct_series("audit", data.Patient.made("another"), slices=1, size=16)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    raw = data.file_bytes(dataset)
    return names_anyone(pydicom.dcmread(io.BytesIO(raw)), raw, [PATIENT])


def test_another_patients_file_names_nobody() -> None:
    assert not named()


def test_each_value_of_a_patient_is_found_in_any_attribute() -> None:
    for value in PATIENT.identifiers():
        assert named(ImageComments=f"seen {value} today" if len(value) > 5 else value), value


def test_the_random_digits_of_a_keyed_uid_are_no_birth_date() -> None:
    digits = f"17{PATIENT.birth_date}4053829301746201938475620"
    assert not named(FrameOfReferenceUID=f"2.25.{digits}")


def test_a_birth_date_in_a_uid_of_any_other_root_is_found() -> None:
    date = PATIENT.birth_date
    for uid in (f"1.2.826.0.1.{date}", f"2.25.{date}", f"1.2.25.17{date}4053829301746201938475620"):
        assert named(FrameOfReferenceUID=uid), uid

"""What the router writes itself tells of nobody: a patient whose number is one of its codes goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.deid import gate
from router.deid.planning import plan
from router.deid.planning.clean import DUMMIES, DUMMY_CODE
from router.deid.profile import SCREENING, Profile
from router.deid.standard.options import MEANINGS
from router.imaging import secondary_capture
from router.imaging.analysis import density
from router.records.errors import Code, Hold
from tests.support import apply_plan, data
from tests.support.captures import KEY, PATIENT, UIDS, captured

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

STATION = "MOBILE-UNIT-7"
CHOSEN = Profile.of(SCREENING)
#: The texts that stand in every copy and capture, whoever the patient is.
WRITTEN = (
    *MEANINGS, *MEANINGS.values(), CHOSEN.method(), STATION, "MODIFIED", "OFFIS_DCMTK_369",
    *DUMMIES.values(), *DUMMY_CODE.values(), *secondary_capture.OWN_TEXTS, density.ANALYSIS.name,
)  # fmt: skip
#: They, and what they consist of: "113105" of "113100+113105".
CONSTANTS = sorted(
    {part for text in WRITTEN for part in (text, *re.split(r"[^A-Za-z0-9]+", text)) if part.strip()}
)
IDENTIFYING = (
    "PatientID", "AccessionNumber", "StudyID", "OtherPatientIDs", "AdmissionID",
    "RequestedProcedureID",
)  # fmt: skip


def plain(size: int = 16) -> FileDataset:
    return next(data.ct_series("own", PATIENT, slices=1, size=size))


def named(constant: str, keyword: str) -> FileDataset:
    """An image whose patient has a constant of ours as number or name."""
    image = plain()
    setattr(image, keyword, constant.replace("\\", " "))
    return apply_plan.read(data.file_bytes(image))


def copied(file: bytes) -> bytes:
    return apply_plan.apply(file, plan.make(apply_plan.read(file), KEY, STATION, CHOSEN))


def check(image: FileDataset) -> None:
    file = data.file_bytes(image)
    made = copied(file)
    original = apply_plan.read(file)
    gate.check_copy(
        original, memoryview(file), apply_plan.read(made), memoryview(made),
        gate.Expected.of(original, KEY, STATION, CHOSEN), gate.Traces.of(original, STATION),
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CONSTANTS), st.sampled_from((*IDENTIFYING, "PatientName")))
def test_a_copy_is_not_held_for_what_the_router_wrote_into_it(constant: str, keyword: str) -> None:
    check(named(constant, keyword))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CONSTANTS), st.sampled_from((*IDENTIFYING, "PatientName")))
def test_a_capture_is_not_held_for_what_the_router_wrote_into_it(
    constant: str, keyword: str
) -> None:
    original = named(constant, keyword)
    # Its header is that of another patient's, but for what the router says of every one.
    expected = gate.Expected.of(plain(), KEY, STATION, CHOSEN).for_capture(UIDS.series, UIDS.sop)
    gate.check_outgoing(
        apply_plan.read(CAPTURED), memoryview(CAPTURED), expected,
        gate.Traces.of(original, STATION), secondary_capture.OWN_ATTRIBUTES, HEADER,
        secondary_capture.OWN_TEXTS | {density.ANALYSIS.name},
    )  # fmt: skip


COPY = copied(data.file_bytes(plain(64)))
CAPTURED = captured(apply_plan.read(COPY))
HEADER = gate.header(apply_plan.read(COPY), memoryview(COPY))


@pytest.mark.parametrize("keyword", IDENTIFYING)
@pytest.mark.parametrize("where", ["ImageType", "BodyPartExamined", "SoftwareVersions"])
def test_the_same_number_is_found_wherever_the_router_did_not_write_it(
    keyword: str, where: str
) -> None:
    image = plain()
    setattr(image, keyword, "113105")
    setattr(image, where, ["ORIGINAL", "PRIMARY", "113105"] if where == "ImageType" else "X 113105")
    with pytest.raises(Hold) as raised:
        check(image)
    assert raised.value.code is Code.GATE_IDENTIFIER

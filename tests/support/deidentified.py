"""The copy that de-identification makes of an image with some options, or why it is held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import FileDataset

from router.deid import eligibility, gate, mask, policies, pseudonyms
from router.deid.planning import plan
from router.deid.profile import SCREENING, Profile
from router.records.errors import Code, Hold
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = pseudonyms.Key("test", bytes(range(32)))
STATION = "truck-1"
PATIENT = data.Patient.made("options")
CHOSEN = Profile.of(SCREENING)
DAYS = pseudonyms.shift_days(KEY, "", PATIENT.patient_id)


def image(**values: object) -> FileDataset:
    dataset = next(data.ct_series("options", PATIENT, slices=1, size=16))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def copy_of(
    dataset: FileDataset,
    chosen: Profile = CHOSEN,
    fault: Callable[[FileDataset], None] = lambda _: None,
    rules: tuple[policies.Policy, ...] = policies.SHIPPED,
) -> FileDataset | Code:
    """The copy that may leave, or why it is held; ``fault``: planted into the copy."""
    file = data.file_bytes(dataset)
    original = apply_plan.read(file)
    try:
        regions = eligibility.check(original, rules=rules, chosen=chosen)
        made = plan.make(apply_plan.read(file), KEY, STATION, chosen, masked=bool(regions))
        copied = apply_plan.read(apply_plan.apply(file, made))
        fault(copied)
        written = bytearray(apply_plan.to_bytes(copied))
        copy = apply_plan.read(bytes(written))
        if regions:
            first = len(written) - mask.layout(copy).size
            for offset, length in mask.runs(mask.layout(copy), regions):
                written[first + offset : first + offset + length] = bytes(length)
        copy = apply_plan.read(bytes(written))
        gate.check_copy(
            original, memoryview(file), copy, memoryview(bytes(written)),
            gate.Expected.of(original, KEY, STATION, chosen, regions),
            gate.Traces.of(original, STATION),
        )  # fmt: skip
    except Hold as hold:
        return hold.code
    return copy


def passed(dataset: FileDataset, chosen: Profile = CHOSEN) -> FileDataset:
    copy = copy_of(dataset, chosen)
    assert isinstance(copy, FileDataset), copy
    return copy

"""A CT image, and any image as the router reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

PATIENT = data.Patient.made("clearance")


def ct_image() -> FileDataset:
    return next(data.ct_series("clearance", PATIENT, slices=1, size=16))


def as_read(dataset: FileDataset) -> FileDataset:
    """As the router has it: read from a file, the pixels not yet looked at."""
    return apply_plan.read(data.file_bytes(dataset))

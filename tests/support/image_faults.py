"""Faults that a detector or a hand can put into an image, for tests and benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import ComputedRadiographyImageStorage

from tests.support import data

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    Fault = Callable[[FileDataset, np.random.Generator], None]

_KVP = {"CT": 120.0, "MG": 29.0, "CR": 60.0}


def clean(modality: str, seed: str) -> FileDataset:
    """A good image of a modality (CT, CR, MG), small, with an exposure that varies a little."""
    rng = np.random.default_rng([ord(char) for char in f"{modality}{seed}"])
    patient = data.Patient.made(seed)
    if modality == "CT":
        (dataset,) = data.ct_series(seed, patient, slices=1, size=256)
    elif modality == "CR":
        dataset = data.radiograph(seed, patient, 512, 420)
        assert dataset.SOPClassUID == ComputedRadiographyImageStorage
    else:
        views = list(data.mammogram_study(seed, patient, 512, 416))
        dataset = views[int(rng.integers(4))]
    dataset.KVP = round(_KVP[modality] * float(rng.normal(1, 0.008)), 1)
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20260311", f"{rng.integers(80000):06d}"
    return dataset


def pixels_of(dataset: FileDataset) -> NDArray[np.int64]:
    kind = "<i2" if dataset.PixelRepresentation == 1 else "<u2"
    values = np.frombuffer(dataset.PixelData, kind).reshape(dataset.Rows, dataset.Columns)
    return values.astype(np.int64)


def set_pixels(dataset: FileDataset, values: NDArray[np.integer] | NDArray[np.floating]) -> None:
    signed = dataset.PixelRepresentation == 1
    low = -(1 << (dataset.BitsStored - 1)) if signed else 0
    high = low + (1 << dataset.BitsStored) - 1
    kind = "<i2" if signed else "<u2"
    dataset.PixelData = np.clip(np.round(values), low, high).astype(kind).tobytes()


def _patient(dataset: FileDataset) -> NDArray[np.bool_]:
    """Where there is no padding."""
    values = pixels_of(dataset)
    padding = dataset.get("PixelPaddingValue")
    return np.ones(values.shape, dtype=np.bool_) if padding is None else values != int(padding)


def blank(dataset: FileDataset, rng: np.random.Generator) -> None:
    """Nothing but noise, as of an exposure that did not happen."""
    values, inside = pixels_of(dataset), _patient(dataset)
    noise = rng.normal(float(np.median(values[inside])), rng.uniform(2, 12), values.shape)
    set_pixels(dataset, np.where(inside, noise, values))


def saturated(dataset: FileDataset, rng: np.random.Generator) -> None:
    """So bright that 30 to 60 % of the pixels are at the end of the scale."""
    values, inside = pixels_of(dataset).astype(float), _patient(dataset)
    top = (1 << (dataset.BitsStored - dataset.PixelRepresentation)) - 1
    part = np.quantile(values[inside], 1 - rng.uniform(0.3, 0.6))
    low = float(values[inside].min())
    raised = low + (values - low) * (top - low) / max(float(part) - low, 1.0)
    set_pixels(dataset, np.where(inside, raised, values))


def low_contrast(dataset: FileDataset, rng: np.random.Generator) -> None:
    """Contrast of 5 to 12 % of what it was."""
    values, inside = pixels_of(dataset).astype(float), _patient(dataset)
    middle = float(values[inside].mean())
    flat = middle + (values - middle) * rng.uniform(0.05, 0.12)
    set_pixels(dataset, np.where(inside, flat, values))


def lost_rows(dataset: FileDataset, rng: np.random.Generator) -> None:
    """One to twelve rows of the detector read as nothing, in the midst of the image."""
    values = pixels_of(dataset)
    rows = values.shape[0]
    first = int(rng.integers(rows // 4, rows * 3 // 4))
    # What a reconstruction makes of it is no lost row: there the filler of the matrix is.
    nothing = int(values.min()) if dataset.PixelRepresentation == 1 else 0
    values[first : first + int(rng.integers(1, 13))] = nothing
    set_pixels(dataset, values)


def kvp_step(dataset: FileDataset, rng: np.random.Generator) -> None:
    """The tube's voltage is off by 15 to 30 %."""
    dataset.KVP = round(float(dataset.KVP) * (1 + rng.choice([-1, 1]) * rng.uniform(0.15, 0.3)), 1)


def wrong_padding(dataset: FileDataset, rng: np.random.Generator) -> None:
    """The header names a padding value that lies among the patient's."""
    values = pixels_of(dataset)[_patient(dataset)]
    usual = np.quantile(values, rng.uniform(0.3, 0.7))
    signed = dataset.PixelRepresentation == 1
    dataset.add_new((0x0028, 0x0120), "SS" if signed else "US", int(usual))


FAULTS: dict[str, Fault] = {
    "blank": blank,
    "saturated": saturated,
    "low_contrast": low_contrast,
    "lost_rows": lost_rows,
    "kvp_step": kvp_step,
    "wrong_padding": wrong_padding,
}

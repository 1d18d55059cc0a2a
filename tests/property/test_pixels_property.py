"""Whatever lies in Pixel Data: all of it goes on, or the image is held. Nothing is cut in silence."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jpeg_ls
import numpy as np
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from router.deid import eligibility
from router.dicom import lossless
from router.imaging.pixels import undeclared
from router.records.errors import Code, Hold
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

PATIENT = data.Patient.made("pixel property")
#: The encoder of these tests has no room for smaller ones.
LARGE = (12, 16)
#: Eight bits of CT count as a picture of a screen: not the question here.
SCREENS = eligibility.Release("of a test", frozenset({Code.BURNED_IN_TEXT}))


@dataclass(frozen=True)
class Image:
    """What a header says of pixels, and the bytes that are there."""

    rows: int
    columns: int
    frames: int | None
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    syntax: str
    values: bytes

    @property
    def declared(self) -> int:
        """Bytes, as a person counts them."""
        return self.rows * self.columns * (self.frames or 1) * self.allocated // 8

    @property
    def surplus(self) -> bytes:
        return self.values[self.declared :]

    def numbers(self) -> list[int]:
        size = self.allocated // 8
        whole = self.values[: len(self.values) // size * size]
        return [int.from_bytes(whole[i : i + size], "little") for i in range(0, len(whole), size)]

    def dataset(self) -> FileDataset:
        made = next(data.ct_series("pixel property", PATIENT, slices=1, size=16))
        del made.PixelPaddingValue
        made.file_meta.TransferSyntaxUID = UID(self.syntax)
        made.Rows, made.Columns = self.rows, self.columns
        made.BitsAllocated, made.BitsStored, made.HighBit = self.allocated, self.stored, self.high
        made.PixelRepresentation = int(self.signed)
        made.PhotometricInterpretation = self.photometric
        if self.frames is not None:
            made.NumberOfFrames = self.frames
        made.PixelData = self.values
        made["PixelData"].VR = "OW"
        return made


@st.composite
def images(draw: st.DrawFn, least: int = 1, most: int = 4) -> Image:
    """``least`` to ``most`` rows and columns."""
    rows, columns = draw(st.integers(least, most)), draw(st.integers(least, most))
    frames = draw(st.sampled_from([None, 1, 2, 3]))
    allocated = draw(st.sampled_from([8, 16]))
    stored = draw(st.integers(2, allocated))
    high = draw(st.sampled_from([stored - 1, stored - 1, allocated - 1]))
    signed = draw(st.booleans())
    count = rows * columns * (frames or 1)
    mask = ((1 << stored) - 1) << (high + 1 - stored)
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    values = [int(value) for value in rng.integers(0, 1 << allocated, count)]
    spare = draw(st.sampled_from(["zeros", "ones", "anything", "sign"]))
    whole = (1 << allocated) - 1
    if spare == "zeros":
        values = [value & mask for value in values]
    elif spare == "ones":
        values = [value & mask | (whole & ~mask) for value in values]
    elif spare == "sign":
        above = whole & ~((1 << (high + 1)) - 1)
        values = [value & mask | (above if value >> high & 1 else 0) for value in values]
    pixels = b"".join(value.to_bytes(allocated // 8, "little") for value in values)
    page = len(pixels) // (frames or 1)
    surplus = draw(
        st.one_of(
            st.just(b""), st.just(b"\0"), st.just(b"\xa0"), st.binary(max_size=9),
            st.builds(bytes, st.integers(0, 64)), st.just(bytes(rng.integers(0, 256, page, np.uint8))),
        )
    )  # fmt: skip
    cut = draw(st.sampled_from([0, 0, 0, 0, 1, 2]))
    present = (pixels + surplus)[: len(pixels) - cut] if cut else pixels + surplus
    present += b"\0" * (len(present) % 2)
    return Image(
        rows, columns, frames, allocated, stored, high, signed,
        draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
        draw(st.sampled_from([str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)])), present,
    )  # fmt: skip


def held(image: Image) -> Code | None:
    file = data.file_bytes(image.dataset())
    try:
        dataset = apply_plan.read(file)
        eligibility.check(dataset, SCREENS)
        undeclared.check(dataset, memoryview(file))
    except Hold as hold:
        return hold.code
    return None


def tells_nothing(image: Image) -> bool:
    """Whether what is beside the picture is the same everywhere, or the sign of each value."""
    surplus = image.surplus
    numbers = image.numbers()[: image.declared * 8 // image.allocated]
    low = image.high + 1 - image.stored
    beside = {(n >> (image.high + 1), n & ((1 << low) - 1)) for n in image.numbers()}
    above = (1 << (image.allocated - image.high - 1)) - 1
    signs = all(
        n >> (image.high + 1) == (above if n >> image.high & 1 else 0) and n & ((1 << low) - 1) == 0
        for n in image.numbers()
    )
    assert len(numbers) <= len(image.numbers())
    return (len(surplus) <= 1 or len(set(surplus)) == 1) and (len(beside) == 1 or signs)


@settings(max_examples=120)
@given(images())
def test_what_no_header_declares_is_held_unless_it_tells_nothing(image: Image) -> None:
    code = held(image)
    event(str(code))
    if len(image.values) < image.declared:
        assert code is Code.UNREADABLE
    elif tells_nothing(image):
        assert code is None
    else:
        assert code is Code.PIXELS_UNDECLARED


def compressed(image: Image, *, frames: int | None = None) -> FileDataset:
    """As an encoder does it that trusts the header: only the stored bits, only what is declared."""
    size, per = image.allocated // 8, image.rows * image.columns
    numbers = image.numbers()
    shift, mask = image.high + 1 - image.stored, (1 << image.stored) - 1
    streams = []
    for frame in range(image.frames or 1):
        page = numbers[frame * per : (frame + 1) * per]
        kept = b"".join(((n >> shift) & mask).to_bytes(size, "little") for n in page)
        bits = image.stored if image.stored > 8 or size == 1 else 9
        stream = _jpeg_ls(kept, image, bits)
        streams.append(stream + b"\0" * (len(stream) % 2))
    made = image.dataset()
    made.file_meta.TransferSyntaxUID = JPEGLSLossless
    made.PixelData = encapsulate(streams[:frames])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return made


def _jpeg_ls(kept: bytes, image: Image, bits: int) -> bytes:
    """The codestream of a page; noise that it would not make smaller is not compressed at all."""
    try:
        return bytes(jpeg_ls.encode_buffer(kept, image.rows, image.columns, 1, bits))
    except RuntimeError as error:
        assert "buffer is too small" in str(error)  # noqa: PT017  (else it is a fault)
        assume(False)
        raise


def decoded(dataset: FileDataset) -> bytes:
    """All that a reader gets of a compressed copy."""
    count = int(dataset.get("NumberOfFrames") or 1)
    frames = generate_frames(dataset.PixelData, number_of_frames=count)
    return b"".join(bytes(jpeg_ls.decode_pixel_data(frame)[0]) for frame in frames)


def same(original: FileDataset, copy: FileDataset) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "original"), Path(folder, "copy")
        for path, dataset in zip(paths, (original, copy), strict=True):
            path.write_bytes(data.file_bytes(dataset))
        return lossless.same_pixels(*paths)


@settings(max_examples=80, deadline=None)
@given(images(*LARGE))
def test_a_compressed_copy_passes_only_where_it_holds_every_byte(image: Image) -> None:
    assume(len(image.values) >= image.declared)
    copy = compressed(image)
    there = decoded(copy)
    pad = b"\0" * (len(there) % 2)
    whole = image.values in {there, there + pad}
    event(f"whole: {whole}")
    assert same(image.dataset(), copy) == whole
    file = data.file_bytes(image.dataset())
    if lossless.compressible(apply_plan.read(file)):
        assert len(image.values) - image.declared in {0, image.declared % 2}


@settings(max_examples=20, deadline=None)
@given(images(*LARGE))
def test_a_copy_without_one_of_the_pages_is_another_image(image: Image) -> None:
    assume(len(image.values) >= image.declared and (image.frames or 1) > 1)
    assert not same(image.dataset(), compressed(image, frames=(image.frames or 1) - 1))

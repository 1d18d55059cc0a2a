"""How stored values are read and shown: modality LUT, windows, bits, frames, shutters."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from router.imaging import pixels, secondary_capture
from router.imaging.analysis import breast, density, field, radiograph
from router.imaging.frame import UNLABELLED, Circle, Frame, Polygon, Rectangle, Scale, Table, Window
from router.imaging.pixels.decoding import Decoder
from router.records.errors import AnalysisSkipped, Code
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

PATIENT = data.Patient.made("values")
#: Public files beside the repository; not needed, and skipped where they are not.
SHARED = Path(__file__).parents[4] / "shared" / "data"


def ct_image(size: int = 32) -> FileDataset:
    return next(data.ct_series("values", PATIENT, slices=1, size=size))


def frame_of(dataset: FileDataset) -> Frame:
    file = data.file_bytes(dataset)
    return pixels.to_frame(apply_plan.read(file), io.BytesIO(file))


def table(first: int, outputs: list[int], bits: int = 16) -> Dataset:
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(outputs), first, bits])
    item.add_new(0x00283006, "US", outputs)
    return item


def levels(*inputs: float, of: Window | Table) -> list[float]:
    return [round(float(value), 3) for value in of.of(np.array(inputs, dtype=np.float64))]


# --- windows (PS3.3 C.11.2.1.2) -------------------------------------------------------------------


def test_a_linear_window_is_that_of_the_standard() -> None:
    # The standard's own example: centre 2048, width 4096 over 12 bits.
    assert levels(0, 4095, of=Window(2048, 4096)) == [0.0, 1.0]
    assert levels(-5, 2047.5, 9999, of=Window(2048, 4096)) == [0.0, 0.5, 1.0]
    assert levels(99, 100, of=Window(100, 1)) == [0.0, 1.0]


def test_an_exact_window_uses_its_whole_width() -> None:
    window = Window(50, 100, "LINEAR_EXACT")
    assert levels(0, 25, 50, 100, 200, of=window) == [0.0, 0.25, 0.5, 1.0, 1.0]


def test_a_sigmoid_window_never_ends() -> None:
    window = Window(50, 100, "SIGMOID")
    assert levels(-1e9, 50, 1e9, of=window) == [0.0, 0.5, 1.0]
    assert levels(75, of=window) == [round(float(1 / (1 + np.exp(-1))), 3)]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", "ODD", ""])
def test_the_function_of_the_file_is_used(function: str) -> None:
    dataset = ct_image()
    dataset.VOILUTFunction = function
    expected = function if function in {"LINEAR_EXACT", "SIGMOID"} else "LINEAR"
    assert frame_of(dataset).voi == Window(40.0, 400.0, expected)


def test_a_voi_table_is_preferred_to_a_window_and_maps_modality_values() -> None:
    dataset = ct_image()
    dataset.VOILUTSequence = Sequence([table(-1024, [0, 0, 50, 100])])
    voi = frame_of(dataset).voi
    assert isinstance(voi, Table)
    assert levels(-9999, -1023, -1022, 5, of=voi) == [0.0, 0.0, 0.5, 1.0]


@pytest.mark.parametrize("outputs", [[], [7, 7, 7]])
def test_a_table_that_shows_nothing_is_none(outputs: list[int]) -> None:
    dataset = ct_image()
    item = table(0, outputs)
    if not outputs:
        item.LUTDescriptor = [4, 0, 16]
        item.LUTData = [1]
    dataset.VOILUTSequence = Sequence([item])
    assert frame_of(dataset).voi == Window(40.0, 400.0)


# --- modality LUT: cuts are moved, pixels are not -------------------------------------------------


def test_a_modality_lut_maps_the_cuts_and_never_the_pixels() -> None:
    stored = np.repeat(np.array([[0, 1, 2, 3, 4, 5]], dtype=np.uint16), 4, axis=0)
    # Values 0 and 1 are far apart, the others close together.
    scale = Scale(table=Table(0, np.array([0.0, 900, 1000, 1001, 2000, 2001])))
    finding = density.analyse(Frame(stored, "MR", scale))
    assert finding.labels[0].tolist() == [0, 1, 1, 1, 2, 2]
    assert [c.centre for c in finding.classes] == [0, pytest.approx(967), 2000.5]


def test_a_lut_that_rises_and_falls_gives_one_class_two_ranges() -> None:
    stored = np.arange(20, dtype=np.uint16).reshape(4, 5)
    outputs = np.array([0.0, 50, 100] + [0.0, 50, 100] * 5 + [0.0, 50])
    finding = density.analyse(Frame(stored, "MR", Scale(table=Table(0, outputs))))
    assert finding.labels.reshape(-1).tolist() == [0, 1, 2] * 6 + [0, 1]


def test_the_lut_of_the_file_is_read_with_a_signed_first_value() -> None:
    dataset = ct_image()
    del dataset.RescaleSlope
    del dataset.RescaleIntercept
    dataset.ModalityLUTSequence = Sequence([table(-2, [10, 20, 30])])
    frame = frame_of(dataset)
    assert [frame.modality_value(v) for v in (-5, -2, -1, 0, 9)] == [10, 10, 20, 30, 30]


# --- bits -----------------------------------------------------------------------------------------


def test_bits_that_are_not_stored_do_not_count() -> None:
    dataset = data.radiograph("values", PATIENT, rows=32, columns=26)
    clean = np.frombuffer(dataset.PixelData, "<u2")
    dataset.PixelData = (clean | 0xA000).astype("<u2").tobytes()  # an overlay, of old
    assert np.array_equal(frame_of(dataset).pixels.reshape(-1), clean)


def test_signed_values_without_their_sign_get_it_back() -> None:
    dataset = ct_image()
    dataset.BitsStored, dataset.HighBit = 12, 11
    values = np.arange(-512, 512, dtype=np.int16)
    dataset.PixelData = (values & 0x0FFF).astype("<i2").tobytes()
    assert np.array_equal(frame_of(dataset).pixels.reshape(-1), values)


@pytest.mark.parametrize("signed", [False, True])
def test_eight_bits_are_read(signed: bool) -> None:  # noqa: FBT001
    dataset = ct_image()
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, int(signed)
    del dataset.PixelPaddingValue
    values = np.arange(1024).astype(np.int8 if signed else np.uint8)
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OB"
    frame = frame_of(dataset)
    assert np.array_equal(frame.pixels.reshape(-1), values)
    assert frame.limits == ((-128, 127) if signed else (0, 255))
    assert density.analyse(frame).labels.shape == (32, 32)


def test_thirty_two_bits_are_rounded_to_sixteen_and_keep_their_modality_values() -> None:
    dataset = ct_image()
    dataset.Modality = "MR"
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.HighBit = 31
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "5"
    del dataset.PixelPaddingValue
    values = np.linspace(-(10**9), 10**9, 1024).round().astype(np.int32)
    dataset.PixelData = values.tobytes()
    frame = frame_of(dataset)
    assert frame.pixels.dtype == np.uint16
    shown = np.array([frame.modality_value(v) for v in frame.pixels.reshape(-1).tolist()])
    step = 2 * 2**15
    assert np.abs(shown - (values * 2.0 + 5)).max() <= step
    assert len(density.analyse(frame).classes) == 3


def test_other_bits_are_left_out() -> None:
    dataset = ct_image()
    dataset.BitsAllocated = 64
    with pytest.raises(AnalysisSkipped) as raised:
        frame_of(dataset)
    assert raised.value.code is Code.BIT_DEPTH_NOT_ANALYSED


# --- transfer syntaxes ----------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_pixels_are_those_that_were_compressed(syntax: pydicom.uid.UID) -> None:
    dataset = ct_image()
    expected = dataset.pixel_array.copy()
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(frame_of(dataset).pixels, expected)


def test_a_deflated_data_set_is_read() -> None:
    dataset = ct_image()
    expected = dataset.pixel_array.copy()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert np.array_equal(frame_of(dataset).pixels, expected)


@pytest.mark.skipif(not (SHARED / "HTJ2K_08_RGB.dcm").exists(), reason="not there")
def test_high_throughput_jpeg_2000_is_decoded() -> None:
    dataset = pydicom.dcmread(SHARED / "HTJ2K_08_RGB.dcm")
    assert dataset.file_meta.TransferSyntaxUID == HTJ2K
    with pytest.raises(AnalysisSkipped) as raised:  # decoded, and found to be in colour
        Decoder(dataset, None).plane(0)
    assert raised.value.code is Code.NOT_GREYSCALE


# --- several frames -------------------------------------------------------------------------------


def test_a_tomosynthesis_is_cut_over_all_its_planes() -> None:
    dataset = data.tomosynthesis("values", PATIENT, planes=5, rows=96, columns=78)
    frame = frame_of(dataset)
    assert frame.pool is not None
    planes = [plane.copy() for plane in frame.pool()]
    assert len(planes) == 5
    assert np.array_equal(planes[2], frame.pixels)
    finding = density.analyse(frame)
    flat = np.concatenate(planes, axis=0)
    alone = density.analyse(Frame(flat, "MG", view="CC"))
    assert [c.centre for c in finding.classes] == pytest.approx(
        [c.centre for c in alone.classes], rel=0.02
    )
    assert finding.labels.shape == frame.pixels.shape
    assert any("all planes" in note for note in finding.notes)


def test_functional_groups_of_the_shown_frame_go_before_the_shared_ones() -> None:
    dataset = ct_image()
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3
    frames = []
    for number in range(3):
        values, window, groups = Dataset(), Dataset(), Dataset()
        values.RescaleSlope, values.RescaleIntercept = str(number + 1), "0"
        window.WindowCenter, window.WindowWidth = str(number * 10), "50"
        groups.PixelValueTransformationSequence = Sequence([values])
        groups.FrameVOILUTSequence = Sequence([window])
        frames.append(groups)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    frame = frame_of(dataset)
    assert (frame.scale, frame.voi) == (Scale(2.0, 0.0), Window(10.0, 50.0))


# --- what is open ---------------------------------------------------------------------------------


def shuttered(dataset: FileDataset) -> Frame:
    return frame_of(dataset)


def test_a_rectangular_shutter_leaves_out_its_edges() -> None:
    dataset = data.radiograph("values", PATIENT, rows=100, columns=80)
    dataset.ShutterShape = "RECTANGULAR"
    dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge = 10, 91
    dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = 5, 76
    frame = frame_of(dataset)
    assert frame.shutters == (Rectangle(10, 89, 5, 74),)
    labels = density.analyse(frame).labels
    assert (labels[:10] == UNLABELLED).all()
    assert (labels[:, 75:] == UNLABELLED).all()
    assert (labels[10:90, 5:75] != UNLABELLED).all()


def test_circles_and_polygons_leave_out_what_lies_outside() -> None:
    dataset = data.radiograph("values", PATIENT, rows=100, columns=100)
    dataset.ShutterShape = ["CIRCULAR", "POLYGONAL"]
    dataset.CenterOfCircularShutter, dataset.RadiusOfCircularShutter = [51, 51], 40
    dataset.VerticesOfThePolygonalShutter = [1, 1, 100, 1, 100, 60, 1, 60]
    frame = frame_of(dataset)
    assert frame.shutters == (
        Circle(50, 50, 40), Polygon(((0, 0), (99, 0), (99, 59), (0, 59))),
    )  # fmt: skip
    labels = density.analyse(frame).labels
    assert labels[5, 50] == labels[50, 80] == UNLABELLED
    assert labels[50, 30] != UNLABELLED


def test_a_shutter_that_leaves_next_to_nothing_is_not_believed() -> None:
    frame = Frame(np.zeros((100, 100), np.uint16), "CR", shutters=(Rectangle(10, 12, -5, 9),))
    assert field.of_shutters(frame).open == Rectangle(0, 99, 0, 99)


def collimated() -> NDArray[np.uint16]:
    """A MONOCHROME1 limb between two borders that the collimator kept dark, so bright on film."""
    values = np.random.default_rng(1).normal(3000, 60, (256, 256))
    values[:, 90:170] = np.random.default_rng(2).normal(1500, 200, (256, 80))
    values[:, 115:140] = np.random.default_rng(3).normal(700, 60, (256, 25))
    values[:, :40] = values[:, 220:] = 40
    return values.round().astype(np.uint16)


def test_collimated_borders_are_in_no_class() -> None:
    finding = density.analyse(Frame(collimated(), "CR", inverted=True))
    assert (finding.labels[:, :38] == UNLABELLED).all()
    assert (finding.labels[:, 222:] == UNLABELLED).all()
    assert [c.name for c in finding.classes] == ["background", "soft tissue", "bone-dense"]
    assert [round(c.centre, -2) for c in finding.classes] == [3000, 1500, 700]


def test_a_border_of_direct_exposure_stays() -> None:
    values = collimated()
    values[:, :40] = values[:, 220:] = 3000 + np.arange(256)[:, np.newaxis] % 97
    finding = density.analyse(Frame(values, "CR", inverted=True))
    assert (finding.labels != UNLABELLED).all()


def test_bone_is_bright_whichever_way_the_values_run() -> None:
    values = collimated()[:, 45:215]
    one = density.analyse(Frame(values, "DX", inverted=True))
    other = density.analyse(Frame(np.uint16(4095) - values, "DX"))
    assert np.array_equal(one.labels, other.labels)
    falling = Table(0, np.linspace(1, 0, 4096))
    assert radiograph.falling(Frame(values, "DX", voi=falling))
    assert np.array_equal(density.analyse(Frame(values, "DX", voi=falling)).labels, one.labels)


def test_the_outside_of_a_round_field_of_view_is_in_no_class() -> None:
    hounsfield = data.ct_slice("values", 3, 128)
    hounsfield[hounsfield == -2000] = -1000
    finding = density.analyse(Frame(hounsfield, "CT"))
    assert finding.labels[0, 0] == finding.labels[-1, -1] == UNLABELLED
    assert [c.name for c in finding.classes] == ["air", "soft tissue", "bone"]


@pytest.mark.parametrize(("highest", "name"), [((90, 400), "unlabelled"), ((131, 400), "bone")])
def test_bone_is_called_so_only_where_every_value_of_it_is(
    highest: tuple[int, int], name: str
) -> None:
    values = np.array([[-900, -890, 0, 10, *highest, 420, 420]], dtype=np.int16)
    finding = density.analyse(Frame(values, "CT"))
    lowest = values[finding.labels == 2].min()
    assert finding.classes[2].name == ("bone" if lowest >= 130 else "unlabelled")
    assert name in {"bone", "unlabelled"}


# --- the breast -----------------------------------------------------------------------------------


def breast_frame(view: str = "CC", *, inverted: bool = False) -> Frame:
    values = data.mammogram_pixels("values", "RCC", 512, 416)
    stored = np.uint16(4095) - values if inverted else values
    return Frame(stored, "MG", inverted=inverted, view=view, limits=(0, 4095))


def test_the_breast_is_parted_from_the_background_before_anything_else() -> None:
    finding = density.analyse(breast_frame())
    assert [c.name for c in finding.classes] == ["background", "fatty", "dense"]
    assert finding.classes[1].fraction + finding.classes[2].fraction == pytest.approx(1)
    assert finding.labels[5, 400] == 0  # air
    assert finding.labels[256, 10] > 0  # breast
    assert breast.UNVALIDATED in finding.notes
    assert [c.tinted for c in finding.classes] == [False, True, True]


def test_an_inverted_mammogram_is_cut_alike() -> None:
    one, other = density.analyse(breast_frame()), density.analyse(breast_frame(inverted=True))
    assert np.array_equal(one.labels, other.labels)


def test_a_marker_beside_the_breast_is_not_of_it() -> None:
    frame = breast_frame()
    frame.pixels[20:40, 380:400] = 4000
    finding = density.analyse(frame)
    assert (finding.labels[20:40, 380:400] == UNLABELLED).all()
    plain = density.analyse(breast_frame())
    assert finding.classes[2].centre == pytest.approx(plain.classes[2].centre)


@pytest.mark.parametrize(("view", "note"), [("MLO", "pectoral"), ("", "Not known"), ("CC", "")])
def test_what_is_no_cc_view_is_flagged(view: str, note: str) -> None:
    notes = density.analyse(breast_frame(view)).notes
    assert (len(notes) == 1) if not note else any(note in line for line in notes)


@pytest.mark.parametrize("k", [2, 4, 6])
@pytest.mark.parametrize("modality", ["CT", "CR", "MG", "MR"])
def test_any_number_of_classes_can_be_asked_for(modality: str, k: int) -> None:
    pixels_of = {"MG": breast_frame().pixels, "CT": data.ct_slice("values", 1, 128)}
    stored = pixels_of.get(modality, collimated())
    finding = density.analyse(Frame(stored, modality), k)
    expected = max(3, k) if modality == "MG" else k
    assert len(finding.classes) == expected
    assert set(np.unique(finding.labels).tolist()) <= {*range(expected), UNLABELLED}
    assert secondary_capture.picture(Frame(stored, modality), finding).ndim == 3

"""``edge-router import`` sends files as a scanner does: each for itself, and none held in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from router.operator import import_files
from router.operator.import_files import Door, Sent
from router.records.errors import Code, OperatorError
from tests.support import data
from tests.support.fake_dimse import CALLED, CALLING, Answer, FakeScp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import FileDataset

MIB = 1 << 20
#: The command, and then the most memory that its process ever had, in KiB.
PROGRAM = """
import re, sys
from pathlib import Path
from router.__main__ import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


@pytest.fixture
def truck() -> Iterator[FakeScp]:
    with FakeScp.of_any_class().serving() as scp:
        yield scp


def images(number: int, size: int = 16) -> list[FileDataset]:
    return list(data.ct_series("import", data.Patient.made("import"), number, size))


def written(folder: Path, made: list[FileDataset]) -> list[tuple[str, Path]]:
    files = []
    for number, image in enumerate(made):
        path = folder / f"{number}.dcm"
        path.write_bytes(data.file_bytes(image))
        files.append((path.name, path))
    return files


def sent(files: list[tuple[str, Path]], truck: FakeScp) -> list[Sent]:
    done: list[int] = []
    door = Door("127.0.0.1", truck.port, CALLED, CALLING)
    results = import_files.send(files, door, lambda: done.append(1))
    assert len(done) == len(files)
    return results


def test_the_bytes_of_each_file_arrive_as_they_are(tmp_path: Path, truck: FakeScp) -> None:
    made = images(3)
    files = written(tmp_path, made)
    assert [result.fault for result in sent(files, truck)] == [None] * 3
    assert truck.associations == 1
    for image, (_, path) in zip(made, files, strict=True):
        assert path.read_bytes().endswith(truck.kept[str(image.SOPInstanceUID)].data_set)


def test_a_file_that_is_refused_stops_no_other(tmp_path: Path, truck: FakeScp) -> None:
    truck.answers = [Answer(), Answer(status=0xA700), Answer()]
    results = sent(written(tmp_path, images(3)), truck)
    assert [result.fault for result in results] == [None, "the truck answered 0xA700", None]


def test_an_association_that_breaks_off_stops_no_other(tmp_path: Path, truck: FakeScp) -> None:
    truck.answers = [Answer(cut=True), Answer(abort=True), Answer()]
    results = sent(written(tmp_path, images(3)), truck)
    assert [result.fault for result in results] == 2 * ["the truck did not answer"] + [None]
    assert truck.associations == 3


def test_a_syntax_that_the_truck_does_not_take_is_told(tmp_path: Path, truck: FakeScp) -> None:
    odd, plain = images(2)
    odd.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    results = sent(written(tmp_path, [odd, plain]), truck)
    assert "it does not take Implicit VR" in str(results[0].fault)
    assert results[1].fault is None


def test_what_is_no_dicom_file_is_told(tmp_path: Path, truck: FakeScp) -> None:
    files = written(tmp_path, images(1))
    note = tmp_path / "note.txt"
    note.write_text("no image")
    results = sent([("note.txt", note), *files], truck)
    assert {result.name for result in results if result.fault is None} == {"0.dcm"}


def test_a_truck_that_is_not_there_is_told(tmp_path: Path) -> None:
    with FakeScp.of_any_class().serving() as truck:
        pass
    with pytest.raises(OperatorError) as raised:
        sent(written(tmp_path, images(1)), truck)
    assert raised.value.code is Code.TRUCK_UNREACHABLE


def _peak_kib(folder: Path, truck: FakeScp) -> int:
    done = subprocess.run(
        [
            sys.executable, "-c", PROGRAM, "import", str(folder), "--json", "--host", "127.0.0.1",
            "--port", str(truck.port), "--called", CALLED, "--calling", CALLING,
        ],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    shown, _, peak = done.stdout.strip().rpartition("\n")
    assert json.loads(shown)["stored"] == 1, done.stdout + done.stderr
    return int(peak)


def test_a_large_file_does_not_lie_in_memory(tmp_path: Path, truck: FakeScp) -> None:
    peaks = []
    for name, size in (("small", 16), ("large", 6144)):
        folder = tmp_path / name
        folder.mkdir()
        written(folder, images(1, size))
        peaks.append(_peak_kib(folder, truck))
    assert (tmp_path / "large" / "0.dcm").stat().st_size > 64 * MIB
    assert peaks[1] - peaks[0] < 24 * 1024

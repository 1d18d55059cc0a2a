"""Mammograms to archives that others wrote: each image arrives once, as it was."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from router.destinations.dimse import Dimse, DimseSettings
from router.dicom import part10
from router.pipeline.deliver import Limits
from router.records.errors import Code
from router.records.study import State
from tests.support import data, programs
from tests.support.archive import ARCHIVE_AET
from tests.support.delivery_rig import DeliveryRig
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pydicom import FileDataset

    from router.records.copies import Copy
    from tests.support.archive import Archive
    from tests.support.programs import Program

#: Where they can be installed they are: then their absence is no reason to leave a test out.
_INSTALLABLE = os.geteuid() == 0 and shutil.which("apt-get") is not None
needs_dcmtk = pytest.mark.skipif(
    shutil.which("dcmqrscp") is None and not _INSTALLABLE,
    reason="install dcmtk (dcmqrscp, storescp): scripts/test does where it may",
)
#: Larger than what a peer's buffers hold, so that associations overlap.
_ROWS, _COLUMNS = 1024, 832


@pytest.fixture(scope="module")
def mammograms() -> list[FileDataset]:
    """Four views in JPEG-LS, as the truck keeps them."""
    *images, _ = data.mammogram_study("archives", data.Patient.made("archives"), _ROWS, _COLUMNS)
    for image in images:
        image.compress(JPEGLSLossless, generate_instance_uid=False)
    return images


@contextmanager
def _bench(folder: Path, port: int, **more: Any) -> Iterator[DeliveryRig]:
    settings = DimseSettings.model_validate({
        "kind": "dimse", "name": "archive", "host": "127.0.0.1", "port": port,
        "called_aet": programs.CALLED, "tls": False, "answer_timeout_s": 20, **more,
    })  # fmt: skip
    destination = Dimse(settings)
    limits = Limits(most_connections=settings.most_connections)
    bench = DeliveryRig(folder, limits=limits, destination=destination)
    yield bench
    bench.delivery.close()
    destination.close()
    bench.journal.close()


def _sent(bench: DeliveryRig, name: str) -> bool:
    return all(receipt.sent_at is not None for receipt in bench.journal.outbox.of_study(name))


def _deliver(bench: DeliveryRig, done: Callable[[], bool]) -> None:
    """Until it is done; each time around a quarter of an hour goes by, for what waits so long."""

    def is_done() -> bool:
        _work(bench)
        return done()

    until(is_done, 120, what="the delivery of all of them")


def _work(bench: DeliveryRig) -> None:
    bench.delivery.breaker.reset()  # its probes run on the real clock
    bench.delivery.work_once()
    bench.now += 900.0


def _check(program: Program, images: list[FileDataset], copies: list[Copy]) -> None:
    """Each image is there, once, with its pixels."""
    kept = {str(dataset.SOPInstanceUID): dataset for dataset in program.kept()}
    assert kept.keys() == {copy.sop_uid for copy in copies}
    assert len(program.kept()) == len(copies)
    for image in images:
        there = kept[str(image.SOPInstanceUID)]
        assert np.array_equal(there.pixel_array, image.pixel_array)


def _bodies(bench: DeliveryRig) -> Counter[str]:
    """What the destination answered, and how often."""
    answers: Counter[str] = Counter()
    for metric in bench.metrics.collect():
        for sample in metric.samples:
            if sample.name == "edge_router_delivery_attempts_total":
                answers[sample.labels["result"]] += int(sample.value)
    return answers


@needs_dcmtk
def test_dcmtks_archive_gets_every_image_uncompressed(
    tmp_path: Path, mammograms: list[FileDataset]
) -> None:
    for program in programs.dcmqrscp(tmp_path):
        with _bench(tmp_path, program.port) as bench:
            copies = bench.images("mg", mammograms)
            _deliver(bench, lambda: bench.state("mg") is State.DELIVERED)
            _check(program, mammograms, copies)
            assert _bodies(bench)["STORED"] == len(copies)
        assert {d.file_meta.TransferSyntaxUID for d in program.kept()} == {ExplicitVRLittleEndian}


@needs_dcmtk
@pytest.mark.parametrize("most", [1, 4])
@pytest.mark.parametrize("options", [(), ("--fork",)], ids=["one association", "fork"])
def test_a_receiver_without_queries_gets_every_image_once_and_nothing_is_held(
    tmp_path: Path, mammograms: list[FileDataset], options: tuple[str, ...], most: int
) -> None:
    for program in programs.storescp(tmp_path, *options):
        with _bench(tmp_path, program.port, most_connections=most) as bench:
            copies = bench.images("mg", mammograms)
            _deliver(bench, lambda: _sent(bench, "mg"))
            for _ in range(4):
                _work(bench)
            assert bench.journal.holds.all() == []
            assert _bodies(bench)["STORED"] == len(copies)
            # What nobody can be asked about is not believed.
            assert bench.state("mg") is State.ANALYSED
            assert bench.delivery.breaker.code is Code.ENDPOINT_WRONG
        _check(program, mammograms, copies)


@pytest.mark.parametrize("most", [1, 4])
def test_pynetdicoms_archive_gets_every_image_as_it_is(
    tmp_path: Path, mammograms: list[FileDataset], most: int
) -> None:
    for program in programs.qrscp(tmp_path):
        with _bench(tmp_path, program.port, most_connections=most) as bench:
            copies = bench.images("mg", mammograms)
            _deliver(bench, lambda: bench.state("mg") is State.DELIVERED)
            assert _bodies(bench)["STORED"] == len(copies)
        _check(program, mammograms, copies)
        assert {d.file_meta.TransferSyntaxUID for d in program.kept()} == {JPEGLSLossless}


@pytest.mark.parametrize("most", [1, 4])
def test_orthanc_as_an_archive_gets_every_image_as_it_is(
    tmp_path: Path, archive: Archive, mammograms: list[FileDataset], most: int
) -> None:
    """By DICOM TLS, and with as many associations as are allowed."""
    with _bench(
        tmp_path, archive.orthanc.dicom_port, most_connections=most, host="localhost", tls=True,
        called_aet=ARCHIVE_AET, ca_file=archive.authority.file,
        client_certificate_file=archive.client.file, client_key_file=archive.client.key,
    ) as bench:  # fmt: skip
        copies = bench.images("mg", mammograms)
        _deliver(bench, lambda: bench.state("mg") is State.DELIVERED)
        assert _bodies(bench)["STORED"] == len(copies)
    kept = {part10.digest(memoryview(archive.orthanc.file(i))) for i in archive.orthanc.instances()}
    assert kept == {copy.digest for copy in copies}

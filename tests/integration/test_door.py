"""The scanner's door before the real Orthanc: who passes, who does not, and what that costs others."""

from __future__ import annotations

import json
import socket
import ssl
import statistics
import struct
import subprocess
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]

from door.settings import Limits, Tls
from tests.support import data, scanner
from tests.support.certificates import Authority, Certificate
from tests.support.door import Nuisance, Running, answer, exactly, opened, request
from tests.support.orthancs import IMAGES
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import FileDataset

    from tests.support.orthancs import Orthanc

REJECTED = 3
ACCEPTED = 2
#: As the shipped ones, but for times that a test can wait for.
QUICK = Limits(request_s=1.0, idle_s=3.0, progress_s=1.0, yields_s=0.2, most=6, most_each=4)


@pytest.fixture
def door(truck: Orthanc, tmp_path: Path) -> Iterator[Running]:
    with opened(tmp_path, truck.dicom_port) as running:
        yield running


@pytest.fixture
def quick(truck: Orthanc, tmp_path: Path) -> Iterator[Running]:
    with opened(tmp_path, truck.dicom_port, QUICK) as running:
        yield running


def images(number: int, seed: str = "door", size: int = 128) -> list[FileDataset]:
    return list(data.ct_series(seed, data.Patient.made(seed), slices=number, size=size))


def dcmtk(port: int, program: str, *options: str, file: Path | None = None) -> None:
    """Runs a program of DCMTK's against a port of this machine.

    ``storescu`` sends the file; others have its folder at /files.
    """
    mounted = [] if file is None else ["-v", f"{file.parent}:/files:ro"]
    sent = [f"/files/{file.name}"] if file is not None and program == "storescu" else []
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "host", *mounted, f"{IMAGES}/tools",
         f"/usr/bin/{program}", *options, "-aet", "SCANNER", "-aec", "EDGETRUCK",
         "127.0.0.1", str(port), *sent],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_storage_commitment_is_refused_and_not_aborted(door: Running) -> None:
    """Orthanc accepts the context from everybody, and aborts whoever uses it."""
    entity = AE(ae_title="SCANNER")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    (image,) = images(1, "committed")
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.add_requested_context(image.SOPClassUID, image.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", door.port, ae_title="EDGETRUCK")
    assert association.is_established
    refused = {c.abstract_syntax: c.result for c in association.rejected_contexts}
    assert refused == {StorageCommitmentPushModel: 3}
    assert association.send_c_store(image).Status == 0x0000
    association.release()
    assert association.is_released


def test_images_come_through_as_they_are(door: Running, truck: Orthanc, tmp_path: Path) -> None:
    sent = images(3)
    assert scanner.store(sent, door.port) == [scanner.SUCCESS] * 3
    # The same as without a door.
    through = {truck.file(instance) for instance in truck.instances()}
    truck.wipe()
    scanner.store(sent, truck.dicom_port)
    assert {truck.file(instance) for instance in truck.instances()} == through

    file = tmp_path / "image.dcm"
    sent[0].save_as(file, enforce_file_format=True)
    file.chmod(0o444)
    dcmtk(door.port, "echoscu", "--repeat", "3")
    dcmtk(door.port, "storescu", "--repeat", "3", file=file)
    dcmtk(door.port, "storescu", "--max-pdu", "131072", file=file)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (request(calling=b"NEWSCANNER"), (1, 1, 3)),
        (request(calling=b"ELSEWHERE"), (1, 1, 3)),
        (request(calling=b"READER"), (1, 1, 3)),
        (request(calling=b""), (1, 1, 3)),
        (request(called=b"ORTHANC"), (1, 1, 7)),
        (request(version=2), (1, 2, 2)),
        (request(context_name=b"1.2.3"), (1, 1, 2)),
    ],
    ids=["unknown", "other address", "may not store", "blank", "called", "version", "context"],
)
def test_who_is_not_known_is_rejected_with_the_reason(
    door: Running, sent: bytes, reason: tuple[int, int, int]
) -> None:
    got = answer(door.port, sent)
    assert (got[0], tuple(got[7:10])) == (REJECTED, reason)
    calling = sent[26:42].decode().strip()

    def listed() -> list[dict[str, object]]:
        if not door.callers.exists():
            return []
        said = json.loads(door.callers.read_text())["callers"]
        return [one for one in said if one["calling"] == calling]

    (caller,) = until(listed, what="the caller in the list")
    assert (caller["address"], caller["refused"], caller["accepted"]) == ("127.0.0.1", 1, 0)


def test_the_figures_are_written_for_an_exporter_of_the_machine(tmp_path: Path) -> None:
    with opened(tmp_path, 1, Limits(figures_s=0.05)) as door:
        answer(door.port, request())
        written = tmp_path / "door.prom"
        told = 'edge_door_ended_total{reason="ORTHANC_UNREACHABLE"} 1'
        until(lambda: written.exists() and told in written.read_text(), what="the refused call")
        assert written.stat().st_mode & 0o777 == 0o644


def test_an_orthanc_that_is_not_there_is_said_to_be_congested(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with opened(tmp_path, port) as running:
        got = answer(running.port, request())
        assert (got[0], tuple(got[7:10])) == (REJECTED, (2, 3, 1))


@pytest.mark.alone
@pytest.mark.parametrize("drips", [False, True], ids=["idle", "dripping"])
def test_a_thousand_silent_connections_keep_no_image_waiting(
    door: Running, truck: Orthanc, drips: bool,  # noqa: FBT001
) -> None:  # fmt: skip
    sent = images(12, "silence")
    took = []
    with Nuisance(door.port, 1000, drips=drips):
        for one in sent:
            begun = time.monotonic()
            assert scanner.store([one], door.port) == [scanner.SUCCESS]
            took.append(time.monotonic() - begun)
    assert len(truck.instances()) == len(sent)
    assert statistics.quantiles(took, n=20)[-1] <= 2.0
    assert door.figures()["edge_door_peak_memory_bytes"] > 0


def test_a_request_that_does_not_come_is_not_waited_for(quick: Running) -> None:
    for said in (b"", request()[:50]):
        with closing(socket.create_connection(("127.0.0.1", quick.port), timeout=10)) as one:
            one.sendall(said)
            begun = time.monotonic()
            assert one.recv(1) == b""
            assert time.monotonic() - begun < 3
    assert quick.ended("NO_REQUEST") == 2


def garbage() -> list[bytes]:
    """What port scanners, wrong programs and attackers send first."""
    whole = request()
    return [
        b"GET / HTTP/1.0\r\n\r\n",
        bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        struct.pack(">BxL", 1, 0xFFFFFFFF) + bytes(1000),
        struct.pack(">BxL", 1, 0),
        struct.pack(">BxL", 4, 6) + bytes(6),
        whole + b"more",
        whole[:6] + bytes(len(whole) - 6),
        whole[:-10] + b"\xff" * 10,
        request(contexts=0),
    ]


def test_garbage_ends_itself_and_reaches_nobody(quick: Running) -> None:
    for said in garbage():
        answered = answer(quick.port, said)
        assert answered == b"" or answered[0] == 7, said
    for said in (b"", b"\x01", request()[:50]):  # and hangs up, with a reset
        one = socket.create_connection(("127.0.0.1", quick.port), timeout=10)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.sendall(said)
        one.close()
    until(lambda: quick.figures()["edge_door_waiting"] == 0, what="nobody waiting")
    assert quick.figures()["edge_door_associations_total"] == 0
    assert scanner.store(images(1), quick.port) == [scanner.SUCCESS]


def associated(port: int) -> socket.socket:
    """An association that was accepted, and says nothing more."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(request())
    kind, length = struct.unpack(">BxL", exactly(connection, 6))
    assert kind == ACCEPTED
    exactly(connection, length)
    return connection


def test_an_association_that_stalls_or_drips_is_ended(quick: Running) -> None:
    with closing(associated(quick.port)) as silent, closing(associated(quick.port)) as dripping:
        dripping.sendall(struct.pack(">BxL", 4, 10_000))
        dripping.settimeout(0.1)
        ended = False
        begun = time.monotonic()
        while not ended and time.monotonic() - begun < 10:
            try:
                dripping.send(b"\x00")
                ended = dripping.recv(10)[:1] in {b"", b"\x07"}
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended
        assert exactly(silent, 10)[:1] in {b"", b"\x07"}
    assert quick.ended("MALFORMED") + quick.ended("STALLED") == 1
    assert quick.ended("IDLE") == 1


@pytest.mark.alone
def test_associations_at_rest_make_room_and_busy_ones_do_not(quick: Running) -> None:
    opened_ones = [associated(quick.port) for _ in range(QUICK.most_each)]
    try:
        time.sleep(QUICK.yields_s * 1.5)  # what is at rest shorter does not yield
        assert scanner.store(images(1), quick.port) == [scanner.SUCCESS]
        assert quick.ended("YIELDED") == 1
        busy = [associated(quick.port) for _ in range(QUICK.most_each)]
        opened_ones += busy
        for one in busy:
            one.sendall(struct.pack(">BxLLBB", 4, 10_000, 9_996, 1, 0))
        got = answer(quick.port, request())
        assert (got[0], tuple(got[7:10])) == (REJECTED, (2, 3, 2))
    finally:
        for one in opened_ones:
            one.close()


def test_a_caller_with_a_certificate_speaks_tls_and_others_do_not(
    truck: Orthanc, tmp_path: Path
) -> None:
    authority, other = Authority(tmp_path, "hospital"), Authority(tmp_path, "elsewhere")
    own = authority.sign("door", "serverAuth")
    tls = Tls(0, own.file, own.key, authority.file)
    known, unknown = authority.sign("scanner", "clientAuth"), other.sign("thief", "clientAuth")

    def speaks(certificate: Certificate | None) -> bool:
        """Whether an association is accepted."""
        context = ssl.create_default_context(cafile=str(authority.file))
        if certificate is not None:
            context.load_cert_chain(certificate.file, certificate.key)
        with socket.create_connection(("127.0.0.1", running.tls_port), timeout=10) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="localhost") as connection:
                    connection.sendall(request())
                    return exactly(connection, 1) == bytes([ACCEPTED])
            except OSError:
                return False

    with opened(tmp_path, truck.dicom_port, tls=tls) as running:
        assert speaks(known)
        assert not speaks(unknown)
        assert not speaks(None)
        assert answer(running.tls_port, request()) == b""  # without TLS
        with Nuisance(running.tls_port, 100):
            assert speaks(known)
        dcmtk(
            running.tls_port, "echoscu", "+tls", "/files/scanner-key.pem", "/files/scanner.pem",
            "+cf", "/files/hospital.pem", file=authority.file,
        )  # fmt: skip


@pytest.mark.alone
@pytest.mark.parametrize("towards", ["orthanc", "caller"])
def test_bytes_are_passed_on_faster_than_any_truck_needs(tmp_path: Path, towards: str) -> None:
    amount = 200 * 1024 * 1024
    pdu = struct.pack(">BxLLBB", 4, 16378, 16374, 1, 0) + bytes(16372)
    block = pdu * 64

    def pour(into: socket.socket) -> None:
        for _ in range(amount // len(block)):
            into.sendall(block)
        into.shutdown(socket.SHUT_WR)

    def drink(out_of: socket.socket) -> int:
        drunk, buffer = 0, bytearray(1 << 20)
        while got := out_of.recv_into(buffer):
            drunk += got
        return drunk

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with opened(tmp_path, port) as running:
            caller = socket.create_connection(("127.0.0.1", running.port), timeout=60)
            caller.sendall(request())
            orthanc, _ = listener.accept()
            exactly(orthanc, len(request()))
            orthanc.sendall(struct.pack(">BxL", ACCEPTED, 4) + bytes(4))
            exactly(caller, 10)
            pair = (caller, orthanc) if towards == "orthanc" else (orthanc, caller)
            with closing(caller), closing(orthanc):
                begun = time.monotonic()
                pouring = threading.Thread(target=pour, args=(pair[0],))
                pouring.start()
                assert drink(pair[1]) == amount // len(block) * len(block)
                rate = amount / (time.monotonic() - begun) / 1e6
                pouring.join()
    assert rate >= 100


@pytest.mark.parametrize("name", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_identifier_too_long_to_file_is_not_understood_and_not_logged(
    truck: Orthanc, door: Running, name: str
) -> None:
    for length, expected in ((256, scanner.SUCCESS), (257, 0xC000), (5000, 0xC000)):
        (image,) = images(1, f"{name}{length}", 32)
        patient = image.PatientName
        image[name]._value = "1" * length
        assert scanner.store([image], door.port) == [expected]
        assert str(patient) not in log_of(truck)
    (instance,) = truck.instances()
    assert len(json.dumps(truck.get(f"/instances/{instance}"))) > 0


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_image_without_its_uids_is_not_understood_and_not_named(
    truck: Orthanc, door: Running, name: str
) -> None:
    (image,) = images(1, name, 32)
    patient, uid = image.PatientID, image.SOPInstanceUID
    del image[name]
    assert scanner.store([image], door.port) == [0xC000]
    assert truck.instances() == []
    logged = log_of(truck)
    assert "C000" in logged
    assert patient not in logged
    assert str(uid) not in logged


def log_of(truck: Orthanc) -> str:
    out, err = truck.container.get_logs()
    return str((out + err).decode())

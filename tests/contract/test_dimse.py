"""The DICOM network kind against a scripted archive: every status, every way to break off, TLS."""

from __future__ import annotations

import hashlib
import ssl
import threading
import tracemalloc
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MRImageStorage,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from router.destinations.base import Outgoing, Stored
from router.destinations.dimse import Dimse, DimseSettings
from router.dicom import part10
from router.records.copies import Copy
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DeliveryError,
    DestinationPaused,
    Hold,
    LinkDown,
    SettingsError,
    StoreRefused,
    SyntaxRefused,
)
from router.records.receipt import VerifiedBy
from tests.support import data
from tests.support.certificates import Authority, Certificate
from tests.support.fake_dimse import CALLED, CALLING, Answer, FakeScp
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MIB = 1 << 20


def _file(seed: str = "dimse", size: int = 64) -> tuple[Copy, bytes]:
    (dataset,) = data.ct_series(seed, data.Patient.made(seed), slices=1, size=size)
    raw = data.file_bytes(dataset)
    copy = Copy(
        orthanc_id="unused", study_uid=str(dataset.StudyInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID), sop_uid=str(dataset.SOPInstanceUID),
        sop_class=str(dataset.SOPClassUID), modality="CT",
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID), instance_number=1,
        digest=part10.digest(memoryview(raw)), md5=part10.md5(memoryview(raw)), size=len(raw),
    )  # fmt: skip
    return copy, raw


def _series(number: int) -> list[tuple[Copy, bytes]]:
    files = []
    for dataset in data.ct_series("many", data.Patient.made("many"), slices=number, size=16):
        raw = data.file_bytes(dataset)
        copy, _ = _file("many", 16)
        files.append((replace(copy, sop_uid=str(dataset.SOPInstanceUID)), raw))
    return files


def _send(destination: Dimse, copy: Copy, raw: bytes) -> Stored:
    return destination.send(Outgoing(copy, memoryview(raw), lambda _: None))


@contextmanager
def _made(port: int, **more: Any) -> Iterator[Dimse]:
    settings = DimseSettings.model_validate({
        "kind": "dimse", "name": "archive", "host": "127.0.0.1", "port": port,
        "called_aet": CALLED, "calling_aet": CALLING, "tls": False,
        "connect_timeout_s": 2, "answer_timeout_s": 2, **more,
    })  # fmt: skip
    destination = Dimse(settings)
    yield destination
    destination.close()


@pytest.fixture
def archive() -> Iterator[FakeScp]:
    with FakeScp().serving() as scp:
        yield scp


@pytest.fixture
def destination(archive: FakeScp) -> Iterator[Dimse]:
    with _made(archive.port) as made:
        yield made


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """What pynetdicom starts ends with its association: a router lives for months."""
    before = set(threading.enumerate())
    yield
    until(lambda: set(threading.enumerate()) <= before, what="the end of all threads")


def test_the_data_set_arrives_byte_for_byte(destination: Dimse, archive: FakeScp) -> None:
    copy, raw = _file(size=512)
    assert _send(destination, copy, raw) is Stored.STORED
    kept = archive.kept[copy.sop_uid]
    assert hashlib.sha256(kept.data_set).hexdigest() == copy.digest
    assert kept.transfer_syntax == copy.transfer_syntax


def test_an_association_is_used_again_until_something_new_is_to_be_sent(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file()
    for _ in range(3):
        _send(destination, copy, raw)
    destination.verify([copy])
    assert archive.associations == 1
    with pytest.raises(Hold):
        _send(destination, replace(copy, sop_class=str(MRImageStorage)), raw)
    _send(destination, copy, raw)
    assert archive.associations == 2


def test_what_it_has_is_listed_with_one_question_for_many(
    destination: Dimse, archive: FakeScp
) -> None:
    files = _series(70)
    for copy, raw in files[:68]:
        _send(destination, copy, raw)
    answer = destination.verify([copy for copy, _ in files])
    assert answer.verified == {copy.sop_uid: VerifiedBy.PRESENCE for copy, _ in files[:68]}
    # Two lists, and the two that are missing alone.
    assert [len(asked) for asked in archive.questions] == [64, 6, 1, 1]


@pytest.mark.parametrize("fault", ["takes no lists", "lists only so many"])
def test_what_a_list_does_not_bring_is_asked_for_alone(
    destination: Dimse, archive: FakeScp, fault: str
) -> None:
    if fault == "takes no lists":
        archive.takes_lists = False
    else:
        archive.most_matches = 2
    files = _series(4)
    for copy, raw in files:
        _send(destination, copy, raw)
    for _ in range(2):
        answer = destination.verify([copy for copy, _ in files])
        assert answer.verified.keys() == {copy.sop_uid for copy, _ in files}
    lists = [asked for asked in archive.questions if len(asked) > 1]
    assert len(lists) == (1 if fault == "takes no lists" else 2)


def test_an_instance_of_another_study_is_not_taken_for_ours(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file()
    _send(destination, copy, raw)
    assert destination.verify([replace(copy, study_uid="2.25.1")]).verified == {}
    assert archive.kept


def test_a_question_that_it_cannot_answer_is_put_off(destination: Dimse, archive: FakeScp) -> None:
    copy, _ = _file()
    archive.find_status = 0xA700
    with pytest.raises(DeliveryDeferred) as raised:
        destination.verify([copy])
    assert raised.value.code is Code.DESTINATION_BUSY


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (0x0000, Stored.STORED),
        (0x0111, Stored.DUPLICATE),
        (0xB000, Stored.COERCED),
        (0xB006, Stored.COERCED),
        (0xB007, Stored.COERCED),
    ],
)
def test_a_status_that_says_stored(
    destination: Dimse, archive: FakeScp, status: int, result: Stored
) -> None:
    copy, raw = _file()
    archive.answers = [Answer(status)]
    assert _send(destination, copy, raw) is result


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (0xA700, StoreRefused, Code.DESTINATION_FULL),
        (0xA7FF, StoreRefused, Code.DESTINATION_FULL),
        (0xA771, Hold, Code.DESTINATION_REFUSED),
        (0x0110, DeliveryDeferred, Code.DESTINATION_ANSWER_UNCLEAR),
        (0x0124, StoreRefused, Code.DESTINATION_DENIED),
        (0xC122, SyntaxRefused, Code.SYNTAX_REFUSED),
        (0x0122, Hold, Code.DESTINATION_REFUSED),
        (0xA900, Hold, Code.DESTINATION_REFUSED),
        (0xC000, DeliveryDeferred, Code.DESTINATION_ANSWER_UNCLEAR),
        (0x0117, Hold, Code.DESTINATION_REFUSED),
    ],
    ids=lambda value: f"{value:04X}" if isinstance(value, int) else "",
)
def test_a_status_that_says_not_stored(
    destination: Dimse, archive: FakeScp, status: int, error: type[DeliveryError], code: Code
) -> None:
    copy, raw = _file()
    archive.answers = [Answer(status, keep=False)]
    with pytest.raises(error) as raised:
        _send(destination, copy, raw)
    assert raised.value.code is code
    # The association has done nothing wrong.
    assert _send(destination, copy, raw) is Stored.STORED
    assert archive.associations == 1


@pytest.mark.parametrize(
    "answer", [Answer(cut=True), Answer(abort=True), Answer(silent=True)],
    ids=["cut", "abort", "silent"],
)  # fmt: skip
def test_an_answer_that_is_lost_is_the_links_fault_and_the_instance_may_be_there(
    destination: Dimse, archive: FakeScp, answer: Answer
) -> None:
    copy, raw = _file()
    archive.answers = [answer]
    handed: list[int] = []
    with pytest.raises(LinkDown):
        destination.send(Outgoing(copy, memoryview(raw), handed.append))
    assert sum(handed) == len(raw) - part10.dataset_offset(memoryview(raw))
    assert destination.verify([copy]).verified.keys() == {copy.sop_uid}


def test_a_link_that_is_cut_in_the_middle_is_down_and_what_was_handed_to_it_is_counted(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file(size=4096)
    archive.cut_after = 1_000_000
    handed: list[int] = []
    with pytest.raises(LinkDown):
        destination.send(Outgoing(copy, memoryview(raw), handed.append))
    assert 900_000 < sum(handed) < len(raw)
    assert copy.sop_uid not in archive.kept
    archive.cut_after = None
    assert _send(destination, copy, raw) is Stored.STORED


def test_a_link_that_goes_silent_in_the_middle_is_down_within_the_timeout(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file(size=4096)
    archive.stall_after = 1_000_000
    handed: list[int] = []
    with pytest.raises(LinkDown):
        destination.send(Outgoing(copy, memoryview(raw), handed.append))
    assert sum(handed) < len(raw)


def test_a_large_file_on_a_slow_link_does_not_fill_the_memory(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file()
    large = raw + bytes(64 * MIB)
    archive.stall_after = 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(LinkDown):
            _send(destination, copy, large)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_a_transfer_can_be_broken_off_from_another_thread(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file(size=4096)
    archive.stall_after = 1_000_000
    moved = threading.Event()
    failures: list[DeliveryError] = []

    def send() -> None:
        try:
            destination.send(Outgoing(copy, memoryview(raw), lambda _: moved.set()))
        except DeliveryError as error:
            failures.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    assert moved.wait(5)
    destination.abort()
    thread.join(1.5)
    assert not thread.is_alive()
    assert [type(error) for error in failures] == [LinkDown]


def test_an_archive_that_goes_away_and_comes_back_is_found_again() -> None:
    copy, raw = _file()
    with ExitStack() as first:
        port = first.enter_context(FakeScp().serving()).port
        with _made(port) as destination:
            _send(destination, copy, raw)
            first.close()
            for ask in (lambda: _send(destination, copy, raw), destination.probe):
                with pytest.raises(LinkDown):
                    ask()
            again = FakeScp()
            again.port = port
            with again.serving():
                destination.probe()
                _send(destination, copy, raw)
            assert again.kept.keys() == {copy.sop_uid}


@pytest.mark.parametrize(
    ("setting", "code"),
    [("called_aet", Code.ENDPOINT_WRONG), ("calling_aet", Code.DESTINATION_DENIED)],
)
def test_a_title_that_it_does_not_know_pauses_the_destination(
    archive: FakeScp, setting: str, code: Code
) -> None:
    copy, raw = _file()
    with _made(archive.port, **{setting: "STRANGER"}) as destination:
        for ask in (destination.probe, lambda: _send(destination, copy, raw)):
            with pytest.raises(DestinationPaused) as raised:
                ask()
            assert raised.value.code is code


def test_an_archive_with_too_many_associations_is_asked_again_soon(archive: FakeScp) -> None:
    archive.entity.maximum_associations = 1
    copy, raw = _file()
    with _made(archive.port) as first, _made(archive.port) as second:
        _send(first, copy, raw)
        with pytest.raises(LinkDown) as raised:
            second.probe()
    assert raised.value.code is Code.DESTINATION_BUSY


def test_a_syntax_that_it_does_not_take_is_said_and_nothing_is_transcoded(
    destination: Dimse, archive: FakeScp
) -> None:
    copy, raw = _file()
    for syntax in (JPEGLSLossless, ImplicitVRLittleEndian):
        with pytest.raises(SyntaxRefused) as raised:
            _send(destination, replace(copy, transfer_syntax=str(syntax)), raw)
        assert raised.value.code is Code.SYNTAX_REFUSED
    assert archive.kept == {}


def test_a_class_is_taken_in_each_syntax_by_itself() -> None:
    copy, raw = _file()
    syntaxes = (str(ExplicitVRLittleEndian), str(JPEGLSLossless))
    with FakeScp(syntaxes).serving() as archive, _made(archive.port) as destination:
        for syntax in syntaxes:
            _send(destination, replace(copy, transfer_syntax=syntax), raw)
            assert archive.kept[copy.sop_uid].transfer_syntax == syntax


def test_a_class_that_it_does_not_take_holds_the_instance(destination: Dimse) -> None:
    copy, raw = _file()
    with pytest.raises(Hold) as raised:
        _send(destination, replace(copy, sop_class=str(MRImageStorage)), raw)
    assert raised.value.code is Code.DESTINATION_REFUSED
    assert "MR Image Storage" in raised.value.sentence


def test_an_archive_without_c_find_pauses_before_anything_is_believed() -> None:
    copy, _ = _file()
    scp = FakeScp()
    for taken in (StudyRootQueryRetrieveInformationModelFind, Verification):
        scp.entity.remove_supported_context(taken)
    with scp.serving() as archive, _made(archive.port) as destination:
        with pytest.raises(DestinationPaused) as raised:
            destination.verify([copy])
        assert raised.value.code is Code.ENDPOINT_WRONG


def test_several_threads_send_at_once_each_on_its_own_association(
    destination: Dimse, archive: FakeScp
) -> None:
    files = _series(12)
    threads = [
        threading.Thread(target=lambda part=part: [_send(destination, c, r) for c, r in part])
        for part in (files[:4], files[4:8], files[8:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert archive.kept.keys() == {copy.sop_uid for copy, _ in files}
    assert archive.associations <= 3


# --- DICOM TLS ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.sign("server", "serverAuth")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Certificate:
    return authority.sign("client", "clientAuth")


def _context(server: Certificate, authority: Authority, newest: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(server.file, server.key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def secured(
    request: pytest.FixtureRequest, server: Certificate, authority: Authority
) -> Iterator[FakeScp]:
    with FakeScp().serving(_context(server, authority, request.param)) as scp:
        yield scp


def test_both_sides_show_certificates_of_a_private_authority(
    secured: FakeScp, authority: Authority, client: Certificate
) -> None:
    copy, raw = _file(size=1024)
    with _made(
        secured.port, tls=True, host="localhost", ca_file=authority.file,
        client_certificate_file=client.file, client_key_file=client.key,
    ) as destination:  # fmt: skip
        destination.probe()
        assert _send(destination, copy, raw) is Stored.STORED
        assert destination.verify([copy]).verified.keys() == {copy.sop_uid}
    assert hashlib.sha256(secured.kept[copy.sop_uid].data_set).hexdigest() == copy.digest


def test_a_router_without_a_certificate_is_told_that_it_is_denied(
    secured: FakeScp, authority: Authority
) -> None:
    with (
        _made(secured.port, tls=True, host="localhost", ca_file=authority.file) as destination,
        pytest.raises(DestinationPaused) as raised,
    ):
        destination.probe()
    assert raised.value.code is Code.DESTINATION_DENIED


def test_an_archive_of_another_authority_pauses_the_destination(
    secured: FakeScp, client: Certificate, tmp_path: Path
) -> None:
    with (
        _made(
            secured.port, tls=True, host="localhost",
            ca_file=Authority(tmp_path, "other").file,
            client_certificate_file=client.file, client_key_file=client.key,
        ) as destination,
        pytest.raises(DestinationPaused) as raised,
    ):  # fmt: skip
        destination.probe()
    assert raised.value.code is Code.CERTIFICATE_REFUSED


def test_an_archive_with_another_name_is_not_believed(authority: Authority) -> None:
    elsewhere = authority.sign("elsewhere", "serverAuth", "DNS:elsewhere.example")
    context = _context(elsewhere, authority, ssl.TLSVersion.TLSv1_3)
    with (
        FakeScp().serving(context) as archive,
        _made(archive.port, tls=True, host="localhost", ca_file=authority.file) as destination,
        pytest.raises(DestinationPaused) as raised,
    ):
        destination.probe()
    assert raised.value.code is Code.CERTIFICATE_REFUSED


def test_nothing_older_than_tls_1_2_is_spoken(
    server: Certificate, authority: Authority, client: Certificate
) -> None:
    context = _context(server, authority, ssl.TLSVersion.TLSv1_2)
    # What the profile leaves out: no forward secrecy.
    context.set_ciphers("AES128-GCM-SHA256:AES256-SHA")
    with (
        FakeScp().serving(context) as old,
        _made(
            old.port, tls=True, host="localhost", ca_file=authority.file,
            client_certificate_file=client.file, client_key_file=client.key,
        ) as destination,
        pytest.raises(DeliveryError),
    ):  # fmt: skip
        destination.probe()


def test_a_key_that_cannot_be_read_is_a_fault_of_the_settings(
    authority: Authority, client: Certificate
) -> None:
    with pytest.raises(SettingsError) as raised, _made(
        2762, tls=True, ca_file=authority.file,
        client_certificate_file=client.file, client_key_file=authority.file,
    ):  # fmt: skip
        pytest.fail("it was taken")
    assert raised.value.code is Code.SECRET_UNREADABLE
